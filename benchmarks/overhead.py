"""What the heartbeat inside the server costs: `make bars-long`.

Arms with and without vitals, 80 pairs a cell. The bar: the throughput lost is estimated at 1 % or less, and
its one-sided 95 % bound is 2 % or less. Words on the command line
choose the cells that contain them: `python -m benchmarks.overhead sync/posts`.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from scipy.special import stdtrit

from benchmarks.duels import duel, write
from loadtests.plan import BUILT_IN, Arm, Serving

CELLS = {("sync", "ping"): 64, ("sync", "posts.read"): 8, ("async", "posts.read"): 64}
"""Their users. Forty threads that share one CPU and a database scatter by 15 % from process to process, which
hides a cost of one per cent under any number of pairs that fits a day: eight do not, and a request's share of the
cost is the same."""
RUNS = 4
ROUNDS = 20
ESTIMATE, BOUND = 0.01, 0.02


def main() -> None:
    figures, met, run = [], True, None
    asked = sys.argv[1:] or [""]
    for (style, scenario), users in CELLS.items():
        if not any(word in f"{style}/{scenario}" for word in asked):
            continue
        logs: list[float] = []
        for seed in range(RUNS):
            app = BUILT_IN[style].app
            arms = [Arm(name="off", app=app, serving=Serving(vitals="off")), Arm(name="on", app=app)]
            run, found = duel(arms, [(scenario, users)], ROUNDS, seed=seed + 1)
            logs += found[0].differences
        lost = 1.0 - math.exp(float(np.mean(logs)))
        error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
        bound = 1.0 - math.exp(float(np.mean(logs)) - float(stdtrit(len(logs) - 1, 0.95)) * error)
        good = lost <= ESTIMATE and bound <= BOUND
        met = met and good
        print(
            f"{style} {scenario}: vitals cost {lost:.1%}, at most {bound:.1%} ({len(logs)} pairs)", flush=True
        )
        figures.append(
            {
                "style": style,
                "scenario": scenario,
                "lost": lost,
                "bound": bound,
                "pairs": len(logs),
                "met": good,
            }
        )
    if run is not None:
        write("overhead", run, {"figures": figures})
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
