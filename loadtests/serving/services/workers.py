"""The workers that do the jobs which an arm's server hands to its queue: processes of their own beside it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil

from loadtests.cpus import cpus_flag
from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.system.processes import OWN_BOOT, ROOT, UNSEEN, Child

PROCESS = Path(__file__).with_name("worker_process.py")

MODULES: Mapping[str, str] = {
    BUILT_IN["sync"].app: "sync_app.worker",
    BUILT_IN["async"].app: "async_app.worker",
}
"""By app, the module that is its worker."""


class QueueWorker(Child):
    """It has nothing to tidy up: its queue is flushed."""

    grace = 0.0


class QueueWorkers:
    """The workers of one server. They work only while their arm is loaded: the jobs that have piled up would
    disturb the next one."""

    def __init__(
        self, workers: Sequence[QueueWorker] = (), unfinished: Callable[[], int | None] = lambda: None
    ) -> None:
        self.workers = workers
        self.unfinished = unfinished
        """Counts the jobs that wait or are in progress; None where there is no queue."""

    @classmethod
    def started(
        cls,
        arm: Arm,
        redis_url: str,
        unfinished: Callable[[], int | None],
        logs: Path,
        cpus: Sequence[int],
    ) -> Self:
        """One for each of the arm's apps that has one, ready for jobs, and paused. Raises ChildFailed."""
        env = {"DUEL_APP_REDIS": redis_url, **arm.env}
        found = cls(
            [
                QueueWorker(
                    f"the worker of arm {arm.name!r}",
                    [str(PROCESS), MODULES[app], "--app-dir", str(ROOT), *cpus_flag(cpus)],
                    logs / f"{arm.name}.worker.log",
                    env=env,
                    python=arm.python,
                )
                for app in arm.apps
                if app in MODULES
            ],
            unfinished,
        )
        try:
            for worker in found.workers:
                worker.receive(OWN_BOOT)
            found.pause()
        except BaseException:
            found.stop()
            raise
        return found

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self.workers]

    @contextmanager
    def working(self) -> Iterator[None]:
        """They do jobs within the block."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.pause()

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def signal(self, number: signal.Signals) -> None:
        for pid in self.pids:
            with suppress(*UNSEEN):
                psutil.Process(pid).send_signal(number)

    def stop(self) -> None:
        """End them."""
        for worker in self.workers:
            worker.stop()
