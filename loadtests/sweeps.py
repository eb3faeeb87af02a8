"""One app served in several ways: `--sweep threads=10,40,100` makes arms of the reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

from loadtests.plan import MOST_ARMS, Arm, PlanError, Serving, did_you_mean, validated

SHORT = {"pool": "env.DUEL_APP_POOL_SIZE"}
"""Names for knobs of the twin apps that are swept often."""
UNNAMEABLE = re.compile(r"[^A-Za-z0-9_.-]+")
"""What a value may hold and a name may not."""
EXAMPLE = "write --sweep threads=10,40,100, or pool=5,20"


def swept(arms: Sequence[Arm], sweeps: Sequence[str]) -> tuple[Arm, ...]:
    """The first of `arms` in every combination of the values swept, as it is served by itself first where
    that is among them, and then the other arms. Raises PlanError."""
    if not sweeps:
        return tuple(arms)
    axes = [axis(text) for text in sweeps]
    names = [name for name, _ in axes]
    if len(set(names)) < len(names):
        raise PlanError(f"{names[0]} is swept twice", EXAMPLE)
    first, others = arms[0], arms[1:]
    if first.url is not None:
        raise PlanError(f"arm {first.name!r} is a server that runs: its settings cannot be swept", EXAMPLE)
    variants = [
        variant(first, dict(zip(names, values, strict=True))) for values in product(*(v for _, v in axes))
    ]
    if len(variants) + len(others) > MOST_ARMS:
        raise PlanError(
            f"this makes {len(variants) + len(others)} arms, and {MOST_ARMS} are the most",
            f"sweep fewer values, or name one arm alone: --arm {first.name}",
        )
    same = [arm for arm in variants if (arm.serving, arm.env) == (first.serving, first.env)]
    rest = [arm for arm in variants if arm not in same]
    return (*same, *rest, *others)


def axis(text: str) -> tuple[str, tuple[str, ...]]:
    """`threads=10,40,100` as a name and its values. Raises PlanError."""
    name, equals, rest = text.partition("=")
    name = name.strip()
    values = tuple(value.strip() for value in rest.split(",") if value.strip())
    if not equals or not values:
        raise PlanError(f"{text!r} sweeps nothing", EXAMPLE)
    if len(set(values)) < len(values):
        raise PlanError(f"{text!r} names a value twice", EXAMPLE)
    known = [field.replace("_", "-") for field in Serving.model_fields]
    if name not in (*known, *SHORT) and not name.startswith("env."):
        raise PlanError(f"{name!r} cannot be swept", did_you_mean(name, [*known, *SHORT, "env.KEY"]))
    return name, values


def variant(arm: Arm, chosen: dict[str, str]) -> Arm:
    """`arm` with some of its knobs set, and a name that says so. Raises PlanError."""
    serving, env = arm.serving.model_dump(), dict(arm.env)
    for name, value in chosen.items():
        target = SHORT.get(name, name)
        if target.startswith("env."):
            env[target.removeprefix("env.")] = value
        else:
            serving[target.replace("-", "_")] = value
    said = "-".join(f"{key.removeprefix('env.')}-{value}" for key, value in chosen.items())
    name = f"{arm.name}-{UNNAMEABLE.sub('-', said)}"[:64]
    values = {**arm.model_dump(), "name": name, "serving": serving, "env": env}
    return validated(Arm, values, f"arm {name!r}")
