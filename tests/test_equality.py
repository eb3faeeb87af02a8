"""The twins do the same: equal responses, SQL and data for any request."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from blockbuster import blockbuster_ctx
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

import async_app.database
import async_app.main
from loadtests.measure.answers.equality import HEADERS
from loadtests.measure.answers.questions import QUESTIONS, SOCKET, Question
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.services.redis_databases import RedisDatabases
from shared_models.settings import Settings
from shared_models.tables import Base, Post
from sync_app.main import create_app
from tests.conftest import CREATE, VARIANTS, Opening, Variant, opened, rows
from tests.generated import Request, requests

ON_SQLITE = tuple(variant for variant in VARIANTS if variant.database == "sqlite")
ON_POSTGRESQL = tuple(variant for variant in VARIANTS if variant.database == "postgresql")
ON_MYSQL = tuple(variant for variant in VARIANTS if variant.database == "mysql")
PLACEHOLDER = re.compile(r"\$\d+(::[A-Z]+)?|%(\((\w+)\))?s(::[A-Z]+)?|\?")

FIXED = [question for question in QUESTIONS if question.method != SOCKET]
"""As requests: conversations, which use no database, are compared between the served twins."""

REQUESTS = requests(create_app(Settings()).openapi())


@pytest.fixture(scope="module")
def slow_url(environment: ServingEnvironment) -> str:
    """A slow service for both twins to call."""
    return environment.slow_url


@pytest.fixture(scope="module")
def redis(redis_url: str) -> Iterator[RedisDatabases]:
    """Where each app keeps its cache and its queue."""
    with RedisDatabases(redis_url) as opened:
        yield opened


@dataclass(frozen=True)
class Outcome:
    """The result of one request: the response, and the SQL with its parameters."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    statements: tuple[str, ...]


@dataclass
class Ledger:
    """Statements, commits and rollbacks of every engine, by database."""

    entries: dict[str, list[str]] = field(default_factory=dict)

    def note(self, connection: Connection, entry: str) -> None:
        self.entries.setdefault(str(connection.engine.url.database), []).append(entry)

    def on_execute(self, connection: Connection, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        values = parameters.values() if isinstance(parameters, dict) else parameters
        self.note(connection, f"{PLACEHOLDER.sub('?', statement)} {list(values)}")

    def on_commit(self, connection: Connection) -> None:
        self.note(connection, "COMMIT")

    def on_rollback(self, connection: Connection) -> None:
        self.note(connection, "ROLLBACK")

    def taken(self, knobs: Settings) -> tuple[str, ...]:
        """The entries since the previous call."""
        return tuple(self.entries.pop(str(knobs.blocking_url().database), ()))


@contextmanager
def ledger() -> Iterator[Ledger]:
    """Records every engine within the block."""
    made = Ledger()
    listeners: dict[str, Callable[..., None]] = {
        "before_cursor_execute": made.on_execute,
        "commit": made.on_commit,
        "rollback": made.on_rollback,
    }
    for name, listener in listeners.items():
        event.listen(Engine, name, listener)
    try:
        yield made
    finally:
        for name, listener in listeners.items():
            event.remove(Engine, name, listener)


async def outcome(
    client: httpx.AsyncClient, request: Request, newest: dict[str, int], book: Ledger, knobs: Settings
) -> Outcome:
    headers = {"content-type": request.content_type} if request.content_type else {}
    response = await client.request(request.method, request.at(newest), content=request.body, headers=headers)
    if response.status_code == 201:
        newest[request.kind] = response.json()["id"]
    kept = tuple((name, response.headers[name]) for name in HEADERS if name in response.headers)
    return Outcome(response.status_code, kept, response.content, book.taken(knobs))


async def outcomes(
    variant: Variant, knobs: Settings, sequence: Sequence[Request], book: Ledger
) -> list[Outcome]:
    """The outcomes of a sequence of requests on one variant of the twins."""
    newest: dict[str, int] = {}
    async with opened(variant.app(knobs)) as client:
        book.taken(knobs)
        return [await outcome(client, request, newest, book, knobs) for request in sequence]


def content(knobs: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the database."""
    return {name: rows(knobs, f"SELECT * FROM {name} ORDER BY id") for name in Base.metadata.tables}  # noqa: S608  # our own tables


def assert_equal(
    variants: Sequence[Variant],
    fresh: Opening,
    slow_url: str,
    redis: RedisDatabases,
    sequence: Sequence[Request],
) -> None:
    """Assert that all variants give equal responses to a sequence, with the same SQL and the same final
    data. What an app caches does not expire meanwhile: then both read it from the database as often."""
    first: list[Outcome] = []
    data: dict[str, list[tuple[Any, ...]]] = {}
    for variant in variants:
        with fresh(variant) as plain, ledger() as book:
            number = redis.fresh()
            knobs = replace(
                plain, upstream=f"{slow_url}/equality/", redis=redis.url_of(number), cache_seconds=600.0
            )
            found = asyncio.run(outcomes(variant, knobs, sequence, book))
            left = content(knobs)
            redis.drop(number)
        for request, ours, theirs in zip(sequence, first, found, strict=False):
            assert theirs == ours, f"{variants[0]} and {variant} differ on {request}"
        for request, theirs in zip(sequence, found, strict=True):
            assert theirs.status < 500, f"{variant} broke on {request}: {theirs}"
        assert left == (data or left), f"{variants[0]} and {variant} leave different data"
        first, data = first or found, data or left


@pytest.mark.parametrize(
    ("variants", "few", "many"),
    [(ON_SQLITE, 6, 400), (ON_POSTGRESQL, 2, 100), (ON_MYSQL, 2, 100)],
    ids=["sqlite", "postgresql", "mysql"],
)
def test_generated_sequences_get_equal_responses_with_the_same_sql_and_leave_the_same_data(
    variants: Sequence[Variant],
    few: int,
    many: int,
    fresh: Opening,
    slow_url: str,
    redis: RedisDatabases,
) -> None:
    """Valid and invalid creates, reads, changes and deletes; each sequence on fresh data.

    `pytest --hypothesis-profile=long` (make bars-long) runs `many` sequences, from new seeds.
    """
    asked = 0
    long = examples.get_current_profile_name() == "long"
    # Each sequence starts apps and copies data: here fewer of them make as many requests.
    sequences, least = (many, 20) if long else (few, 40)

    @examples(
        max_examples=sequences,
        derandomize=not long,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    @given(st.lists(REQUESTS, min_size=least, max_size=2 * least))
    def check(sequence: list[Request]) -> None:
        nonlocal asked
        asked += len(sequence)
        assert_equal(variants, fresh, slow_url, redis, sequence)

    check()
    assert asked >= least * sequences


def test_equal_responses_with_different_sql_are_detected(
    fresh: Opening, slow_url: str, redis: RedisDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: an async twin that reads before it takes the write lock."""

    def forgetful(knobs: Settings) -> FastAPI:
        app = async_app.main.create_app(knobs)
        app.dependency_overrides[async_app.database.get_writing] = async_app.database.get_reading
        return app

    monkeypatch.setitem(CREATE, "async", forgetful)
    with pytest.raises(AssertionError, match="sync-sqlite and async-sqlite differ on"):
        assert_equal(ON_SQLITE, fresh, slow_url, redis, [Request("DELETE", "/posts/7", "posts")])


def as_request(question: Question) -> Request:
    body = None if question.body is None else json.dumps(question.body).encode()
    kind = "application/json" if body else None
    return Request(question.method, question.path, question.path.split("/")[1], body, kind)


@pytest.mark.parametrize(
    "variants", [ON_SQLITE, ON_POSTGRESQL, ON_MYSQL], ids=["sqlite", "postgresql", "mysql"]
)
def test_the_fixed_requests_reach_every_endpoint_with_the_same_sql(
    variants: Sequence[Variant], fresh: Opening, slow_url: str, redis: RedisDatabases
) -> None:
    assert_equal(variants, fresh, slow_url, redis, [as_request(question) for question in FIXED])


# PyMySQL, interrupted by Blockbuster while it connects, leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.style == "async"], ids=str)
def test_only_the_labelled_pitfalls_block_the_loop_of_the_async_twin(
    variant: Variant, fresh: Opening, slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocking calls raise here; computing holds the loop too, but that is its purpose."""
    # The route uses the function by a name that was bound before blocking calls started to raise.
    monkeypatch.setattr("async_app.routers.pitfalls.sleep", lambda seconds: time.sleep(seconds))  # noqa: PLW0108  # late-bound on purpose

    async def conversation(knobs: Settings) -> set[str]:
        async with opened(variant.app(knobs)) as client:
            with blockbuster_ctx():
                answers = {
                    question.path.partition("?")[0]: await client.request(
                        question.method, question.path, json=question.body
                    )
                    for question in FIXED
                }
        return {path for path, answer in answers.items() if answer.status_code == 500}

    with fresh(variant) as knobs:
        blocking = asyncio.run(conversation(replace(knobs, upstream=f"{slow_url}/equality/")))
    # Pillow reads the working directory before it computes.
    labelled = {"/pitfalls/blocking", "/pitfalls/file-inline", "/pitfalls/session-blocking/77", "/image"}
    # Psycopg blocks in C, where nothing raises.
    unseen = set() if variant.database != "postgresql" else {"/pitfalls/session-blocking/77"}
    if sys.version_info >= (3, 14):
        # Path.read_bytes reads without a buffer, which Blockbuster lets pass.
        unseen.add("/pitfalls/file-inline")
    assert blocking == labelled - unseen
    # Here, where those sockets are no error, and not in some later test.
    gc.collect()


def test_a_relationship_that_no_query_loaded_is_an_error_and_not_a_hidden_query(fresh: Opening) -> None:
    with fresh(VARIANTS[0]) as settings:
        engine = create_engine(settings.blocking_url())
        with Session(engine) as session:
            post = session.get_one(Post, 1)
            with pytest.raises(InvalidRequestError, match="lazy='raise'"):
                _ = post.author
        engine.dispose()
