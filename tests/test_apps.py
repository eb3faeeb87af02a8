"""Behaviour of the twin apps, tested on each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from zlib import crc32

import httpx
import pytest

from shared_models import work
from shared_models.settings import Settings
from tests.asgi import conversed
from tests.conftest import CREATE, Talk, rows

Converse = Callable[[Talk], None]
NEW_POST = {"title": "T", "body": "B", "author_id": 5, "published_on": "2026-01-02"}


def test_a_user_can_be_created_read_replaced_changed_and_deleted(talk: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        created = await client.post("/users", json={"name": "Ada", "email": "ada@example.org"})
        assert created.status_code == 201
        path = f"/users/{created.json()['id']}"
        assert (await client.get(path)).json() == created.json()
        replaced = await client.put(path, json={"name": "A. L.", "email": "al@example.org"})
        assert replaced.json() == {**created.json(), "name": "A. L.", "email": "al@example.org"}
        changed = await client.patch(path, json={"name": "Lovelace"})
        assert changed.json() == {**replaced.json(), "name": "Lovelace"}
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404

    talk(conversation)


def test_a_post_includes_its_author_and_can_be_reassigned(talk: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        created = await client.post("/posts", json=NEW_POST)
        assert created.status_code == 201
        assert created.json()["author"]["id"] == 5
        path = f"/posts/{created.json()['id']}"
        moved = await client.put(path, json={**NEW_POST, "author_id": 6})
        assert moved.json()["author"]["id"] == 6
        changed = await client.patch(path, json={"title": "Better"})
        assert changed.json() == {**moved.json(), "title": "Better"}
        assert (await client.get(path)).json() == changed.json()

    talk(conversation)


def test_the_newest_posts_come_first_in_pages(talk: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        first = (await client.get("/posts?limit=3")).json()
        second = (await client.get("/posts?limit=3&offset=3")).json()
        ids = [post["id"] for post in first + second]
        assert ids == sorted(ids, reverse=True)
        assert len(set(ids)) == 6

    talk(conversation)


def test_deleting_a_user_deletes_the_users_posts(talk: Converse, settings: Settings) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        assert (await client.get("/users/9/posts")).json()
        assert (await client.delete("/users/9")).status_code == 204

    talk(conversation)
    assert rows(settings, "SELECT count(*) FROM posts WHERE author_id = 9") == [(0,)]


def test_an_email_is_unique(talk: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        taken = {"name": "Other", "email": "author1@example.org"}
        for answer in (
            await client.post("/users", json=taken),
            await client.put("/users/2", json=taken),
            await client.patch("/users/2", json={"email": "author1@example.org"}),
        ):
            assert answer.status_code == 409
        assert (await client.get("/users/2")).json()["email"] == "author2@example.org"

    talk(conversation)


def test_a_body_with_unknown_or_empty_fields_is_refused_with_422(talk_of_twin: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        bad = (
            {"name": "", "email": "a@b.c"},
            {"name": "A", "email": "nowhere"},
            {"name": "A", "email": "a@b.c", "admin": True},
            {"name": None, "email": "a@b.c"},
        )
        for body in bad:
            assert (await client.post("/users", json=body)).status_code == 422
        assert (await client.patch("/users/1", json={"name": None})).status_code == 422
        assert (await client.post("/posts", json={**NEW_POST, "author_id": 2**70})).status_code == 422

    talk_of_twin(conversation)


def test_api_errors_are_json_and_page_errors_are_html(talk: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        for path, status in (("/posts/999999", 404), ("/posts/seven", 422), ("/nowhere", 404)):
            answer = await client.get(path)
            assert answer.status_code == status
            assert "detail" in answer.json()
        for path, status in (
            ("/pages/posts/999999", 404),
            ("/pages/posts/seven", 422),
            ("/pages/nowhere", 404),
        ):
            answer = await client.get(path)
            assert answer.status_code == status
            assert answer.headers["content-type"].startswith("text/html")
            assert f"<h1>{status}</h1>" in answer.text

    talk(conversation)


def test_pages_escape_what_users_write(talk: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        created = await client.post("/posts", json={**NEW_POST, "title": "<script>alert(1)</script>"})
        page = await client.get(f"/pages/posts/{created.json()['id']}")
        assert "<script>" not in page.text
        assert "&lt;script&gt;" in page.text

    talk(conversation)


def test_a_mail_is_accepted_at_once_and_sent_in_the_background(talk: Converse, settings: Settings) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        answer = await client.post("/background", json={"recipient": "reader@example.org"})
        assert answer.status_code == 202

    talk(conversation)
    assert rows(settings, "SELECT recipient FROM mails") == [("reader@example.org",)]


def test_an_upstream_that_is_down_gives_502_and_a_failed_checkout_leaves_no_order(
    talk: Converse, settings: Settings
) -> None:
    """The default upstream is a port where nothing listens."""

    async def conversation(client: httpx.AsyncClient) -> None:
        for path in ("/upstream", "/fan-out", "/pitfalls/plain-client"):
            assert (await client.get(path)).status_code == 502
        order = await client.post("/checkout", json={"user_id": 1, "post_id": 1})
        assert order.status_code == 502

    talk(conversation)
    assert rows(settings, "SELECT count(*) FROM orders") == [(0,)]


def test_numbers_out_of_bounds_are_refused_with_422(talk_of_twin: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        for path in (
            "/sleep?seconds=-1", "/sleep?seconds=6", "/sleep?seconds=nan", "/fan-out?calls=0",
            "/fan-out?calls=21",
            "/python?iterations=0",
            "/hash?iterations=x", "/crunch?rows=0", "/image?width=1", "/posts?limit=0",
            "/posts?offset=-1", "/users/0", f"/users/{2**64}",
        ):  # fmt: skip
            assert (await client.get(path)).status_code == 422, path

    talk_of_twin(conversation)


def test_an_answer_is_the_same_bytes_however_it_is_made(talk: Converse) -> None:
    """Without a response model, and from a blocking session."""

    async def conversation(client: httpx.AsyncClient) -> None:
        for usual, other in (
            ("/posts?limit=50", "/plumbing/list-plain"),
            ("/posts/77", "/pitfalls/session-blocking/77"),
        ):
            answers = [await client.get(path) for path in (usual, other)]
            assert [answer.status_code for answer in answers] == [200, 200]
            assert answers[0].content == answers[1].content

    talk(conversation)


def test_an_upload_and_a_stream_arrive_whole(talk_of_twin: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        sent = await client.post("/plumbing/upload", files={"file": b"a picture" * 30_000})
        assert sent.json() == {"result": f"270000 {crc32(b'a picture' * 30_000):08x}"}
        streamed = await client.get("/plumbing/stream")
        assert streamed.content == b"".join(map(work.chunk, range(64)))
        assert (await client.get("/plumbing/stream-lines")).content == work.document()

    talk_of_twin(conversation)


@pytest.mark.parametrize("style", CREATE)
def test_every_message_of_a_conversation_is_answered(style: str) -> None:
    app = CREATE[style](Settings())
    said = conversed(app, "/plumbing/websocket", ["Is it late?", "And now?"], "seconds=0")
    assert said == ["websocket.accept", "You asked: Is it late?", "You asked: And now?"]
    assert conversed(app, "/plumbing/websocket", ["Is it late?"], "seconds=6") == ["websocket.close"]


def test_dependencies_follow_the_language_of_the_visitor(talk_of_twin: Converse) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        headers = {"accept-language": "fi, ja;q=0.8, en"}
        answer = await client.get("/plumbing/dependencies", headers=headers)
        assert answer.json() == {"result": "JPY: reviews, search"}

    talk_of_twin(conversation)


def test_writers_in_parallel_queue_for_the_database(talk: Converse) -> None:
    """More writers than connections, each reading before it writes: none may get a locked database."""

    async def conversation(client: httpx.AsyncClient) -> None:
        changes = [client.patch(f"/posts/{1 + n}", json={"title": f"T{n}"}) for n in range(60)]
        answers = await asyncio.gather(*changes)
        assert [answer.status_code for answer in answers] == [200] * 60

    talk(conversation)
