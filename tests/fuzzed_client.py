"""The lean client's parsers, fed arbitrary bytes: `python -m tests.fuzzed_client`."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

# Must come first: it patches sockets.
from loadtests.load.lean import connection, websocket  # isort: skip

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection


class Fed(connection.Connection):
    """A connection that parses given bytes, without a socket."""

    def __init__(self) -> None:
        self.reusable = True
        self.bodiless = False
        self.response = connection.Response()
        self.parser = httptools.HttpResponseParser(self)


HEADS = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 204 No\r\n", b"HTTP/1.1 999 \r\n",
     b"Content-Length: 3\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n",
     b"Transfer-Encoding: chunked\r\n", b"\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n",
     b"abc", b"Connection: close\r\n", b"X: \xff\xfe\r\n", b": \r\n", b"\x00"]
)  # fmt: skip


@settings(max_examples=2_000, deadline=None)
@given(st.lists(st.one_of(HEADS, st.binary(max_size=20)), max_size=12), st.integers(1, 40))
def test_any_bytes_are_a_response_or_a_parse_error_at_any_fragmentation(
    parts: list[bytes], size: int
) -> None:
    whole = b"".join(parts)
    fed = Fed()
    with contextlib.suppress(httptools.HttpParserError):
        for start in range(0, len(whole), size):
            fed.parser.feed_data(whole[start : start + size])
    response = fed.response
    assert 0 <= response.status_code <= 999
    assert isinstance(response.headers, dict)
    assert isinstance(response.content, bytes)
    if response.complete:
        assert response.status_code >= 200


class Pieces:
    """A stream of given bytes, which takes whatever is sent."""

    def __init__(self, whole: bytes, size: int) -> None:
        self.left = [whole[start : start + size] for start in range(0, len(whole), size)]
        self.deadline = 0.0

    def send(self, data: bytes) -> None: ...

    def receive(self) -> bytes:
        return self.left.pop(0) if self.left else b""


FRAMES = st.sampled_from(
    [b"\x81\x02hi", b"\x01\x02hi", b"\x00\x01!", b"\x80\x00", b"\x82\x7e\x00\x7e", b"\x82\x7f", b"\xff" * 8,
     b"\x89\x01?", b"\x8a\x00", b"\x88\x00", b"\x88\x02\x03\xe8", b"\x88\x01", b"\x81\x82\x00\x00\x00\x00hi",
     b"\xc1\x00", b"\x81\x01\xff", b"\x09\x00", b"x" * 126]
)  # fmt: skip
SWITCHING = st.sampled_from(
    [b"HTTP/1.1 101 Switching Protocols\r\n", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n",
     b"Sec-WebSocket-Accept: x\r\n", b"Sec-WebSocket-Protocol: \xff\r\n", b"Connection: \xff\r\n",
     b"Sec-WebSocket-Extensions: \xff\r\n"]
)  # fmt: skip


def talk() -> Any:
    client: Any = SimpleNamespace(netloc="127.0.0.1:80", prefix="")
    return websocket.WebSocket(client, "/", "talk", 1.0)


@settings(max_examples=1_000, deadline=None)
@given(st.lists(st.one_of(FRAMES, st.binary(max_size=20)), max_size=12), st.integers(1, 40))
def test_any_bytes_are_messages_until_a_failure(parts: list[bytes], size: int) -> None:
    socket, frames, stream = talk(), Connection(ConnectionType.CLIENT), Pieces(b"".join(parts), size)
    with contextlib.suppress(*websocket.FAILURES):
        while True:
            assert isinstance(socket._next(stream, frames), bytes)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(SWITCHING, HEADS, st.binary(max_size=20)), max_size=12), st.integers(1, 40))
def test_any_bytes_are_a_handshake_that_failed(parts: list[bytes], size: int) -> None:
    """The token of the right answer is not among them."""
    answer = websocket.SocketAnswer()
    failed = False
    try:
        talk()._shake_hands(Pieces(b"".join(parts), size), 0.0, answer, {})
    except websocket.FAILURES:
        failed = True
    assert failed


if __name__ == "__main__":
    test_any_bytes_are_messages_until_a_failure()
    test_any_bytes_are_a_handshake_that_failed()
    test_any_bytes_are_a_response_or_a_parse_error_at_any_fragmentation()
