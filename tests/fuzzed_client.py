"""The lean client's parsing path under whatever a server may send: `python -m tests.fuzzed_client`."""

from __future__ import annotations

import contextlib

# First of all: it patches sockets.
from loadtests import client  # isort: skip

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st


class Fed(client.Connection):
    """A connection's parsing, without a socket."""

    def __init__(self) -> None:
        self.reusable = True
        self.bodiless = False
        self.response = client.Response()
        self.parser = httptools.HttpResponseParser(self)


HEADS = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 204 No\r\n", b"HTTP/1.1 999 \r\n",
     b"Content-Length: 3\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n",
     b"Transfer-Encoding: chunked\r\n", b"\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n",
     b"abc", b"Connection: close\r\n", b"X: \xff\xfe\r\n", b": \r\n", b"\x00"]
)  # fmt: skip


@settings(max_examples=2_000, deadline=None)
@given(st.lists(st.one_of(HEADS, st.binary(max_size=20)), max_size=12), st.integers(1, 40))
def test_any_bytes_are_an_answer_or_a_parse_error_however_they_are_cut(parts: list[bytes], size: int) -> None:
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


if __name__ == "__main__":
    test_any_bytes_are_an_answer_or_a_parse_error_however_they_are_cut()
