"""Every scenario at 1, 64 and 512 users in both twins, for longer than the tests do: `make bars-long`.

The bar: no failed request, but where a pitfall is meant to fail.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from loadtests import machine
from loadtests.bench import expect, generator
from loadtests.config import ENDPOINTS, MIXES
from loadtests.plan import BUILT_IN
from loadtests.records import read_samples
from loadtests.servers import BOOT_TIMEOUT, Server, Surroundings

OUT = Path("runs") / "endurance.json"
LEVELS = (1, 64, 512)
WINDOW = 3.0
PATIENCE = 120.0
MEANT_TO_FAIL = {("sync", "session-dependency", 512)}


def main() -> None:
    """`python -m benchmarks.endurance [DATABASE]`."""
    database = sys.argv[1] if len(sys.argv) > 1 else None
    arms = [BUILT_IN["sync"], BUILT_IN["async"]] + ([BUILT_IN["async-asyncpg"]] if database else [])
    placement = machine.place(machine.cpus())
    found, broken = [], 0
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        with Surroundings(scratch, placement, database) as around, generator(scratch, placement) as child:
            child.receive(BOOT_TIMEOUT)
            for scenario in (*ENDPOINTS, *MIXES):
                for users in LEVELS:
                    for arm in arms:
                        with Server(arm, around, "endurance.1") as server:
                            child.send(
                                {
                                    "host": server.url, "scenario": scenario, "users": users, "warmup": 1.0,
                                    "window": WINDOW, "drain": 40.0, "seed": 1,
                                    "samples": str(scratch / "samples.npz"),
                                }
                            )  # fmt: skip
                            for event in ("opened", "closed"):
                                expect(child, event, PATIENCE)
                            facts = expect(child, "done", PATIENCE)
                        samples = read_samples(scratch / "samples.npz")
                        meant = (arm.name, scenario, users) in MEANT_TO_FAIL
                        bad = int((~samples.ok).sum())
                        broken += bad if not meant else 0
                        told = f"{len(samples):9,} requests, {bad:,} failed{' as meant' if meant else ''}"
                        print(f"{scenario:20}{users:5} {arm.name:14}{told}", flush=True)
                        found.append(
                            {
                                "scenario": scenario, "users": users, "arm": arm.name,
                                "requests": len(samples), "failed": bad, "meant": meant,
                                "errors": facts["errors"],
                            }
                        )  # fmt: skip
    OUT.parent.mkdir(exist_ok=True)
    result = {"machine": machine.fingerprint(placement).model_dump(mode="json"), "figures": found}
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{broken} requests failed that should not; written to {OUT}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
