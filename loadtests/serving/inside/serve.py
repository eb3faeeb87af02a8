"""The child process that serves one ASGI app with exact serving knobs.

Runs as a file (`python -P serve.py shop.main:app …`), in any environment that has the server and
anyio: the arm under test may live in another virtual environment or another Python. It therefore
imports only the files beside it from our code.

Exchanges JSON lines with its parent: one on stdout once it accepts requests; then one for every line on
stdin: to `{"heartbeats": SINCE}` the heartbeats of each worker from that moment on, to `{"modules": true}`
the paths of the modules that each worker has imported, to `{"routes": true}` the paths of its app's routes,
to `{"places": true}` where these routes' functions are, to `{"held": [SINCE, UNTIL]}` what held its event
loop in that time, to `{"served": true}` what serves the app.
It ends when stdin does, since its parent is gone then.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadtests.serving.inside.heartbeat import Heartbeat
    from loadtests.serving.inside.watchdog import LoopWatchdog

PATIENCE = 3.0
"""Seconds from SIGTERM until the process ends by itself: servers give requests in flight two."""


def say_ready(parent: int, listener: socket.socket) -> None:
    """Tell the parent, in one line, the port where requests are accepted."""
    say(parent, {"ready": listener.getsockname()[1], "pid": os.getpid()})


def say(parent: int, message: dict[str, Any]) -> None:
    """One JSON line to the parent."""
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(parent, line) :]


def take_stdout() -> int:
    """A descriptor of the real stdout for ourselves; what the app prints goes to stderr from now on.

    What the app prints would fill the pipe and block it, or be taken for a message.
    """
    parent = os.dup(1)
    os.dup2(2, 1)
    return parent


def listen_to_parent(receive: Callable[[bytes], None]) -> None:
    """Have every line on stdin answered; stop when stdin ends, which it does when the parent dies,
    however it dies."""

    def watch() -> None:
        pending = b""
        # Unbuffered: a thread inside sys.stdin would abort the interpreter when it ends first.
        while data := os.read(0, 4096):
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                receive(line)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(PATIENCE)
        if os.getpgrp() == os.getpid():
            # With what the app has started, which would stay behind.
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="duel-watch").start()


def listen(host: str, port: int, backlog: int) -> socket.socket:
    listener = socket_for(host)
    listener.bind((host, port))
    listener.listen(backlog)
    return listener


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds an address and does not listen, for a server that shares it and listens by
    itself."""
    holder = socket_for(host)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((host, port))
    return holder


def socket_for(host: str) -> socket.socket:
    """One that worker processes inherit."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only from sockets whose protocol is known to be TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.set_inheritable(True)
    return listener


def opened(options: argparse.Namespace) -> socket.socket:
    """The socket that is handed over, or a new one. Exits where the address cannot be had."""
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    try:
        if options.server == "granian":
            return reserve(options.host, options.port)
        return listen(options.host, options.port, options.backlog)
    except OSError as error:
        sys.stderr.write(f"error: cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        sys.stderr.write("hint: pass another --port\n")
        sys.exit(2)


def beside(name: str) -> Any:
    """The module in the file `name`.py beside this one, or the package `name`: our packages may not be
    importable here."""
    package = Path(__file__).with_name(name)
    path = package / "__init__.py" if package.is_dir() else package.with_suffix(".py")
    spec = importlib.util.spec_from_file_location(f"duel_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    if package.is_dir():
        # The modules of a package find each other there.
        sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def app_of(options: argparse.Namespace, loading: Any) -> Any:
    """The app to serve: the one that is named, or both as one. Raises UnusableApp, and whatever importing
    raises."""
    app = loading.load(options.app)
    if options.hybrid is None:
        return app
    told = json.loads(options.hybrid)
    return beside("hybrid").join(app, options.app_dir, told, loading, beside("frameworks").routes)


def answer(
    line: bytes,
    parent: int,
    heartbeat: Heartbeat | None,
    origins: Any,
    served: Sequence[Any],
    watchdogs: Sequence[LoopWatchdog],
    options: argparse.Namespace,
) -> None:
    """What the parent asks for, as a list with one member: see `supervise`. `served` and `watchdogs`: the app
    and what watches its loop, once it is there."""
    question = json.loads(line)
    if "modules" in question:
        say(parent, {"modules": [origins.modules()]})
    elif "routes" in question:
        say(parent, {"routes": told(beside("frameworks").routes.paths, served)})
    elif "places" in question:
        say(
            parent,
            {"places": [[place for app in served for place in beside("frameworks").routes.places(app)]]},
        )
    elif "served" in question:
        say(parent, {"served": [what_serves(options.server, served)]})
    elif "held" in question:
        say(parent, {"held": [watchdog.read(*question["held"]) for watchdog in watchdogs] or [None]})
    else:
        say(parent, {"heartbeats": [heartbeat.read(question["heartbeats"]) if heartbeat else []]})


def what_serves(server: str, served: Sequence[Any]) -> dict[str, str]:
    """The server's name and version, and what one of our own apps says of itself, such as its HTTP client."""
    found = {"server": server}
    with suppress(PackageNotFoundError):
        found["server"] += f" {version(server)}"
    for app in served:
        found |= getattr(getattr(app, "state", None), "duel_in_force", {})
    return found


def told(of: Callable[[Any], Sequence[Any]], served: Sequence[Any]) -> list[list[Any]]:
    """What `of` finds in the apps that are served, as a list with one member."""
    return [[one for app in served for one in of(app)]]


def watchdogs_of(app: Any, options: argparse.Namespace) -> list[LoopWatchdog]:
    """What watches the app's loop, and knows its routes and its own code; nothing without heartbeats."""
    if options.heartbeats == "off":
        return []
    targets = [options.app, *([json.loads(options.hybrid)["app"]] if options.hybrid is not None else [])]
    own = tuple(place for target in targets if (place := own_code(target)) is not None)
    stacks = beside("stacks").Stacks(own, beside("frameworks").routes.endpoints(app))
    return [beside("watchdog").LoopWatchdog(stacks, options.look_every)]


def own_code(target: str) -> str | None:
    """The file of an app's top module, or the directory of its package; None where it has none."""
    top = sys.modules.get(target.partition(":")[0].partition(".")[0])
    file: str | None = getattr(top, "__file__", None)
    package = hasattr(top, "__path__") and file is not None
    return os.path.join(os.path.dirname(file), "") if package and file is not None else file


def fronted(app: Any, kind: str, options: argparse.Namespace) -> Any:
    """The app behind what answers in its place: a refusal of writes, and the pulse."""
    if options.reads_only:
        app = beside("guarded").reads_only(app, kind, options.login)
    return beside("pulse").with_pulse(app, kind, options.pulse) if options.pulse else app


def supervise(workers: int, listener: socket.socket, arguments: Sequence[str], watched: bool) -> None:
    """Keep `workers` processes that accept from one socket, ready when all are; when one ends, all do.

    Unlike a process manager, restart none: its requests would be missing from the results.
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
            for worker in family:
                ready = worker.stdout.readline() if worker.stdout else b""
                if not ready or not worker.stdout:
                    sys.exit("a worker did not start")
                selector.register(worker.stdout, selectors.EVENT_READ, worker)
            say_ready(parent, listener)
            answers: dict[str, list[Any]] = {}
            while True:
                for key, _ in selector.select():
                    said = key.fileobj.readline()  # type: ignore[union-attr]  # a worker's stdout
                    if not said:
                        end_as(key.data, family)
                    for kind, found in json.loads(said).items():
                        answers.setdefault(kind, []).extend(found)
                        if len(answers[kind]) >= workers:
                            say(parent, {kind: answers.pop(kind)})
    finally:
        for worker in family:
            worker.terminate()
        for worker in family:
            worker.wait()


def end_as(worker: subprocess.Popen[bytes], family: Sequence[subprocess.Popen[bytes]]) -> None:
    """End at once, as one of the workers has ended: with its exit code, or with 128 plus its signal's number,
    as a shell does."""
    for other in family:
        other.kill()
    code = worker.wait()
    sys.stderr.write(f"a worker ended {f'by signal {-code}' if code < 0 else f'with exit code {code}'}\n")
    sys.exit(code if code >= 0 else 128 - code)


def pass_on(line: bytes, family: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask every worker what the parent asks."""
    for worker in family:
        if worker.stdin is not None:
            worker.stdin.write(line + b"\n")
            worker.stdin.flush()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve one ASGI app.")
    parser.add_argument("app", help="module:attribute of an ASGI app or of a factory")
    parser.add_argument("--app-dir", help="directory to import the app from, before all others")
    parser.add_argument(
        "--instead", nargs=2, metavar=("ROOT", "THERE"), help="import modules of tree ROOT from tree THERE"
    )
    parser.add_argument(
        "--hybrid", metavar="JSON", help="a second app, and the routes that it serves instead of the first"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--cpus", help="comma-separated CPUs to run on")
    parser.add_argument("--server", choices=("uvicorn", "granian", "hypercorn"), default="uvicorn")
    parser.add_argument("--loop", default="uvloop")
    parser.add_argument("--http", default="httptools")
    parser.add_argument("--workers", type=int, default=1, help="processes that accept from one socket")
    parser.add_argument("--fd", type=int, help="a listening socket in place of host and port")
    parser.add_argument("--threads", type=int, default=40, help="tokens of AnyIO's thread limiter")
    parser.add_argument("--backlog", type=int, default=2048)
    parser.add_argument("--keep-alive", type=int, default=75, help="seconds")
    parser.add_argument("--gc", choices=("freeze", "default"), default="freeze")
    parser.add_argument("--gc-threshold", type=int, help="objects between two young collections")
    parser.add_argument("--middleware", type=int, default=0, help="layers of BaseHTTPMiddleware")
    parser.add_argument("--pure-middleware", type=int, default=0, help="layers of pure ASGI middleware")
    parser.add_argument(
        "--heartbeats", choices=("on", "off"), default="on", help="whether the server records heartbeats"
    )
    parser.add_argument(
        "--look-every", type=float, default=0.1, help="seconds between two checks whether the loop is late"
    )
    parser.add_argument("--reads-only", action="store_true", help="refuse requests that write")
    parser.add_argument("--login", metavar="PATH", help="a path that may be posted to all the same")
    parser.add_argument("--pulse", metavar="PATH", help="a path that is answered here and not by the app")
    parser.add_argument("--alone", action="store_true", help="do not watch stdin: run until Ctrl-C")
    return parser.parse_args(arguments)


def loaded(options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """The app, the same behind the layers of middleware that are asked for, and how that is called. Exits
    with what is wrong with the app."""
    loading, middleware = beside("loading"), beside("middleware")
    try:
        app = app_of(options, loading)
        layers = (options.middleware, options.pure_middleware)
        whole = middleware.behind(app, loading.interface(app), *layers)
    except (loading.UnusableApp, middleware.NoBaseMiddleware) as error:
        sys.exit(error.lines())
    return app, whole, loading.interface(whole)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    if options.cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(cpu) for cpu in options.cpus.split(",")})
    listener = opened(options)
    if options.workers > 1:
        # Workers watch their own pipe, whose other end is here.
        chosen = sys.argv[1:] if arguments is None else arguments
        words = [word for word in chosen if word != "--alone"]
        supervise(options.workers, listener, words, watched=not options.alone)
    parent = take_stdout()
    # Before the app, whose directory may have modules of the same names.
    servers = beside("servers")
    run = servers.server(options.server)
    heartbeat: Heartbeat | None = None
    pending = beside("pending").Pending()
    if options.heartbeats == "on":
        heartbeat = beside("heartbeat").Heartbeat(pending)
        heartbeat.listen()
    origins = beside("origins")
    if options.instead:
        origins.Redirect(*options.instead).install()
    served: list[Any] = []
    watchdogs: list[LoopWatchdog] = []
    if not options.alone:
        listen_to_parent(lambda line: answer(line, parent, heartbeat, origins, served, watchdogs, options))
    if options.app_dir:
        beside("importing").import_from(options.app_dir)
    app, whole, kind = loaded(options)
    served.append(app)
    watchdogs += watchdogs_of(app, options)
    run(
        servers.ServedApp(
            app=fronted(whole, kind, options),
            kind=kind,
            as_asgi3=beside("middleware").as_asgi3,
            options=options,
            listener=listener,
            web_sockets=beside("sockets").protocols(pending.forget),
            beginning=servers.Beginning(
                threads=options.threads,
                freeze=options.gc == "freeze",
                gc_threshold=options.gc_threshold,
                observers=tuple(one for one in (heartbeat, *watchdogs) if one is not None),
                say_ready=lambda: say_ready(parent, listener),
            ),
        )
    )


if __name__ == "__main__":
    main()
