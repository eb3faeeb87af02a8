"""Time of `duel --help` compared with a bare Typer program: interleaved, medians with minimum and maximum.

`make bench-help`. Target: at most 1.5 times.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

ROUNDS = 15
BARE = """
import typer

app = typer.Typer()


@app.command()
def run(users: int = 1) -> None:
    pass


@app.command()
def report(users: int = 1) -> None:
    pass


app()
"""


def seconds(command: list[str]) -> float:
    began = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        bare = Path(directory, "bare.py")
        bare.write_text(BARE)
        commands = {
            "bare Typer": [sys.executable, str(bare), "--help"],
            "duel": [str(Path(sys.executable).with_name("duel")), "--help"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS + 1):
            for name, command in commands.items():
                times[name].append(seconds(command))
    for name, all_times in times.items():
        kept = all_times[1:]
        print(f"{name:12} {median(kept):.3f} s  ({min(kept):.3f} to {max(kept):.3f}, n = {len(kept)})")
    print(f"ratio        {median(times['duel'][1:]) / median(times['bare Typer'][1:]):.2f}  (target: 1.50)")


if __name__ == "__main__":
    main()
