"""The lean client's parser, fed arbitrary bytes: `python -m tests.fuzzed_client`."""

from __future__ import annotations

import contextlib

# Must come first: it patches sockets.
from loadtests.load.lean import connection  # isort: skip

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st


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


if __name__ == "__main__":
    test_any_bytes_are_a_response_or_a_parse_error_at_any_fragmentation()
