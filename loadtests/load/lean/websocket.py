"""WebSockets of the lean client's users: wsproto reads and writes the frames, on the client's own streams.

Every handshake is a row of Locust's `request` event, and so is every message that is asked: from the question
until the whole answer has come. What the server sends by itself is a row without a response time.

Nothing is compressed. Pings are answered while a message is waited for: a server that closes a WebSocket
whose user does not answer one in time will do so to users who think for longer than that.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, Self

import gevent
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from loadtests.load.lean.connection import Connection, RequestFailed, Response, TcpStream, Unfinished

if TYPE_CHECKING:
    from locust.env import Environment

KIND = "WS"
"""Locust's `request_type` of all rows."""

LARGEST = 2**24
"""Bytes that a server may send for one question, as many as uvicorn takes in one message."""

MOST_REFUSAL = 4_096
"""Bytes that are read of the body of a refusal."""

GOODBYE, TOO_LARGE = 1000, 1009
"""Codes with which a WebSocket is closed."""


class WebSocketClosed(Exception):
    """The server closed the WebSocket and did not answer."""

    def __init__(self, code: int, reason: str | None) -> None:
        super().__init__(f"the server closed it with code {int(code)}" + (f": {reason}" if reason else ""))
        self.code = code


class FramesInvalid(Exception):
    """What the server sent breaks the protocol."""

    def __init__(self, code: int, reason: str | None) -> None:
        super().__init__(reason or "the frames of the server are not valid")
        self.code = code


class AnswerTooLarge(Exception):
    """The server sent more than is read for one question."""

    def __init__(self) -> None:
        super().__init__(f"more than {LARGEST} bytes")
        self.code = TOO_LARGE


FAILURES = (OSError, ProtocolError, ValueError, RequestFailed, WebSocketClosed, FramesInvalid, AnswerTooLarge)
"""What a server can cause; wsproto decodes headers, hence ValueError."""


class SocketOwner(Protocol):
    """What a WebSocket needs of the client that opens it, which is a Client."""

    environment: Environment
    netloc: str
    prefix: str
    waited: bool

    def starting(self, now: float) -> float: ...

    def taken(self) -> Connection | None: ...

    def opened(self, kind: type[TcpStream], deadline: float) -> TcpStream: ...

    def report(
        self,
        method: str,
        path: str,
        name: str | None,
        wall: float,
        seconds: float | None,
        response: Response,
        failure: Exception | None,
    ) -> None: ...


class SocketAnswer(Response):
    """A message, or the answer to a handshake; a message has the status of its handshake, 101."""

    __slots__ = ()

    @property
    def ok(self) -> bool:
        return self.error is None


class WebSocket:
    """One WebSocket: `socket.ask("hello").text`."""

    def __init__(self, client: SocketOwner, path: str, name: str, timeout: float) -> None:
        self.client = client
        self.path = path
        self.name = name
        self.timeout = timeout
        self.stream: TcpStream | None = None
        self.frames: Frames | None = None
        """What reads and writes them, from the handshake on."""
        self.pieces: list[Any] = []
        """Of a message that has not come completely."""
        self.came = 0
        """Bytes since the last question."""
        self.error: Exception | None = None
        """Why it is not open."""

    @property
    def open(self) -> bool:
        """Whether it can be asked, as far as is known: that a server has closed it shows with the next
        question."""
        return self.stream is not None

    def connect(self, headers: Mapping[str, str]) -> None:
        """Open it; `Client.websocket` does."""
        wall, now = time.time(), perf_counter()
        start, name = self.client.starting(now), f"{self.name} connect"
        answer, seconds = self._attempt(name, wall, start, lambda made: self._open(made, now, headers))
        self._report(name, wall, seconds, answer, answer.error)

    def ask(self, message: str | bytes, *, catch_response: bool = False) -> SocketAnswer:
        """Send a message and wait for the next one that comes, reported as one request. Whatever came before
        is no answer. `catch_response`: as in a Client's requests.

        Where the WebSocket is not open, the answer has the error that was reported then, and nothing is
        reported again.
        """
        if self.stream is None:
            return self._unasked()
        wall, start = time.time(), perf_counter()
        answer, seconds = self._attempt(self.name, wall, start, lambda made: self._exchange(made, message))
        if catch_response:
            answer._report = lambda failure: self._report(self.name, wall, seconds, answer, failure)
        else:
            self._report(self.name, wall, seconds, answer, answer.error)
        return answer

    def receive(self) -> SocketAnswer:
        """Wait for a message that the server sends by itself, such as a greeting. It is counted, and has no
        response time: it was not asked for."""
        if self.stream is None:
            return self._unasked()
        wall, start, name = time.time(), perf_counter(), f"{self.name} pushed"
        answer, seconds = self._attempt(name, wall, start, self._wait_for_one)
        self._report(name, wall, None if answer.ok else seconds, answer, answer.error)
        return answer

    def close(self, code: int = GOODBYE) -> None:
        """Say goodbye, and do not wait for the server's own: that would be a pause of the user in no row."""
        self._drop(code)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _attempt(
        self, name: str, wall: float, start: float, work: Callable[[SocketAnswer], None]
    ) -> tuple[SocketAnswer, float]:
        """What came of `work`, which fills the answer, and how long it took."""
        answer = SocketAnswer()
        self.came = 0
        try:
            work(answer)
            end = perf_counter()
            self.client.waited = True
        except FAILURES as error:
            end = perf_counter()
            self.client.waited = False
            answer.error = self.error = error
            self._drop(getattr(error, "code", None))
        except gevent.GreenletExit:
            self._drop(None)
            # As a Client's requests: without a stop timeout, those in flight are not reported.
            if self.client.environment.stop_timeout:
                self._report(name, wall, perf_counter() - start, SocketAnswer(), Unfinished())
            raise
        return answer, end - start

    def _open(self, answer: SocketAnswer, now: float, headers: Mapping[str, str]) -> None:
        """The handshake, on a connection that was opened ahead or on a new one."""
        deadline = now + self.timeout
        ahead = self.client.taken()
        if ahead is not None:
            try:
                self._shake_hands(ahead, deadline, answer, headers)
                return
            except OSError as error:
                # Closed while it was idle: the handshake is repeated, as any GET is.
                if self.came or isinstance(error, TimeoutError):
                    raise
                self._drop(None)
                answer.resent = True
        self._shake_hands(self.client.opened(TcpStream, deadline), deadline, answer, headers)

    def _shake_hands(
        self, stream: TcpStream, deadline: float, answer: SocketAnswer, headers: Mapping[str, str]
    ) -> None:
        self.stream = stream
        stream.deadline = deadline
        handshake = WSConnection(ConnectionType.CLIENT)
        extra = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]
        target = self.client.prefix + self.path
        stream.send(handshake.send(Request(host=self.client.netloc, target=target, extra_headers=extra)))
        while handshake.connection is None:
            data = stream.receive()
            if not data and answer.status_code:
                raise refused(answer, self.name)
            handshake.receive_data(self._counted(data))
            for event in handshake.handshake.events():
                take(event, answer, self.name)
        self.frames = handshake.connection
        answer.status_code = 101

    def _exchange(self, answer: SocketAnswer, message: str | bytes) -> None:
        stream, frames = self._ready()
        for earlier in self._arrived(stream, frames):
            self._report_pushed(earlier)
        # The rest of a message that has started is no answer either.
        started = bool(self.pieces)
        event: Event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        stream.send(frames.send(event))
        content = self._coming(stream, frames)
        if started:
            self._report_pushed(content)
            content = self._next(stream, frames)
        fill(answer, content)

    def _wait_for_one(self, answer: SocketAnswer) -> None:
        fill(answer, self._next(*self._ready()))

    def _ready(self) -> tuple[TcpStream, Frames]:
        """What the next message comes by, and the time that it may take is set. Raises OSError."""
        stream, frames = self.stream, self.frames
        if stream is None or frames is None:
            raise OSError(errno.ENOTCONN, "the WebSocket is not open")
        stream.deadline = perf_counter() + self.timeout
        return stream, frames

    def _arrived(self, stream: TcpStream, frames: Frames) -> Iterator[bytes]:
        """The messages that are there without waiting. Raises FAILURES, as where it was closed."""
        yield from self._complete(stream, frames)
        while (data := stream.arrived()) is not None:
            frames.receive_data(self._counted(data))
            yield from self._complete(stream, frames)

    def _next(self, stream: TcpStream, frames: Frames) -> bytes:
        """The next message, which may be there. Raises FAILURES."""
        for content in self._complete(stream, frames):
            return content
        return self._coming(stream, frames)

    def _coming(self, stream: TcpStream, frames: Frames) -> bytes:
        """The next message, where none is there. Raises FAILURES."""
        while True:
            frames.receive_data(self._counted(stream.receive()))
            for content in self._complete(stream, frames):
                return content

    def _counted(self, data: bytes) -> bytes:
        """The bytes that came. Raises ConnectionResetError at the stream's end, and AnswerTooLarge."""
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "the server closed the connection")
        self.came += len(data)
        if self.came > LARGEST:
            raise AnswerTooLarge
        return data

    def _complete(self, stream: TcpStream, frames: Frames) -> Iterator[bytes]:
        """The messages whose last byte has come; pings among them are answered. Who takes only the first one
        finds the others at the next call. Raises WebSocketClosed, FramesInvalid, and OSError."""
        for event in frames.events():
            if isinstance(event, Message):
                self.pieces.append(event.data)
                if event.message_finished:
                    pieces, self.pieces = self.pieces, []
                    yield joined(pieces)
            elif isinstance(event, Ping):
                stream.send(frames.send(event.response()))
            elif isinstance(event, CloseConnection):
                closed = frames.state is ConnectionState.REMOTE_CLOSING
                raise (WebSocketClosed if closed else FramesInvalid)(event.code, event.reason)

    def _unasked(self) -> SocketAnswer:
        """The answer where there is none to wait for. Yields, so that a user who continues to ask does not
        stop the others."""
        gevent.sleep(0)
        answer = SocketAnswer()
        answer.error = self.error or OSError(errno.ENOTCONN, "the user has closed the WebSocket")
        return answer

    def _drop(self, code: int | None) -> None:
        """Close the stream, after a close frame if there is a code for it."""
        stream, self.stream = self.stream, None
        if stream is None:
            return
        if code is not None and self.frames is not None:
            # Without waiting: the kernel takes it, or the server does not read.
            with suppress(OSError, ProtocolError):
                stream.socket.send(self.frames.send(CloseConnection(code)))
        stream.close()

    def _report_pushed(self, content: bytes) -> None:
        answer = SocketAnswer()
        fill(answer, content)
        self._report(f"{self.name} pushed", time.time(), None, answer, None)

    def _report(
        self,
        name: str,
        wall: float,
        seconds: float | None,
        answer: SocketAnswer,
        failure: Exception | None,
    ) -> None:
        self.client.report(KIND, self.path, name, wall, seconds, answer, failure)


def fill(answer: SocketAnswer, content: bytes) -> None:
    answer.status_code = 101
    answer.chunks.append(content)


def joined(pieces: list[Any]) -> bytes:
    """A message of its pieces, which are all text or all bytes."""
    whole = pieces[0] if len(pieces) == 1 else pieces[0][:0].join(pieces)
    return whole.encode() if isinstance(whole, str) else bytes(whole)


def take(event: Event, answer: SocketAnswer, name: str) -> None:
    """One event of a handshake. Raises RequestFailed where it was refused and all of that is known."""
    if isinstance(event, RejectConnection):
        answer.status_code = event.status_code
        answer.raw_headers = [(bytes(key), bytes(value)) for key, value in event.headers]
        if not event.has_body:
            raise refused(answer, name)
    elif isinstance(event, RejectData):
        answer.chunks.append(bytes(event.data))
        if event.body_finished or len(answer.content) > MOST_REFUSAL:
            raise refused(answer, name)
    elif not isinstance(event, AcceptConnection):
        raise RequestFailed(f"{type(event).__name__} in the handshake")


def refused(answer: SocketAnswer, name: str) -> RequestFailed:
    """A handshake that was refused, with the reason if the server gives one in plain text."""
    plain = answer.headers.get("content-type", "").startswith("text/plain")
    said = answer.text.partition("\n")[0][:120].strip() if plain else ""
    why = f": {said}" if said else ""
    return RequestFailed(f"{answer.status_code} for {name} connect{why}")
