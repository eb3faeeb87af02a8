"""How a hybrid is written: `hybrid=sync+async,sync=/python;GET /users/{id}`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product

from loadtests.errors import PlanError, did_you_mean
from loadtests.plan.arms import (
    BUILT_IN,
    Arm,
    ArmSettings,
    Hybrid,
    Serving,
    check_short,
    checked_client,
    of_one_environment,
    pairs,
    parse_arm,
)
from loadtests.plan.fields import validated
from loadtests.plan.values import parts

PAIR = re.compile(r"[A-Za-z0-9_.-]+\+[A-Za-z0-9_.-]+")
"""In place of an app: two arms, the one that serves what no table names last."""

EXAMPLE = "write --arm 'NAME=sync+async,sync=/python;GET /users/{id}'"

ROUTE = re.compile(r"(?:[A-Za-z]+ +)?/\S*")

SHARED = {"python": "python", "cwd": "cwd", "copied": "copy"}
"""What a process has one of, by field, and how it is written."""


def parse_arms(
    texts: Sequence[str], app_dir: str, python: str | None = None, others: Sequence[str] = ()
) -> tuple[Arm, ...]:
    """The arms that `texts` describe, see `parse_arm` and `parse_hybrid`. `others`: more of them, of which
    hybrids may be made. Raises PlanError."""
    plain = {text: parse_arm(text, app_dir, python) for text in texts if not is_hybrid(text)}
    plain = of_one_environment(plain)
    if len(plain) == len(texts):
        return tuple(plain.values())
    more = [parse_arm(text, app_dir, python) for text in others if not is_hybrid(text) and text not in plain]
    known = {**BUILT_IN, **{arm.name: arm for arm in (*more, *plain.values())}}
    return tuple(plain[text] if text in plain else parse_hybrid(text, known) for text in texts)


def is_hybrid(text: str) -> bool:
    return PAIR.fullmatch(parts(text.partition("=")[2], ",")[0].strip()) is not None


def parse_hybrid(text: str, known: Mapping[str, Arm]) -> Arm:
    """An arm made of two others from `NAME=ONE+DEFAULT,ONE=ROUTE;ROUTE[,DEFAULT=ROUTE][,key=value…]`.

    ONE answers the routes of its table, and DEFAULT all others. Other keys are settings of the process, which
    otherwise are those of the two arms, and must be equal. Raises PlanError.
    """
    name, _, rest = text.partition("=")
    target, *options = parts(rest, ",")
    one, default = target.strip().split("+")
    for arm in (one, default):
        check_usable(name, arm, known)
    if one == default or (known[one].app, known[one].app_dir) == (known[default].app, known[default].app_dir):
        raise PlanError(f"arm {name!r}: {one!r} and {default!r} are the same app", hint=EXAMPLE)
    tables: dict[str, list[str]] = {one: [], default: []}
    for key, value in pairs(name, [option for option in options if option.partition("=")[0] in tables]):
        tables[key] += table(name, key, value)
    if not tables[one]:
        raise PlanError(f"arm {name!r}: no routes are named for {one!r}", hint=EXAMPLE)
    check_disjoint(name, tables[one], tables[default])
    given = ArmSettings(name, [option for option in options if option.partition("=")[0] not in tables])
    return joined(name, (known[one], known[default]), (tables[one], tables[default]), given)


def joined(
    name: str,
    arms: tuple[Arm, Arm],
    tables: tuple[Sequence[str], Sequence[str]],
    given: ArmSettings | None = None,
) -> Arm:
    """The hybrid of two arms, the default last. `given`: the settings of its process, as far as they are not
    those of both. Raises PlanError."""
    one, default = arms
    given = given or ArmSettings(name, ())
    if "app_dir" in given.places:
        raise PlanError(f"arm {name!r}: app-dir= is a setting of the arms that it is made of", hint=EXAMPLE)
    check_shareable(name, one, default, given)
    hybrid = validated(
        Hybrid,
        {
            "arms": (one.name, default.name), "app": one.app, "app_dir": one.app_dir,
            "routes": tuple(dict.fromkeys(tables[0])), "rest": tuple(dict.fromkeys(tables[1])),
        },
        f"arm {name!r}",
    )  # fmt: skip
    values = {
        **default.model_dump(), "name": name, "hybrid": hybrid, **given.places,
        "env": {**default.env, **given.env},
        "serving": {**default.serving.model_dump(exclude_unset=True), **given.serving},
    }  # fmt: skip
    arm = validated(Arm, values, f"arm {name!r}")
    check_short(arm, given.short)
    return checked_client(arm)


def check_usable(name: str, part: str, known: Mapping[str, Arm]) -> None:
    """Raises PlanError where a hybrid cannot be made of an arm."""
    if part not in known:
        raise PlanError(f"arm {name!r}: there is no arm {part!r}", hint=did_you_mean(part, list(known)))
    if known[part].url is not None:
        raise PlanError(
            f"arm {name!r}: {part!r} is an external server, whose app cannot be served here",
            hint="name its app instead: NAME=module:attribute",
        )


def table(name: str, key: str, value: str) -> list[str]:
    """The routes of `/python;get /users/{id}`. Raises PlanError."""
    found = []
    for line in value.split(";"):
        route = " ".join(line.split())
        if not ROUTE.fullmatch(route):
            raise PlanError(f"arm {name!r}: {key}: {line.strip()!r} is not a route", hint=EXAMPLE)
        method, _, path = route.rpartition(" ")
        found.append(f"{method.upper()} {path}".strip())
    return found


def check_disjoint(name: str, one: Sequence[str], other: Sequence[str]) -> None:
    """Raises PlanError where both tables name a route."""
    for mine, theirs in product(one, other):
        methods, paths = zip(*(line.rpartition(" ")[::2] for line in (mine, theirs)), strict=True)
        shapes = {re.sub(r"\{[^{}]*\}", "{}", path) for path in paths}
        if len(shapes) == 1 and (methods[0] == methods[1] or "" in methods):
            raise PlanError(f"arm {name!r}: both tables name {mine}", hint="a route has one app")


def check_shareable(name: str, one: Arm, default: Arm, given: ArmSettings) -> None:
    """Raises PlanError where two arms differ in what one process has once, and the hybrid does not say it."""
    fields = [
        (written, getattr(one, field), getattr(default, field))
        for field, written in SHARED.items() if field not in given.places
    ]  # fmt: skip
    fields += [
        (knob.replace("_", "-"), getattr(one.serving, knob), getattr(default.serving, knob))
        for knob in Serving.model_fields if knob not in given.serving
    ]  # fmt: skip
    different = [
        f"{key}={mine or ''} and {key}={theirs or ''}" for key, mine, theirs in fields if mine != theirs
    ]
    # Values of variables may be secret.
    different += [
        f"another env.{key}" for key in sorted({*one.env, *default.env} - given.env.keys())
        if one.env.get(key) != default.env.get(key)
    ]  # fmt: skip
    if different:
        raise PlanError(
            f"arm {name!r}: {one.name!r} and {default.name!r} cannot share a process: {different[0]}",
            hint=f"say which it is for {name!r}: --arm '{name}={one.name}+{default.name},…,key=value'",
        )
