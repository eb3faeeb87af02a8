"""Charts → their files, drawn by two processes: that takes longer than all the mathematics, and cores stand
idle."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawArray
from threading import Thread, active_count
from typing import Any

from reports.charts import Chart, files

LONGEST_FIRST = ("tails", "throughput", "response", "heat", "latency", "verdicts", "costs")
"""Charts by the time they take: two processes that begin them so end together."""
MANY = 4
"""Rows of a chart from which on a process that must import everything anew saves time."""

Files = dict[str, bytes]
"""By the ends of their names."""


def drawn(asked: Sequence[Chart]) -> dict[str, Files]:
    """The files of every chart, by its stem."""
    ordered = sorted(asked, key=turn)
    rows = max((len(chart.rows) for chart in ordered), default=0)
    made: dict[str, Files] = {}
    if (os.cpu_count() or 1) >= 2 and (copyable() or rows >= MANY):  # a second core
        draw_by_two(ordered, made)
    # Where there was no painter, or it died, what is missing is made now.
    return {chart.stem: made.get(chart.stem) or files(chart) for chart in ordered}


def draw_by_two(ordered: list[Chart], made: dict[str, Files]) -> None:
    """A painter begins at the front, this process at the end, until they meet; into `made`.

    Each tells by one number how far it has come and takes no lock, which somebody who is killed would never
    give back: at worst one chart is drawn by both.
    """
    process = get_context("fork").Process if copyable() else get_context("spawn").Process
    begun = RawArray("i", [0, len(ordered)])
    receiver, sender = Pipe(duplex=False)
    with warnings.catch_warnings():
        # Python counts OpenBLAS's threads too, which that ends before a copy and begins again.
        warnings.simplefilter("ignore", DeprecationWarning)
        painter = process(target=paint, args=(ordered, begun, sender), daemon=True)
        with deaf():
            painter.start()
    sender.close()
    courier = Thread(target=fetch, args=(receiver, made), daemon=True)
    courier.start()
    for place in reversed(range(len(ordered))):
        if place < begun[0]:
            break
        begun[1] = place
        made[ordered[place].stem] = files(ordered[place])
    courier.join()
    painter.join()
    receiver.close()


def turn(chart: Chart) -> int:
    """When a chart is begun: panels before pictures before rows."""
    return LONGEST_FIRST.index(chart.stem) if chart.stem in LONGEST_FIRST else len(LONGEST_FIRST)


def copyable() -> bool:
    """Whether a copy of this process can draw, at once: to import all that anew takes a second. Not where
    another thread may hold a lock, nor elsewhere than on Linux, where system libraries do not stand it."""
    return sys.platform == "linux" and active_count() == 1


@contextmanager
def deaf() -> Iterator[None]:
    """Who is begun meanwhile never hears Ctrl-C, nor that the terminal is closed, which its parent alone
    heeds; that one hears of it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def fetch(receiver: Connection, made: dict[str, Files]) -> None:
    """Take what the painter makes until it has ended, however that happens."""
    with suppress(EOFError, OSError):
        while True:
            stem, found = receiver.recv()
            made[stem] = found


def paint(ordered: list[Chart], begun: Any, sender: Connection) -> None:
    """The painter's work, until it is told to leave, or its parent is gone."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=leave_with_parent, daemon=True).start()
    for place, chart in enumerate(ordered):
        if place >= begun[1]:
            break
        begun[0] = place + 1
        sender.send((chart.stem, files(chart)))
    sender.close()


def leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
