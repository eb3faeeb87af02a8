"""Every scenario at 1, 64 and 512 users in both twins, for longer than the tests do: `make bars-long`.

Target: no failed request, except in pitfalls that are meant to fail. It takes about an hour per database and
can be continued: combinations in `runs/endurance-DATABASE.json` are not measured again. Remove the file to
start over.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtests.measure.generator import expect, generator, samples_written
from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.plan.database_url import Backend, backend
from loadtests.plan.profiles import ENDPOINTS, MIXES
from loadtests.plan.request import LONGEST, WARMUP_TURNS, WINDOW_TURNS, TrialRequest
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system.fingerprint import fingerprint
from loadtests.system.placement import cpus, place
from loadtests.system.processes import OWN_BOOT, Child

LEVELS = (1, 64, 512)
WINDOW = 3.0
PATIENCE = 120.0
MEANT_TO_FAIL = {("sync", "session-dependency", 64), ("sync", "session-dependency", 512)}
MORE: Mapping[Backend, tuple[str, ...]] = {
    "sqlite": (), "postgresql": ("async-asyncpg",), "mysql": ("async-asyncmy",)
}  # fmt: skip
"""Arms with drivers that only the async twin can use."""


def main() -> None:
    """`python -m benchmarks.endurance [DATABASE]`."""
    database = sys.argv[1] if len(sys.argv) > 1 else None
    kind = backend(database)
    arms = [BUILT_IN[name] for name in ("sync", "async", *MORE[kind])]
    out = Path("runs") / f"endurance-{kind}.json"
    placement = place(cpus())
    about = fingerprint(placement).model_dump(mode="json")
    found = known(out, about)
    done = {(one["scenario"], one["users"], one["arm"]) for one in found}
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        with (
            ServingEnvironment(scratch, placement, database) as around,
            generator(scratch, placement) as child,
        ):
            child.receive(OWN_BOOT)
            for scenario in (*ENDPOINTS, *MIXES):
                for arm in arms:
                    left = [users for users in LEVELS if (scenario, users, arm.name) not in done]
                    for one in endured(scenario, arm, left, around, child, scratch / "samples.npz"):
                        found.append(one)
                        out.parent.mkdir(exist_ok=True)
                        out.write_text(json.dumps({"machine": about, "figures": found}, indent=1) + "\n")
    broken = sum(one["failed"] for one in found if not one["meant"])
    print(f"{len(found)} combinations, {broken} requests failed unexpectedly; written to {out}")
    sys.exit(1 if broken else 0)


def known(out: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Results of an earlier part of the series on this machine."""
    if not out.exists():
        return []
    content = json.loads(out.read_text())
    found: list[dict[str, Any]] = (
        content["figures"] if content["machine"] == json.loads(json.dumps(about)) else []
    )
    return found


def endured(
    scenario: str, arm: Arm, levels: Sequence[int], around: ServingEnvironment, child: Child, samples: Path
) -> Iterator[dict[str, Any]]:
    """One arm's server under each of the levels, one after another."""
    if not levels:
        return
    with Server(arm, around, "endurance.1") as server:
        for users in levels:
            request = TrialRequest(
                host=server.url, scenario=scenario, users=users, turn=0.0, rate=None, arrivals=None,
                warmup=1.0, warmup_turns=WARMUP_TURNS, window=WINDOW, window_turns=WINDOW_TURNS,
                # A seed of its own: addresses that signed up at one level are taken at the next.
                longest=LONGEST, drain=40.0, seed=users, names="", samples=str(samples), canary=None,
                pulse=None, pulse_path=None,
                pauses=True,
            )  # fmt: skip
            child.send(asdict(request))
            for event in ("opened", "closed", "drained"):
                expect(child, event, PATIENCE)
            facts = expect(child, "done", PATIENCE)
            seen = samples_written(samples, facts)
            bad, meant = int((~seen.ok).sum()), (arm.name, scenario, users) in MEANT_TO_FAIL
            told = f"{len(seen):9,} requests, {bad:,} failed{' as expected' if meant else ''}"
            print(f"{scenario:20}{users:5} {arm.name:14}{told}", flush=True)
            yield {
                "scenario": scenario, "users": users, "arm": arm.name, "requests": len(seen), "failed": bad,
                "meant": meant, "errors": facts["errors"],
            }  # fmt: skip


if __name__ == "__main__":
    main()
