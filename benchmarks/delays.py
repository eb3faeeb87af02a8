"""The slow service as an arm of its own, at the delays that the accuracy bars use."""

from loadtests.slow_service import SlowService


def at_20_ms() -> SlowService:
    return SlowService(median=0.02)


def at_200_ms() -> SlowService:
    return SlowService(median=0.2)


def at_5_ms() -> SlowService:
    return SlowService(median=0.005)
