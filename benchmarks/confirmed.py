"""Whether another load generator finds the same ratios: `python -m benchmarks.confirmed RUN`.

In twelve cells of a run of the twins with 64 users, wrk loads the same two servers in turn, on the CPUs that
they had in the run; four rounds of fresh servers. Target: its ratio lies inside the run's interval in eleven
or more.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

from benchmarks.duels import write_figures
from loadtests.plan.arms import BUILT_IN
from loadtests.plan.cells import Cell, Load
from loadtests.records.directory import RunDirectory
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Seat, serve
from loadtests.system.placement import Placement, cpus, place
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict, verdicts

USERS, ROUNDS, SECONDS = 64, 4, 2
ENOUGH = 11


@dataclass(frozen=True)
class WrkRequest:
    """A request; in its path and body `#` is a random number up to `most`."""

    path: str
    method: str = "GET"
    body: str = ""
    most: int = 4_000

    @property
    def script(self) -> str:
        """What wrk runs for every request."""
        kind = 'wrk.headers["Content-Type"] = "application/json"\n' if self.body else ""
        return (
            f"{kind}request = function()\n"
            f"  local number = tostring(math.random(1, {self.most}))\n"
            f"  local path = string.gsub('{self.path}', '#', number)\n"
            f"  local body = string.gsub('{self.body}', '#', number)\n"
            f"  return wrk.format('{self.method}', path, nil, body)\n"
            "end\n"
        )


POST = (
    '{"title": "A post", "body": "It waits, or it computes.", "author_id": #, "published_on": "2026-01-01"}'
)
CELLS: Mapping[str, WrkRequest] = {
    "users.read": WrkRequest("/users/#", most=200),
    "posts.read": WrkRequest("/posts/#"),
    "posts.list": WrkRequest("/posts"),
    "posts.create": WrkRequest("/posts", "POST", POST, most=200),
    "pages.home": WrkRequest("/pages"),
    "ping": WrkRequest("/ping"),
    "upstream": WrkRequest("/upstream"),
    "fan-out": WrkRequest("/fan-out"),
    "python": WrkRequest("/python"),
    "hash": WrkRequest("/hash"),
    "offloaded": WrkRequest("/pitfalls/offloaded"),
    "dependencies": WrkRequest("/plumbing/dependencies"),
}


@dataclass(frozen=True)
class Confirmation:
    """One cell, measured by a run and by wrk; ratios are async ÷ sync in requests per second."""

    scenario: str
    ratio: float
    low: float
    high: float
    wrk: float
    least: float
    most: float
    """Of wrk's rounds."""

    @property
    def inside(self) -> bool:
        return self.low <= self.wrk <= self.high


def wrk(url: str, script: Path, seconds: int, on: Sequence[int]) -> float:
    """Requests per second; raises ValueError where a request failed."""
    pinned = ["taskset", "-c", ",".join(map(str, on))] if on and shutil.which("taskset") else []
    command = [
        *pinned,
        "wrk",
        "-t1",
        f"-c{USERS}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "-s",
        str(script),
        url,
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        raise ValueError(f"wrk failed: {said}")
    return float(found[1])


def measured(
    around: ServingEnvironment, script: Path, serves: tuple[int, ...], generator: Sequence[int]
) -> list[float]:
    """The ratios of all rounds."""
    ratios = []
    for round in range(ROUNDS):
        rates: dict[str, list[float]] = {"sync": [], "async": []}
        order = ("sync", "async") if round % 2 else ("async", "sync")
        with ExitStack() as serving:
            urls = {
                name: serving.enter_context(
                    serve(BUILT_IN[name], around, f"{round}.{name}", Seat((), serves))
                ).url
                for name in order
            }
            for name in order:
                wrk(urls[name], script, 1, generator)
            for name in (*order, *reversed(order)):
                rates[name].append(wrk(urls[name], script, SECONDS, generator))
        ratios.append(mean(rates["async"]) / mean(rates["sync"]))
    return ratios


def confirmation(
    verdict: Verdict, around: ServingEnvironment, serves: tuple[int, ...], placement: Placement
) -> Confirmation:
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "request.lua"
        script.write_text(CELLS[verdict.cell.scenario].script, encoding="utf-8")
        ratios = measured(around, script, serves, placement.get("generator", ()))
    logs = [math.log(ratio) for ratio in ratios]
    low, high = (math.nan if end is None else end for end in (verdict.low, verdict.high))
    ratio = math.nan if verdict.ratio is None else verdict.ratio
    return Confirmation(
        verdict.cell.scenario, ratio, low, high, math.exp(mean(logs)), min(ratios), max(ratios)
    )


def table(found: Sequence[Confirmation]) -> list[str]:
    """The table, as Markdown."""
    rows = [
        f"| {one.scenario} | ×{one.ratio:.2f} | {one.low:.2f}–{one.high:.2f} | ×{one.wrk:.2f} | "
        f"{one.least:.2f}–{one.most:.2f} | {'yes' if one.inside else 'no'} |"
        for one in found
    ]
    return [
        f"| {USERS} users | duel | interval | wrk | least and most of {ROUNDS} rounds | inside |",
        "|---|---:|---:|---:|---:|---|",
        *rows,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.confirmed")
    parser.add_argument("run", type=Path)
    path = parser.parse_args().run
    if shutil.which("wrk") is None:
        sys.exit("error: wrk is needed\nhint: apt-get install wrk")
    directory = RunDirectory(path)
    run = directory.load()
    known = {one.cell: one for one in verdicts(run, Readings(directory)) if one.primary}
    placement, found = place(cpus()), list[Confirmation]()
    with tempfile.TemporaryDirectory() as logs, ServingEnvironment(Path(logs), placement) as around:
        for scenario in CELLS:
            cell = Cell(scenario=scenario, load=Load(users=USERS))
            if cell in known:
                found.append(
                    confirmation(known[cell], around, tuple(run.server_cpus(cell).numbers), placement)
                )
                print(table(found)[-1], flush=True)
    inside = sum(one.inside for one in found)
    print(os.linesep.join(("", *table(found), "", f"inside: {inside} of {len(found)}")))
    write_figures("confirmed", run.machine, {"run": run.id, "cells": [asdict(one) for one in found]})
    if inside < min(ENOUGH, len(found)):
        sys.exit(1)


if __name__ == "__main__":
    main()
