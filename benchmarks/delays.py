"""The slow service as an arm, with the delays that accuracy.py uses."""

from loadtests.serving.slow_service import SlowService


def at_20_ms() -> SlowService:
    return SlowService(median=0.02)


def at_200_ms() -> SlowService:
    return SlowService(median=0.2)


def at_5_ms() -> SlowService:
    return SlowService(median=0.005)
