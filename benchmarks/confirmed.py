"""Whether another load generator finds the same ratios: `python -m benchmarks.confirmed RUN`.

In twelve cells of a run of the twins with 64 users, wrk loads the same two servers in turn, on the CPUs that
they had in the run; four rounds of fresh servers. Target: its ratio lies inside the run's interval in eleven
or more.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import geometric_mean, mean

from benchmarks.duels import write_figures
from benchmarks.generator import number, output, pinned
from loadtests.plan.arms import BUILT_IN
from loadtests.plan.cells import Cell, Load
from loadtests.records.directory import RunDirectory
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Seat, serve
from loadtests.system.placement import cpus, place
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


def wrk(url: str, script: Path, seconds: int, cpu: int | None) -> float:
    """Requests per second; raises ValueError where a request failed."""
    load = f"wrk -t1 -c{USERS} -d{seconds}s --timeout 30s -s".split()
    said = output([*pinned(cpu), *load, str(script), url])
    if "Non-2xx" in said or "Socket errors" in said:
        raise ValueError(f"requests failed: {said}")
    return number(r"Requests/sec:\s+([\d.]+)", said)


def measured(
    around: ServingEnvironment, script: Path, serves: tuple[int, ...], generator: int | None
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


def confirmation(verdict: Verdict, ratios: Sequence[float]) -> Confirmation | None:
    """A run's verdict beside wrk's ratios; None for a verdict without an interval."""
    if verdict.ratio is None or verdict.low is None or verdict.high is None:
        return None
    return Confirmation(
        verdict.cell.scenario, verdict.ratio, verdict.low, verdict.high, geometric_mean(ratios), min(ratios),
        max(ratios),
    )  # fmt: skip


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
    cells = [Cell(scenario=scenario, load=Load(users=USERS)) for scenario in CELLS]
    placement, found = place(cpus()), list[Confirmation]()
    generator = next(iter(placement.get("generator", ())), None)
    with tempfile.TemporaryDirectory() as logs, ServingEnvironment(Path(logs), placement) as around:
        script = Path(logs) / "request.lua"
        for cell in [cell for cell in cells if cell in known]:
            script.write_text(CELLS[cell.scenario].script, encoding="utf-8")
            ratios = measured(around, script, run.server_cpus(cell).numbers, generator)
            one = confirmation(known[cell], ratios)
            found += [one] if one is not None else []
            print("\n".join(table(found)[-1:]), flush=True)
    inside = sum(one.inside for one in found)
    print("\n".join(("", *table(found), "", f"inside: {inside} of {len(found)}")))
    write_figures("confirmed", run.machine, {"run": run.id, "cells": [asdict(one) for one in found]})
    if inside < ENOUGH:
        sys.exit(f"fewer than {ENOUGH} of {len(CELLS)} cells are confirmed")


if __name__ == "__main__":
    main()
