"""Servers of our own: they go with the child that keeps them, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from loadtests.errors import ChildFailed
from loadtests.serving.databases.keeping import kept
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child, at_work

MODULE = "tests.kept_server"


def test_a_server_of_ours_serves_until_its_block_ends(tmp_path: Path) -> None:
    with kept("Files", MODULE, tmp_path, (), "no hint needed") as (url, keeper):
        with urlopen(f"{url}/greeting") as answer:  # noqa: S310  # our own http:// address
            assert answer.read() == b"hello"
        (server,) = psutil.Process(keeper.pid).children()
        home = Path(server.cwd())
        assert home.is_dir()
    assert not server.is_running()
    assert not home.exists()


def test_a_server_ends_with_its_killed_keeper_and_the_next_one_removes_its_files(tmp_path: Path) -> None:
    """As after `kill -9` of a run and its children."""
    with Child("the keeper", ["-m", MODULE], tmp_path / "log", env=OUR_PACKAGES) as child:
        home = Path(child.receive(OWN_BOOT)["home"])
        (server,) = psutil.Process(child.pid).children()
        psutil.Process(child.pid).kill()
        psutil.wait_procs([server], timeout=10)
        assert not at_work(server)
        assert home.is_dir()
    with kept("Files", MODULE, tmp_path, (), "no hint needed") as (_, keeper):
        assert not home.exists()
        (other,) = psutil.Process(keeper.pid).children()
        assert Path(other.cwd()).is_dir()


def test_a_server_that_does_not_start_is_one_error_with_its_cause_and_the_hint(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="our own Files server did not start") as caught:
        with kept("Files", "tests.no_such_server", tmp_path, (), "install it"):
            pass
    assert "no_such_server" in caught.value.cause
    assert caught.value.hint == "install it"
