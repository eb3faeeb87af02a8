"""Speed of the generator compared with wrk, hey and Locust's own users, and the memory that its records take.

`make bench-generator`. One core for the generator, nginx on the other; five interleaved rounds; medians with
minimum and maximum. Targets: at least 0.25 of wrk and 5 times FastHttpUser at 64 users, with all recording
enabled.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.nginx import NGINX, nginx
from loadtests.measure.generator import samples_written
from loadtests.plan.request import LONGEST, WARMUP_TURNS, WINDOW_TURNS, TrialRequest
from loadtests.system.fingerprint import fingerprint
from loadtests.system.placement import cpus, place
from loadtests.system.processes import OUR_PACKAGES

USERS = 64
SECONDS = 3
ROUNDS = 5
OUT = Path("runs") / "bench-generator.json"
BARS = {"wrk": 0.25, "FastHttpUser": 5.0}

CHILD = """
import json, sys
import loadtests.load.generator as generator
from locust import FastHttpUser, HttpUser
from loadtests.load.scenarios import Ping
from loadtests.load.world.locustfile import World
from loadtests.plan.request import TrialRequest

generator.tell = lambda *_, **__: None

def ping(user): user.client.get("/ping", name="ping")

class Stock:
    tasks = [ping]
    @classmethod
    def begin(cls, seed, part, parts): ...

class Fast(Stock, FastHttpUser): tasks = [ping]
class Plain(Stock, HttpUser): tasks = [ping]

users = {"LeanUser": Ping, "FastHttpUser": Fast, "HttpUser": Plain}
facts = generator.load(TrialRequest.read(sys.argv[1]), World(users))
print(json.dumps(facts))
"""


def pinned(cpu: int | None) -> tuple[str, ...]:
    return ("taskset", "-c", str(cpu)) if cpu is not None and shutil.which("taskset") else ()


def locust(kind: str) -> Callable[[str, int | None, Path], float]:
    """Requests per second of one of our generator's or Locust's own user classes, recording everything."""

    def rate(url: str, cpu: int | None, scratch: Path) -> float:
        samples = scratch / "samples.npz"
        request = TrialRequest(
            host=url, scenario=kind, users=USERS, turn=0.0, rate=None, arrivals=None, warmup=0.5,
            warmup_turns=WARMUP_TURNS, window=SECONDS, window_turns=WINDOW_TURNS, longest=LONGEST,
            drain=2.0, seed=1, samples=str(samples), canary=None, names="", pauses=True,
            pulse=None, pulse_path=None,
        )  # fmt: skip
        words = [sys.executable, "-P", "-c", CHILD, json.dumps(asdict(request))]
        facts = json.loads(output([*pinned(cpu), *words], OUR_PACKAGES))
        found = samples_written(samples, facts)
        inside = (found.end >= 0) & (found.end < facts["window"]) & found.ok
        return float(inside.sum()) / float(facts["window"])

    return rate


def wrk(url: str, cpu: int | None, _: Path) -> float:
    command = ["wrk", "-t1", f"-c{USERS}", f"-d{SECONDS}s", f"{url}/ping"]
    return number(r"Requests/sec:\s+([\d.]+)", output([*pinned(cpu), *command]))


def hey(url: str, cpu: int | None, _: Path) -> float:
    command = ["hey", "-c", str(USERS), "-z", f"{SECONDS}s", "-cpus", "1", f"{url}/ping"]
    return number(r"Requests/sec:\s+([\d.]+)", output([*pinned(cpu), *command]))


def output(command: list[str], env: dict[str, str] | None = None) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **(env or {})}
    ).stdout


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"no rate in {text!r}")
    return float(found[1])


def memory_per_million() -> float:
    """MiB that the recorder's arrays take for a million requests."""
    code = (
        "import json, psutil; from loadtests.load.recorder import Recorder\n"
        "class Answer: status_code = 200\n"
        "recorder, me, answer = Recorder(), psutil.Process(), Answer(); before = me.memory_info().rss\n"
        "for _ in range(1_000_000): recorder.record('ping', 1.0, 17, answer)\n"
        "print((me.memory_info().rss - before) / 2**20)"
    )
    return float(output([sys.executable, "-P", "-c", code], OUR_PACKAGES))


def main() -> None:
    if NGINX is None or shutil.which("wrk") is None:
        sys.exit("error: nginx and wrk are needed\nhint: apt-get install nginx-light wrk hey")
    tools: dict[str, Callable[[str, int | None, Path], float]] = {
        "wrk": wrk, "LeanUser": locust("LeanUser"), "FastHttpUser": locust("FastHttpUser"),
        "HttpUser": locust("HttpUser"),
    }  # fmt: skip
    if shutil.which("hey"):
        tools["hey"] = hey
    placement = place(cpus())
    server = placement["server"][0] if placement else None
    generator = placement["generator"][0] if placement else None
    rates: dict[str, list[float]] = {name: [] for name in tools}
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        with nginx(scratch, prefix=pinned(server)) as url:
            for _ in range(ROUNDS):
                for name, tool in tools.items():
                    rates[name].append(tool(url, generator, scratch))
    middle = {name: median(found) for name, found in rates.items()}
    print(f"{'':14}{'req/s':>9}{'min':>9}{'max':>9}{'of wrk':>8}{'µs each':>9}")
    for name in sorted(middle, key=lambda name: -middle[name]):
        found = rates[name]
        print(
            f"{name:14}{middle[name]:9,.0f}{min(found):9,.0f}{max(found):9,.0f}"
            f"{middle[name] / middle['wrk']:8.3f}{1e6 / middle[name]:9.1f}"
        )
    ratios = {other: middle["LeanUser"] / middle[other] for other in BARS}
    for other, bar in BARS.items():
        met = "met" if ratios[other] >= bar else "MISSED"
        print(f"LeanUser ÷ {other}: {ratios[other]:.2f} (bar {bar:.2f}: {met})")
    megabytes = memory_per_million()
    print(f"memory per million requests: {megabytes:.0f} MiB")
    OUT.parent.mkdir(exist_ok=True)
    result = {
        "machine": fingerprint(placement).model_dump(mode="json"),
        "users": USERS, "rates": rates, "ratios": ratios, "mebibytes_per_million": megabytes,
    }  # fmt: skip
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {OUT}")


if __name__ == "__main__":
    main()
