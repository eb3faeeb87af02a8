"""One measurement at a time: the others are a queue, in the order of their arrival, of all users."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from loadtests.errors import PlanError
from loadtests.system import lock
from loadtests.system.lock import measurement_lock
from loadtests.system.processes import OUR_PACKAGES

NOBODY = 65534
HOLD = "from loadtests.system import lock\nwith lock.measurement_lock('theirs', True): input()"


@pytest.fixture(autouse=True)
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A queue of the test's own, that is looked at often."""
    monkeypatch.setenv(lock.VARIABLE, str(tmp_path / "queue"))
    monkeypatch.setattr(lock, "POLL", 0.002)
    return tmp_path / "queue"


class Waiter:
    """A measurement on a thread, which waits for its turn and then for `leave`."""

    def __init__(self, name: str, turns: list[str]) -> None:
        self.places: list[int] = []
        self.leave = threading.Event()
        self.name, self.turns = name, turns
        self.thread = threading.Thread(target=self.measure)
        self.thread.start()

    def measure(self) -> None:
        with measurement_lock(self.name, True, lambda _, place: self.places.append(place)):
            self.turns.append(self.name)
            self.leave.wait(20)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@contextmanager
def process() -> Iterator[subprocess.Popen[str]]:
    """Another process in the queue."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", HOLD], env={**os.environ, **OUR_PACKAGES}, text=True,
        stdin=subprocess.PIPE,
    ) as other:  # fmt: skip
        try:
            yield other
        finally:
            other.kill()


def tickets(queue: Path) -> list[Path]:
    """Those with a text: whose process holds them."""
    return [one for one in queue.iterdir() if one.read_text()] if queue.exists() else []


def refused() -> str:
    with pytest.raises(PlanError, match="is being measured") as caught, measurement_lock("late"):
        pass
    return str(caught.value)


def places_of_next(waiters: Sequence[Waiter], turns: list[str]) -> list[int]:
    """Let the first one measure, and end; the places that it was told."""
    first, *others = waiters
    until(lambda: [one.places[-1] for one in others] == list(range(1, len(others) + 1)))
    until(lambda: turns[-1:] == [first.name])
    # One that arrives now does not go ahead of those that wait.
    assert f"{first.name} (pid" in refused()
    first.leave.set()
    first.thread.join()
    return list(dict.fromkeys(first.places))


def test_waiters_are_served_in_the_order_of_their_arrival_and_know_their_place() -> None:
    """They starved while later ones went ahead."""
    turns: list[str] = []
    waiters: list[Waiter] = []
    with measurement_lock("first"):
        for name in "abc":
            waiters.append(Waiter(name, turns))
            until(lambda: waiters[-1].places)
        assert f"first (pid {os.getpid()}) is being measured" in refused()
    seen = [places_of_next(waiters[number:], turns) for number in range(len(waiters))]
    assert turns == ["a", "b", "c"]
    assert seen == [[1], [2, 1], [3, 2, 1]]


def test_killed_processes_leave_the_queue_by_themselves(queue: Path) -> None:
    """One that measures, and one that waits."""
    with process() as measuring:
        until(lambda: len(tickets(queue)) == 1)
        with process() as waiting:
            until(lambda: len(tickets(queue)) == 2)
            mine = Waiter("mine", [])
            until(lambda: mine.places == [2])
            waiting.send_signal(signal.SIGKILL)
            until(lambda: mine.places == [2, 1])
        measuring.send_signal(signal.SIGKILL)
        until(lambda: mine.turns)
        mine.leave.set()
        mine.thread.join()
    with measurement_lock("later"):
        # The tickets of killed processes are gone, too.
        assert len(tickets(queue)) == 1
    assert not tickets(queue)


def test_the_queue_is_one_for_the_machine_whatever_the_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(lock.VARIABLE)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert lock.directory() == Path("/tmp/fastapi-duel-locks")  # noqa: S108  # the place under test


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_users_share_the_queue_whatever_their_umask(monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryDirectory() as shared:
        os.chmod(shared, 0o1777)  # noqa: S103  # as /tmp
        path = Path(shared, "queue")
        monkeypatch.setenv(lock.VARIABLE, str(path))
        mask = os.umask(0o077)
        try:
            for first, second in ((0, NOBODY), (NOBODY, 0)):
                os.seteuid(first)
                with measurement_lock("first"):
                    assert stat.S_IMODE(path.stat().st_mode) == 0o1777
                    os.seteuid(0)
                    os.seteuid(second)
                    assert "first (pid" in refused()
                    os.seteuid(0)
                    os.seteuid(first)
                os.seteuid(0)
            assert not list(path.iterdir())
        finally:
            os.seteuid(0)
            os.umask(mask)


def test_what_others_leave_in_the_queue_is_neither_followed_nor_waited_for(
    queue: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with measurement_lock("first"):
        pass
    for name in ("1", "2"):
        (queue / name).symlink_to(victim)
    os.mkfifo(queue / "3")
    (queue / "9").mkdir()
    (queue / "notes.txt").touch()
    (queue / ("9" * 255)).touch()
    with measurement_lock("second"):
        assert "second (pid" in refused()
    assert victim.read_text() == "mine"


def test_what_another_ticket_says_is_one_line() -> None:
    with measurement_lock("\x1b[31m\nfirst"):
        assert refused().isprintable()


def spoilt(queue: Path) -> Iterator[str]:
    """Ways in which the directory cannot be used; after each, what the error says."""
    queue.mkdir()
    queue.chmod(0o777)
    yield "no sticky bit"
    queue.rmdir()
    (queue.parent / "elsewhere").mkdir()
    queue.symlink_to(queue.parent / "elsewhere")
    yield "it is a link, or not a directory"
    queue.unlink()
    queue.touch()
    yield "it is a link, or not a directory"
    queue.unlink()
    queue.mkdir()
    (queue / str(lock.LAST)).touch()
    held = os.open(queue / str(lock.LAST), os.O_RDONLY)
    lock.locked(held, fcntl.LOCK_EX)
    yield "leaves no number"
    os.close(held)


def test_a_directory_that_cannot_be_used_is_one_clear_error(queue: Path) -> None:
    for cause in spoilt(queue):
        with pytest.raises(PlanError, match="cannot use") as caught, measurement_lock("mine"):
            pass
        assert cause in caught.value.cause
        assert lock.VARIABLE in caught.value.hint
