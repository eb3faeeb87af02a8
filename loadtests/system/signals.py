"""The signals that end a command."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the end of a job, a closed terminal."""


def end_in_order() -> None:
    """Let each of them raise KeyboardInterrupt, so that everything that was started is ended as well; except
    a closed terminal, where nohup has us ignore that. (Scripts have what they start with `&` ignore Ctrl-C,
    and may still mean to end it by SIGINT.)"""
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def stop(_: int, __: FrameType | None) -> NoReturn:
    """Shut down in order. That takes seconds at most; further signals are ignored meanwhile, since they would
    leave children behind."""
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt
