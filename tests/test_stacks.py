"""A stack of another thread is taken whole: between its frames no other thread runs."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from threading import Event, Thread
from time import sleep

import pytest

from loadtests.serving.inside import stacks
from loadtests.serving.inside.stacks import taken


def outer(entered: Event, leave: Event) -> None:
    inner(entered, leave)


def inner(entered: Event, leave: Event) -> None:
    entered.set()
    leave.wait()


@pytest.fixture
def waiting() -> Iterator[Thread]:
    """A thread that waits in `inner`, which `outer` has called."""
    entered, leave = Event(), Event()
    thread = Thread(target=outer, args=(entered, leave))
    thread.start()
    entered.wait()
    yield thread
    leave.set()
    thread.join()


def test_a_stack_has_the_deepest_frame_first_and_ends_with_the_outermost(waiting: Thread) -> None:
    sleep(0.05)  # until it waits
    names = [frame.f_code.co_name for frame in taken(waiting.ident or 0)]
    assert names[-5:] == ["inner", "outer", "run", "_bootstrap_inner", "_bootstrap"]


def test_a_thread_that_has_ended_has_no_stack() -> None:
    thread = Thread(target=int)
    thread.start()
    thread.join()
    assert taken(thread.ident or 0) == ()


@pytest.mark.parametrize("collects", [True, False])
def test_a_garbage_collector_is_left_as_it_was(collects: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        taken(1)
        assert gc.isenabled() is collects
    finally:
        (gc.enable if before else gc.disable)()


STRESS = f"""
import sys, threading, time
sys.path.insert(0, {str(stacks.__file__.rpartition("/")[0])!r})
import stacks
sys.setswitchinterval(1e-6)

def leaf(n):
    return [n * k for k in range(3)]

def tree(n):
    return leaf(n) if n == 0 else tree(n - 1) + list(grow(n))

def grow(n):
    for k in range(n):
        yield leaf(k)

def work():
    while not done:
        tree(12)

done = False
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
until, deep = time.monotonic() + 1.5, 0
while time.monotonic() < until:
    for thread in threads:
        deep = max(deep, sum(frame.f_code.co_name == "tree" for frame in stacks.taken(thread.ident)))
done = True
for thread in threads:
    thread.join()
print(deep)
"""


def test_threads_that_run_on_are_looked_at_without_harm() -> None:
    """Four of them that call and return, while the GIL changes hands as often as it can."""
    done = subprocess.run(
        [sys.executable, "-c", STRESS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) >= 10
