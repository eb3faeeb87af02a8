"""Apps that fail in a known way or report how they are served."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from typing import Any


async def answer(send: Any, body: bytes, status: int = 200) -> None:
    head = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def failing(scope: Any, receive: Any, send: Any) -> None:
    """Responds to everything with 503."""
    if scope["type"] == "http":
        await answer(send, b"", 503)


async def counting(scope: Any, receive: Any, send: Any) -> None:
    """Counts its requests; /count returns the number so far."""
    if scope["type"] != "http":
        return
    body = b"%d" % counting.seen  # type: ignore[attr-defined]  # a function may carry its count
    if scope["path"] != "/count":
        counting.seen += 1  # type: ignore[attr-defined]  # as above
    await answer(send, body)


async def talkative(scope: Any, receive: Any, send: Any) -> None:
    """Prints 1 kB per request, like an app being debugged, and JSON while it is imported."""
    print("x" * 1000)
    await counting(scope, receive, send)


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """Never becomes ready."""
    print("still waiting for something")
    await asyncio.sleep(3600)


async def dying(scope: Any, receive: Any, send: Any) -> None:
    """Fails to start."""
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.failed", "message": "no table called users"})


async def mortal(scope: Any, receive: Any, send: Any) -> None:
    """Exits after some hundred requests in every second launch, counted in the file that LAUNCHES names."""
    if scope["type"] == "http":
        mortal.left -= 1  # type: ignore[attr-defined]  # as above
        if mortal.left == 0:  # type: ignore[attr-defined]  # as above
            print("out of luck", flush=True)
            os._exit(3)
        await asyncio.sleep(0.002)
        await answer(send, b"")


async def spawning(scope: Any, receive: Any, send: Any) -> None:
    """Computes for a moment in a process of its own; returns the CPU seconds that this took."""
    if scope["type"] == "http":
        code = "import time\nwhile time.process_time() < 0.2: pass\nprint(time.process_time())"
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=-1)
        await answer(send, (await child.communicate())[0])


async def holding_on(scope: Any, receive: Any, send: Any) -> None:
    """Starts a process, returns its pid, and then neither serves nor ends."""
    if scope["type"] == "http":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        await answer(send, b"%d" % child.pid)
        time.sleep(60)


async def sending_away(scope: Any, receive: Any, send: Any) -> None:
    """Redirects every request to another machine, at an address reserved for documentation (RFC 5737)."""
    if scope["type"] == "http":
        head = [(b"location", b"http://192.0.2.1/"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": head})
        await send({"type": "http.response.body", "body": b""})


async def knobs(scope: Any, receive: Any, send: Any) -> None:
    """Returns the pid of the process, its garbage collector settings, and who takes the answer."""
    if scope["type"] == "http":
        told = {"pid": os.getpid(), "thresholds": gc.get_threshold(), "frozen": gc.get_freeze_count() > 0}
        told["send"] = send.__qualname__
        await answer(send, json.dumps(told).encode())


print('{"ready": "not at all"}')
if "LAUNCHES" in os.environ:
    with open(os.environ["LAUNCHES"], "a+b") as launches:
        launches.write(b"1")
        mortal.left = 200 if launches.tell() % 2 == 0 else -1  # type: ignore[attr-defined]  # as above
counting.seen = 0  # type: ignore[attr-defined]  # as above
