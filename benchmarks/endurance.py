"""Every scenario at 1, 64 and 512 users in both twins, for longer than the tests do: `make bars-long`.

The bar: no failed request, but where a pitfall is meant to fail. It takes about an hour a database, and goes
on where it was left: what `runs/endurance-DATABASE.json` holds is not asked again. Remove the file to begin
anew.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from loadtests import machine
from loadtests.bench import expect, generator
from loadtests.config import ENDPOINTS, MIXES
from loadtests.plan import BUILT_IN, Arm
from loadtests.processes import Child
from loadtests.records import read_samples
from loadtests.servers import BOOT_TIMEOUT, Server, Surroundings

LEVELS = (1, 64, 512)
WINDOW = 3.0
PATIENCE = 120.0
MEANT_TO_FAIL = {("sync", "session-dependency", 64), ("sync", "session-dependency", 512)}


def main() -> None:
    """`python -m benchmarks.endurance [DATABASE]`."""
    database = sys.argv[1] if len(sys.argv) > 1 else None
    arms = [BUILT_IN["sync"], BUILT_IN["async"]] + ([BUILT_IN["async-asyncpg"]] if database else [])
    out = Path("runs") / f"endurance-{'postgresql' if database else 'sqlite'}.json"
    placement = machine.place(machine.cpus())
    about = machine.fingerprint(placement).model_dump(mode="json")
    found = known(out, about)
    done = {(one["scenario"], one["users"], one["arm"]) for one in found}
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        with Surroundings(scratch, placement, database) as around, generator(scratch, placement) as child:
            child.receive(BOOT_TIMEOUT)
            for scenario in (*ENDPOINTS, *MIXES):
                for arm in arms:
                    left = [users for users in LEVELS if (scenario, users, arm.name) not in done]
                    for one in endured(scenario, arm, left, around, child, scratch / "samples.npz"):
                        found.append(one)
                        out.parent.mkdir(exist_ok=True)
                        out.write_text(json.dumps({"machine": about, "figures": found}, indent=1) + "\n")
    broken = sum(one["failed"] for one in found if not one["meant"])
    print(f"{len(found)} combinations, {broken} requests failed that should not; written to {out}")
    sys.exit(1 if broken else 0)


def known(out: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """What an earlier part of the series found on this machine."""
    if not out.exists():
        return []
    content = json.loads(out.read_text())
    found: list[dict[str, Any]] = (
        content["figures"] if content["machine"] == json.loads(json.dumps(about)) else []
    )
    return found


def endured(
    scenario: str, arm: Arm, levels: Sequence[int], around: Surroundings, child: Child, samples: Path
) -> Iterator[dict[str, Any]]:
    """One arm's server under each of the levels, one after another."""
    if not levels:
        return
    with Server(arm, around, "endurance.1") as server:
        for users in levels:
            child.send(
                {
                    "host": server.url, "scenario": scenario, "users": users, "warmup": 1.0, "window": WINDOW,
                    # A seed of its own: who signs up at one level has signed up at the next.
                    "drain": 40.0, "seed": users, "samples": str(samples),
                }
            )  # fmt: skip
            for event in ("opened", "closed"):
                expect(child, event, PATIENCE)
            facts = expect(child, "done", PATIENCE)
            seen = read_samples(samples)
            bad, meant = int((~seen.ok).sum()), (arm.name, scenario, users) in MEANT_TO_FAIL
            told = f"{len(seen):9,} requests, {bad:,} failed{' as meant' if meant else ''}"
            print(f"{scenario:20}{users:5} {arm.name:14}{told}", flush=True)
            yield {
                "scenario": scenario, "users": users, "arm": arm.name, "requests": len(seen), "failed": bad,
                "meant": meant, "errors": facts["errors"],
            }  # fmt: skip


if __name__ == "__main__":
    main()
