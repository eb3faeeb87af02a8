"""The child process that serves one ASGI app under uvicorn with exact serving knobs.

Runs as a file (`python -P serve.py shop.main:app …`), in any environment that has uvicorn and
anyio: the arm under test may live in another virtual environment or another Python. It therefore
imports nothing of ours but vitals.py, the file beside it.

Speaks to its parent in JSON lines: one on stdout once it accepts requests; then for every line on
stdin, `{"vitals": SINCE}`, one with the heartbeats of each worker from that moment on. The end of
stdin tells it that the parent is gone and it must go too.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import importlib.util
import inspect
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from anyio.to_thread import current_default_thread_limiter

if TYPE_CHECKING:
    from loadtests.vitals import Heart

GRACE = 2.0
"""Seconds that requests in flight get when the server is told to stop."""


class UnusableApp(Exception):
    """The import string leads to nothing that can be served."""


def load(target: str) -> Any:
    """The ASGI app at `module:attribute`; a function without parameters is called to make it."""
    module_name, _, attribute = target.partition(":")
    if not attribute:
        raise UnusableApp(f"{target!r} is not of the form module:attribute")
    found: Any = importlib.import_module(module_name)
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise UnusableApp(f"module {module_name!r} has no attribute {attribute!r}") from None
    return found() if is_factory(found) else found


def is_factory(found: Any) -> bool:
    """A function that needs no argument makes an app; an app takes scope, receive and send."""
    if not inspect.isfunction(found):
        return False
    parameters = inspect.signature(found).parameters.values()
    return not any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters
    )


class Server(uvicorn.Server):
    """uvicorn's server, which sets the knobs of the running loop and then says it is ready."""

    def __init__(
        self,
        config: uvicorn.Config,
        options: argparse.Namespace,
        parent: int,
        heart: Heart | None,
        origin: str | None,
    ) -> None:
        super().__init__(config)
        self.parent = parent
        self.origin = origin
        self.threads: int = options.threads
        self.freeze: bool = options.gc == "freeze"
        self.gc_threshold: int | None = options.gc_threshold
        self.heart = heart

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        current_default_thread_limiter().total_tokens = self.threads
        await super().startup(sockets=sockets)
        if self.freeze:
            # What was built at start-up lives until the end: no full collection need look at it.
            gc.collect()
            gc.freeze()
            gc.set_threshold(10_000, 20, 100)
        if self.gc_threshold is not None:
            gc.set_threshold(self.gc_threshold)
        if self.heart is not None:
            self.heart.start()
        if sockets:
            say_ready(self.parent, sockets[0], self.origin)


def say_ready(parent: int, listener: socket.socket, origin: str | None) -> None:
    """Tell the parent, in one line, the port where requests are accepted, and the file that the app's module
    was really imported from."""
    say(parent, {"ready": listener.getsockname()[1], "pid": os.getpid(), "origin": origin})


def say(parent: int, message: dict[str, Any]) -> None:
    """One JSON line to the parent."""
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(parent, line) :]


def take_stdout() -> int:
    """A descriptor of the real stdout for ourselves; what the app prints goes to stderr from now on.

    Nobody reads the app's prints: they would fill the pipe and block it, or be taken for a message.
    """
    parent = os.dup(1)
    os.dup2(2, 1)
    return parent


def listen_to_parent(answer: Callable[[bytes], None]) -> None:
    """Have every line on stdin answered; stop when stdin ends, which it does when the parent dies,
    however it dies."""

    def watch() -> None:
        pending = b""
        # Unbuffered: a thread inside sys.stdin would abort the interpreter when it ends first.
        while data := os.read(0, 4096):
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                answer(line)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(GRACE + 1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="duel-watch").start()


def listen(host: str, port: int, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(backlog)
    listener.set_inheritable(True)
    return listener


def heart_beside() -> Heart:
    """A heart from vitals.py, which is found by its place: our packages may not be importable here."""
    path = Path(__file__).with_name("vitals.py")
    spec = importlib.util.spec_from_file_location("duel_vitals", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    vitals = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vitals)
    heart: Heart = vitals.Heart()
    return heart


def supervise(workers: int, listener: socket.socket, arguments: Sequence[str], watched: bool) -> None:
    """Keep `workers` processes that accept from one socket, ready when all are; when one ends, all do.

    None is started again, as a process manager would: its requests would be missing from the numbers.
    """
    parent = take_stdout()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    fd = listener.fileno()
    command = [sys.executable, "-P", __file__, *arguments, "--workers", "1", "--fd", str(fd)]
    family = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(fd,))
        for _ in range(workers)
    ]
    if watched:
        # At once: the parent may go while the workers still boot.
        listen_to_parent(lambda line: pass_on(line, family))
    try:
        with selectors.DefaultSelector() as selector:
            origin = None
            for worker in family:
                ready = worker.stdout.readline() if worker.stdout else b""
                if not ready or not worker.stdout:
                    sys.exit("a worker did not start")
                origin = json.loads(ready)["origin"]
                selector.register(worker.stdout, selectors.EVENT_READ)
            say_ready(parent, listener, origin)
            hearts: list[Any] = []
            while True:
                for key, _ in selector.select():
                    answer = key.fileobj.readline()  # type: ignore[union-attr]  # a worker's stdout
                    if not answer:
                        sys.exit("a worker ended")
                    hearts += json.loads(answer)["vitals"]
                if len(hearts) >= workers:
                    say(parent, {"vitals": hearts})
                    hearts = []
    finally:
        for worker in family:
            worker.terminate()
        for worker in family:
            worker.wait()


def pass_on(line: bytes, family: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask every worker what the parent asks."""
    for worker in family:
        if worker.stdin is not None:
            worker.stdin.write(line + b"\n")
            worker.stdin.flush()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve one ASGI app under uvicorn.")
    parser.add_argument("app", help="module:attribute of an ASGI app or of a factory")
    parser.add_argument("--app-dir", help="directory to import the app from, before all others")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--cpus", help="comma-separated CPUs to run on")
    parser.add_argument("--loop", default="uvloop")
    parser.add_argument("--http", default="httptools")
    parser.add_argument("--workers", type=int, default=1, help="processes that accept from one socket")
    parser.add_argument("--fd", type=int, help="a listening socket in place of host and port")
    parser.add_argument("--threads", type=int, default=40, help="tokens of AnyIO's thread limiter")
    parser.add_argument("--backlog", type=int, default=2048)
    parser.add_argument("--keep-alive", type=int, default=75, help="seconds")
    parser.add_argument("--gc", choices=("freeze", "default"), default="freeze")
    parser.add_argument("--gc-threshold", type=int, help="objects between two young collections")
    parser.add_argument("--vitals", choices=("on", "off"), default="on", help="whether a heart beats")
    parser.add_argument("--alone", action="store_true", help="do not watch stdin: run until Ctrl-C")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)

    if options.cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(cpu) for cpu in options.cpus.split(",")})
    if options.fd is None:
        try:
            listener = listen(options.host, options.port, options.backlog)
        except OSError as error:
            sys.stderr.write(f"error: cannot listen on {options.host}:{options.port}: {error.strerror}\n")
            sys.stderr.write("hint: pass another --port\n")
            sys.exit(2)
    else:
        listener = socket.socket(fileno=options.fd)
    if options.workers > 1:
        # Workers watch their own pipe, whose other end is here.
        chosen = sys.argv[1:] if arguments is None else arguments
        words = [word for word in chosen if word != "--alone"]
        supervise(options.workers, listener, words, watched=not options.alone)
    parent = take_stdout()
    heart = heart_beside() if options.vitals == "on" else None
    if heart is not None:
        heart.listen()
    if not options.alone:
        listen_to_parent(
            lambda line: say(parent, {"vitals": [heart.read(json.loads(line)["vitals"]) if heart else []]})
        )
    if options.app_dir:
        sys.path.insert(0, options.app_dir)
    try:
        app = load(options.app)
    except UnusableApp as error:
        sys.exit(f"UnusableApp: {error}")
    config = uvicorn.Config(
        app,
        loop=options.loop,
        http=options.http,
        ws="none",
        lifespan="auto",
        access_log=False,
        log_level="warning",
        backlog=options.backlog,
        timeout_keep_alive=options.keep_alive,
        timeout_graceful_shutdown=round(GRACE),
    )
    origin = getattr(sys.modules.get(options.app.partition(":")[0]), "__file__", None)
    server = Server(config, options, parent, heart, origin)
    try:
        server.run(sockets=[listener])
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    finally:
        listener.close()


if __name__ == "__main__":
    main()
