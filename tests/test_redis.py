"""Redis for a run: an empty database for each server of an arm, nothing left behind, no secrets shown."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from blockbuster import blockbuster_ctx

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.planning import planned
from loadtests.plan.arms import built_in_arms
from loadtests.plan.database_url import checked_redis
from loadtests.plan.profiles import SERVICES
from loadtests.records.directory import RunDirectory
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.inside.reading import read
from loadtests.serving.server import Server
from loadtests.serving.services import redis_databases
from loadtests.serving.services.redis_databases import MARK, RedisDatabases, own_redis
from loadtests.serving.services.redis_server import DATABASES
from loadtests.serving.services.workers import QueueWorkers
from loadtests.system.processes import Child
from shared_models.settings import Settings
from tests.brisk import FEW
from tests.commands import brisk_here, carried_out, duel_here
from tests.conftest import APPS, CREATE, Opening, Talk, Variant, opened
from tests.serving import app, loaded, read_samples

MAIL = {"recipient": "ada@example.org"}

TWINS = (Variant("sync"), Variant("async"))


@pytest.fixture
def databases(redis_url: str) -> Iterator[RedisDatabases]:
    with RedisDatabases(redis_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def served(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingEnvironment]:
    """What servers beside Redis share."""
    with ServingEnvironment(tmp_path_factory.mktemp("logs"), {}, redis=redis_url) as environment:
        yield environment


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once it holds; fails where it does not within 20 s."""
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def taken(redis: RedisDatabases) -> dict[int, int]:
    """Keys by number, of the databases that hold any."""
    found = {}
    for number in range(DATABASES):
        with redis.client(number) as client:
            if keys := client.dbsize():
                found[number] = int(keys)
    return found


@pytest.fixture(params=TWINS, ids=lambda twin: twin.style)
def with_redis(
    request: pytest.FixtureRequest, fresh: Opening, databases: RedisDatabases
) -> Iterator[tuple[Variant, Settings]]:
    """Each twin, with its settings on a fresh copy of the data and an empty Redis database."""
    with fresh(request.param) as settings:
        number = databases.fresh()
        yield request.param, replace(settings, redis=databases.url_of(number))
        databases.drop(number)


@pytest.fixture
def talk_with_redis(with_redis: tuple[Variant, Settings]) -> Callable[[Talk], None]:
    """Runs a conversation with each twin."""
    twin, settings = with_redis

    def converse(conversation: Talk) -> None:
        async def main() -> None:
            async with opened(twin.app(settings)) as client:
                await conversation(client)

        asyncio.run(main())

    return converse


def test_a_cached_post_is_answered_as_from_the_database_and_without_it_until_it_expires(
    with_redis: tuple[Variant, Settings],
) -> None:
    """Changed meanwhile, it is answered as it was, and as it is once the entry has expired."""
    twin, settings = with_redis

    async def conversation() -> None:
        async with opened(twin.app(replace(settings, cache_seconds=0.3))) as client:
            first = await client.get("/services/cached/7")
            assert first.content == (await client.get("/posts/7")).content
            assert first.headers["content-type"] == "application/json"
            await client.patch("/posts/7", json={"title": "Changed"})
            changed = await client.get("/posts/7")
            again = await client.get("/services/cached/7")
            assert again.content in (first.content, changed.content)
            await asyncio.sleep(0.4)
            assert (await client.get("/services/cached/7")).content == changed.content

    asyncio.run(conversation())


def test_an_entry_of_the_cache_is_answered_without_the_database(
    with_redis: tuple[Variant, Settings], databases: RedisDatabases
) -> None:
    """What another process of the app has kept is answered, whatever the database holds."""
    twin, settings = with_redis
    with databases.client(int(settings.redis.rpartition("/")[2])) as client:
        client.set("posts:7", '{"kept": true}')

    async def conversation() -> None:
        async with opened(twin.app(settings)) as client:
            assert (await client.get("/services/cached/7")).json() == {"kept": True}

    asyncio.run(conversation())


def test_a_missing_post_is_404_and_is_not_kept(
    talk_with_redis: Callable[[Talk], None], databases: RedisDatabases
) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        for _ in range(2):
            assert (await client.get("/services/cached/999999")).status_code == 404

    talk_with_redis(conversation)
    assert set(taken(databases).values()) == {1}


@pytest.mark.parametrize("twin", [twin.style for twin in TWINS])
def test_a_job_that_is_handed_over_is_done_by_the_worker_beside_the_server_while_that_is_loaded(
    redis_url: str, served: ServingEnvironment, twin: str
) -> None:
    """The mails are sent by another process, which is stopped except while the arm is loaded."""
    arm = next(arm for arm in built_in_arms() if arm.name == twin)
    with (
        Server(arm, served, "1.1") as server,
        RedisDatabases(redis_url).client(server.redis or 0) as client,
        httpx.Client(base_url=server.url) as asked,
    ):
        server.start_workers()
        (worker,) = server.workers.pids
        for _ in range(5):
            assert asked.post("/services/enqueue", json=MAIL).status_code == 202
        # The first is with a worker that asked for it before it was stopped.
        assert server.workers.unfinished() in (4, 5)
        assert client.hget("mails", MAIL["recipient"]) is None
        with server.workers.working():
            # Celery keeps the last one as taken for a while.
            wait_for(lambda: client.hget("mails", MAIL["recipient"]) == "5")
            wait_for(lambda: (server.workers.unfinished() or 0) <= 1)
        wait_for(lambda: psutil.Process(worker).status() == psutil.STATUS_STOPPED)
    assert not psutil.pid_exists(worker)


def test_a_worker_ends_when_its_parent_closes_the_pipe(redis_url: str, tmp_path: Path) -> None:
    """Its end of stdin closes for any cause of the parent's death."""
    with RedisDatabases(redis_url) as databases:
        url = databases.url_of(databases.fresh())
        workers = QueueWorkers.started(built_in_arms()[1], url, lambda: None, tmp_path, ())
        (worker,) = workers.workers
        with workers.working():
            worker._stdin.close()
            assert psutil.Process(worker.pid).wait(timeout=10) is not None
        workers.stop()


def test_a_worker_that_does_not_start_is_one_clear_error(redis_url: str, tmp_path: Path) -> None:
    arm = built_in_arms()[1].model_copy(update={"env": {"DUEL_APP_CACHE_SECONDS": "soon"}})
    with pytest.raises(ChildFailed, match="the worker of arm 'async' ended") as caught:
        QueueWorkers.started(arm, redis_url, lambda: None, tmp_path, ())
    assert "DUEL_APP_CACHE_SECONDS='soon' is not float" in caught.value.cause


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.style)
def test_without_redis_its_routes_answer_503_and_say_why(twin: Variant, fresh: Opening) -> None:
    async def conversation(settings: Settings) -> None:
        async with opened(twin.app(settings)) as client:
            answer = await client.get("/services/cached/7")
            assert answer.status_code == 503
            assert answer.json() == {"detail": "This app was started without Redis"}
            handed = await client.post("/services/enqueue", json=MAIL)
            assert (handed.status_code, handed.json()) == (503, answer.json())

    with fresh(twin) as settings:
        asyncio.run(conversation(settings))


def test_nothing_blocks_the_event_loop_of_the_async_twin(fresh: Opening, databases: RedisDatabases) -> None:
    async def conversation(settings: Settings) -> None:
        async with opened(CREATE["async"](settings)) as client:
            with blockbuster_ctx():
                for _ in range(2):
                    assert (await client.get("/services/cached/7")).status_code == 200
                    assert (await client.post("/services/enqueue", json=MAIL)).status_code == 202

    with fresh(Variant("async")) as settings:
        asyncio.run(conversation(replace(settings, redis=databases.url_of(databases.fresh()))))


def test_clients_that_block_are_found_in_coroutines() -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("celery")
    queued = import_module("tests.apps.queued")
    found = [read(function, APPS)["blocks"] for function in (queued.read_cached, queued.hand_over)]
    assert [one["what"] for each in found for one in each] == ["redis.Redis.get", "celery.Celery.send_task"]


@pytest.mark.parametrize("twin", [twin.style for twin in TWINS])
def test_every_service_is_answered_without_an_error_with_many_users(
    served: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path, twin: str
) -> None:
    """More of them than there are threads, or connections to the queue."""
    arm = next(arm for arm in built_in_arms() if arm.name == twin)
    with Server(arm, served, f"9.{twin}") as server:
        for scenario in SERVICES:
            times = {"warmup": 0.0, "window": 0.05, "drain": 60.0, "warmup_turns": 0, "window_turns": 0}
            facts = loaded(locust[0], server.url, tmp_path / "s.npz", scenario=scenario, users=96, **times)
            assert facts["errors"] == [], scenario
            assert len(read_samples(tmp_path / "s.npz")) >= 96, scenario


def test_every_server_gets_an_empty_database_of_its_own_and_leaves_none(
    redis_url: str, databases: RedisDatabases, tmp_path: Path
) -> None:
    before = taken(databases)
    with ServingEnvironment(tmp_path, {}, redis=redis_url) as environment:
        with (
            Server(app("counting"), environment, "1.1") as one,
            Server(app("counting"), environment, "1.2") as two,
        ):
            first, second = one.redis, two.redis
            assert first is not None
            assert second is not None
            assert taken(databases) == {**before, first: 1, second: 1}
            assert first != second
            with databases.client(first) as client:
                client.set("left", "behind")
        assert taken(databases) == before


def test_a_database_that_holds_anything_is_neither_taken_nor_flushed(databases: RedisDatabases) -> None:
    number = databases.fresh()
    databases.drop(number)
    with databases.client(number) as client:
        client.set("precious", "1")
        try:
            assert databases.fresh() != number
            assert client.get("precious") == "1"
            assert client.dbsize() == 1
        finally:
            client.delete("precious")


def test_databases_of_a_killed_run_are_taken_again_and_a_running_one_keeps_its_own(
    databases: RedisDatabases,
) -> None:
    number = databases.fresh()
    databases.drop(number)
    with databases.client(number) as client:
        client.mset({MARK: "999999999 1.0", "left": "behind"})
        assert databases.fresh() == number
        assert client.keys() == [MARK]
        with RedisDatabases(databases.url) as other:
            assert other.fresh() != number
            assert client.keys() == [MARK]


def test_a_server_without_an_empty_database_is_one_clear_error(
    databases: RedisDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "_number", lambda: 0)
    with pytest.raises(ChildFailed, match="no database of the Redis server is empty"):
        databases.fresh()


def test_the_work_of_the_server_counts_as_own_work(databases: RedisDatabases) -> None:
    pid = databases.server_pid()
    assert pid is not None
    assert psutil.Process(pid).name() in ("redis-server", "valkey-server")


def test_a_temporary_server_ends_with_its_keeper_wants_its_password_and_removes_its_files(
    redis_url: str, tmp_path: Path
) -> None:
    with own_redis(tmp_path, ()) as (url, keeper):
        (server,) = psutil.Process(keeper.pid).children(recursive=True)
        home, password = Path(server.cwd()), urlsplit(url).password or ""
        assert home.is_dir()
        assert password
        assert password not in " ".join(server.cmdline())
        assert {one.laddr.ip for one in server.net_connections("tcp")} == {"127.0.0.1"}
        with pytest.raises(PlanError, match="uthentication"), RedisDatabases(url.replace(password, "")):
            pass
        keeper._stdin.close()  # like the death of the parent, for any reason
        psutil.Process(keeper.pid).wait(timeout=20)
    assert not home.exists()
    with suppress(psutil.NoSuchProcess):
        assert server.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("http://127.0.0.1", "is not a redis:// URL"),
        ("127.0.0.1:6379", "is not a redis:// URL"),
        ("redis://:secret@cache.example.org", "is on cache.example.org, not on this machine"),
        ("redis://:secret@192.0.2.1:6379", "is on 192.0.2.1"),
        ("redis://", "is on no host"),
        ("redis://:secret@127.0.0.1:port", "cannot be read"),
        ("redis://:secret@127.0.0.1/5", "names more than a server"),
        ("redis://:secret@127.0.0.1?db=5", "names more than a server"),
    ],
)
def test_a_server_that_cannot_be_used_is_refused_without_telling_its_password(given: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        checked_redis(given)
    assert said in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.cause} {caught.value.hint}"


@pytest.mark.parametrize("given", ["redis://127.0.0.1", "redis://:p@[::1]:6379/", "redis://localhost:6379"])
def test_a_server_on_this_machine_is_accepted(given: str) -> None:
    assert checked_redis(given) == given


def test_a_server_that_refuses_us_is_one_clear_error_without_the_password(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    done = duel_here("check", "--redis-url", "redis://:secret@127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no connection to the Redis server redis://127.0.0.1:9")
    assert "secret" not in done.stderr


def test_a_scenario_that_needs_redis_is_refused_without_one(tmp_path: Path) -> None:
    done = duel_here("run", "-s", "cached", "-u", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: scenario 'cached' needs Redis")
    assert "--redis" in done.stderr
    assert "redis-server" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_machine_without_a_server_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(redis_databases, "server_program", lambda: None)
    with pytest.raises(PlanError, match="no Redis server is installed") as caught, own_redis(tmp_path, ()):
        pass
    assert "redis-server" in caught.value.hint


def test_a_missing_package_is_named_before_a_server_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(PlanError, match="Redis needs its package") as caught, own_redis(tmp_path, ()):
        pass
    assert caught.value.hint == "pip install 'fastapi-duel[redis]'"


def test_with_redis_the_profiles_with_every_endpoint_have_its_scenarios_too() -> None:
    usual = {cell.scenario for cell in planned().cells}
    assert not usual & {*SERVICES}
    assert {cell.scenario for cell in planned(redis=True).cells} == usual | {*SERVICES}
    quick = planned(profile="quick", redis=True)
    assert not {cell.scenario for cell in quick.cells} & {*SERVICES}


def test_redis_is_one_that_is_started_or_one_that_is_given() -> None:
    assert planned(redis=True).redis
    assert planned(redis_url="redis://127.0.0.1").redis
    assert not planned().redis
    with pytest.raises(PlanError, match="exclude each other"):
        planned(redis=True, redis_url="redis://127.0.0.1")


def test_a_run_with_redis_records_that_and_not_the_password(redis_url: str, tmp_path: Path) -> None:
    done = brisk_here(
        "run", "-s", "enqueue", "-u", "4", "-t", "0.3", "--warmup", "0.1", "--rounds", "1",
        cwd=tmp_path, DUEL_REDIS_URL=redis_url,
    )  # fmt: skip
    carried_out(done.returncode, done.stderr)
    (where,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(where).load()
    assert run.plan.redis
    assert ", Redis " in (run.machine.database or "")
    assert run.answers_compared == len(FEW)
    assert not any(trial.errors for trial in run.trials)
    for trial in run.trials:
        assert trial.resources.jobs is not None
        assert (trial.resources.worker_cpu or 0.0) > 0.0
    password = urlsplit(redis_url).password or ""
    assert password
    for file in where.rglob("*"):
        assert file.is_dir() or password.encode() not in file.read_bytes(), file
    shown = duel_here("config", cwd=tmp_path, DUEL_REDIS_URL=redis_url)
    assert "redis-url = redis://127.0.0.1" in shown.stdout
    assert password not in shown.stdout
    again = duel_here("resume", str(where), cwd=tmp_path)
    assert again.returncode == 2
    assert "pass --redis or --redis-url as then" in again.stderr
