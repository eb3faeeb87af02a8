"""From settings to a plan. Reads files and the repository; writes and starts nothing."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from loadtests.errors import PlanError, did_you_mean
from loadtests.plan.addresses import check_target
from loadtests.plan.arms import BUILT_IN, Arm, built_in_arms, swept
from loadtests.plan.base.commit import resolve
from loadtests.plan.base.jobs import OF_THIS_JOB, base_of_job
from loadtests.plan.base.locks import with_packages
from loadtests.plan.base.pairs import left_behind, paired
from loadtests.plan.cells import ENOUGH_FOR_P99, Cell, Load
from loadtests.plan.database_url import (
    OPTIONS,
    OWN_REDIS,
    SERVERS,
    backend,
    checked,
    checked_redis,
    options_of,
)
from loadtests.plan.fields import validated
from loadtests.plan.hybrids.parsing import parse_arms
from loadtests.plan.hybrids.proofs import with_proof
from loadtests.plan.interpreter import absolute
from loadtests.plan.options import Hooks, RunOptions
from loadtests.plan.plan import LocustFile, Plan
from loadtests.plan.profiles import ENDPOINTS, FIRST_LOOK, LAST_LOOK, MIXES, PROFILES, SERVICES, Profile
from loadtests.plan.settings import RunSettings
from loadtests.plan.workers.access import MasterAddress, shared_secret

NOTHING: Mapping[str, Any] = {}

LONGEST_WINDOW = 10.0
"""Seconds to which a window is stretched without being asked to."""


def build_plan(
    settings: RunSettings, own: Mapping[str, Any] | None = None, allow_remote: bool = False
) -> Plan:
    """The plan that the settings ask for. `own`: what `settings.locustfile` holds, as
    `measure.generator.known_scenarios` describes it; None: the built-in scenarios. Raises PlanError."""
    own_scenarios = None if own is None else own["scenarios"]
    profile = profile_of(settings)
    planned = cells(
        profile, settings.scenario, loads(settings), own_scenarios, redis=redis(settings) is not None
    )
    values: dict[str, Any] = {
        "profile": settings.profile,
        "seed": secrets.randbelow(2**31) if settings.seed is None else settings.seed,
        "cells": planned,
        "locustfile": paced(
            locustfile(settings.locustfile, own or {}), {} if settings.no_think else own_scenarios or {}
        ),
        "no_think": settings.no_think,
        "answers": settings.answers,
        "canary": settings.canary or ("/ping" if own_scenarios is None else None),
        "generators": settings.generators,
        "database": backend(database(settings)),
        "redis": redis(settings) is not None,
        "warmup": profile.warmup if settings.warmup is None else settings.warmup,
        "window": window(planned, profile.window) if settings.window is None else settings.window,
        "boot_timeout": settings.boot_timeout,
        "margin": settings.margin,
        "thresholds": settings.thresholds or {},
    }
    values |= sides(settings, allow_remote)
    if own is None and not settings.scenario:
        check_users(values["arms"])
    values |= rounds(settings, profile)
    made = validated(Plan, values, "the plan")
    # Workers on other machines leave when the rounds are over.
    alone = settings.no_prove or settings.listen is not None
    return made if alone else with_proof(made, profile.proof_time)


def run_options(settings: RunSettings, allow_remote: bool = False, wait: bool = False) -> RunOptions:
    """What a run needs besides its plan. Raises PlanError."""
    hooks = Hooks(settings.before_trial, settings.after_trial)
    listen = None
    if settings.listen is not None:
        listen = MasterAddress.parse(settings.listen, "--listen")
        listen.check("--listen", allow_remote)
        shared_secret(settings.secret_file, os.environ)
    return RunOptions(
        database(settings), hooks, allow_remote, wait, settings.locust_arg, redis(settings), listen,
        settings.secret_file,
    )  # fmt: skip


def profile_of(settings: RunSettings) -> Profile:
    """Raises PlanError."""
    if settings.profile not in PROFILES:
        raise PlanError(
            f"unknown profile {settings.profile!r}", hint=did_you_mean(settings.profile, list(PROFILES))
        )
    return PROFILES[settings.profile]


def sides(settings: RunSettings, allow_remote: bool) -> dict[str, Any]:
    """The plan's arms, and which is compared with which. Raises PlanError."""
    chosen = swept(arms(settings, settings.arm, allow_remote), settings.sweep)
    if settings.base_ref is not None:
        ref = (
            base_of_job(os.environ, Path(settings.app_dir))
            if settings.base_ref == OF_THIS_JOB
            else settings.base_ref
        )
        base = resolve(ref, Path(settings.app_dir), settings.base_point)
        python = settings.base_python and absolute(settings.base_python)
        pairs, against = paired(chosen, base, python)
        check_places(pairs)
        base = with_packages(base, chosen, python)
        base = base.model_copy(update={"untracked": left_behind(chosen, base)})
        return {"arms": pairs, "against": against, "gate": True, "base": base}
    if settings.base_python is not None:
        raise PlanError("--base-python needs a base", hint="add --base-ref, or an arm with python=PATH")
    check_places(chosen)
    return {"arms": chosen}


def check_users(arms: Sequence[Arm]) -> None:
    """Raises PlanError for an app other than the twins without users: all built-in scenarios request what
    only the twins serve."""
    twins = {arm.app for arm in BUILT_IN.values()}
    foreign = [app for arm in arms if arm.url is None for app in arm.apps if app not in twins]
    if foreign:
        raise PlanError(
            f"no users are named for {foreign[0]}",
            cause="the built-in scenarios request routes of the twin apps",
            hint=f"name a locustfile with -f; `duel init {foreign[0]}` writes one to start with",
        )


def check_places(arms: Sequence[Arm]) -> None:
    """Raises PlanError where a directory, an interpreter or what is copied of an arm does not exist."""
    for arm in arms:
        for key, directory in (*(("app-dir", one) for one in arm.app_dirs), ("cwd", arm.cwd)):
            if directory is not None and not Path(directory).is_dir():
                raise PlanError(
                    f"arm {arm.name!r}: there is no directory {directory}", hint=f"check its {key}"
                )
        if arm.copied is not None and not Path(arm.copied).exists():
            raise PlanError(f"arm {arm.name!r}: there is no {arm.copied}", hint="check its copy")
        if arm.python is not None and shutil.which(arm.python) is None:
            raise PlanError(
                f"arm {arm.name!r}: {arm.python} cannot be run", hint="name an interpreter: python=PATH"
            )


def arms(settings: RunSettings, texts: Sequence[str], allow_remote: bool = False) -> tuple[Arm, ...]:
    """The arms that `texts` describe, or the built-in ones. Raises PlanError, also where the database
    does not suit one, or one is a server on another machine without `allow_remote`."""
    chosen = parse_arms(texts, settings.app_dir, settings.python, settings.arm) or built_in_arms()
    check_own_code(chosen, texts, settings.app_dir)
    for arm in chosen:
        if arm.url is not None:
            check_target(arm.url, allow_remote)
        check_driver(arm, database(settings))
    return chosen


def check_driver(arm: Arm, given: str | None) -> None:
    """Raises PlanError where an arm's database driver is another database's, or does not know an option of
    the URL `given`."""
    driver, database = arm.env.get("DUEL_APP_DRIVER"), backend(given)
    strange = [key for key in options_of(given) if key not in OPTIONS.get(driver or "", (key,))]
    if strange:
        raise PlanError(
            f"arm {arm.name!r}: its driver {driver} does not know the option {strange[0]} of the database "
            "URL",
            hint="leave the option out of the URL",
        )
    for kind, servers in SERVERS.items():
        if driver in servers.drivers and kind != database:
            raise PlanError(
                f"arm {arm.name!r} needs {servers.title}, for its driver {driver}",
                hint=f"add --database {kind}, or leave this arm out",
            )


def check_own_code(arms: Sequence[Arm], texts: Sequence[str], app_dir: str) -> None:
    """Raises PlanError where `cwd=` alone is meant to tell two arms of one app apart, and has no effect on
    what they import, since an absolute `app_dir` has the code of all."""
    if not Path(app_dir).is_absolute():
        return
    given = zip(arms, texts, strict=False)
    mine = [arm for arm, text in given if ",app-dir=" not in text and arm.hybrid is None]
    for one, other in combinations(mine, 2):
        if (one.app, one.app_dir) == (other.app, other.app_dir) and one.cwd != other.cwd:
            raise PlanError(
                f"arms {one.name!r} and {other.name!r} work in different directories and serve the same code",
                cause=f"the app is imported from {app_dir}, whatever cwd= says",
                hint="name the directory of the app below cwd=, such as --app-dir src, or one for each arm: "
                f"app-dir=PATH; to measure one code twice, add app-dir={app_dir} to both arms",
            )


def described(settings: RunSettings) -> tuple[Arm, ...]:
    """The arms that are described, as they are and swept; none where none are. Raises PlanError."""
    chosen = parse_arms(settings.arm, settings.app_dir, settings.python)
    return (*chosen, *swept(chosen, settings.sweep)) if chosen else ()


def database(settings: RunSettings) -> str | None:
    """Where the twin apps keep their data: None for SQLite, `postgresql` or `mysql`, or a URL. Raises
    PlanError."""
    return None if settings.database == "sqlite" else checked(settings.database)


def redis(settings: RunSettings) -> str | None:
    """Where the twin apps' Redis is: None for nowhere, OWN_REDIS, or a URL. Raises PlanError."""
    if settings.redis_url is None:
        return OWN_REDIS if settings.redis else None
    if settings.redis:
        raise PlanError("--redis and --redis-url exclude each other", hint="--redis starts a server")
    return checked_redis(settings.redis_url)


def locustfile(file: str | None, told: Mapping[str, Any] = NOTHING) -> LocustFile | None:
    """The user's own Locust users as a plan holds them. `told`: what the generator said of the file. Raises
    PlanError."""
    if file is None:
        return None
    path = Path(file).resolve()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        more = {key: told[key] for key in ("ignored", "helpers") if key in told}
        more["scenarios"] = tuple(told.get("scenarios", ()))
        return LocustFile.model_validate({"file": str(path), "digest": digest, **more})
    except (OSError, ValueError) as error:
        raise PlanError(
            f"cannot read {file}: {getattr(error, 'strerror', None) or error}",
            hint="--locustfile takes a file of Locust users; -s picks some of them by name",
        ) from None


def paced(file: LocustFile | None, own_scenarios: Mapping[str, Any]) -> LocustFile | None:
    """A locustfile with how long the users of its scenarios wait between two tasks."""
    pauses = {name: pause for name, told in own_scenarios.items() if (pause := told.get("pause"))}
    return None if file is None else file.model_copy(update={"pauses": pauses})


def rounds(settings: RunSettings, profile: Profile) -> dict[str, Any]:
    """How many rounds, and how long they may take. Raises PlanError."""
    if settings.rounds is not None and settings.fixed_rounds is not None:
        raise PlanError("--rounds and --fixed-rounds exclude each other")
    asked = settings.rounds if settings.fixed_rounds is None else settings.fixed_rounds
    most = LAST_LOOK if asked is None else asked
    least = min(FIRST_LOOK, most) if settings.fixed_rounds is None else settings.fixed_rounds
    # An explicit number of rounds is measured, however long it takes.
    usual = profile.max_time if asked is None else None
    return {
        "min_rounds": least,
        "max_rounds": most,
        "max_time": usual if settings.max_time is None else settings.max_time,
        # A profile's limit only prevents extra rounds; a limit that a user sets ends the run.
        "deadline": settings.max_time,
    }


def window(cells: Sequence[Cell], least: float) -> float:
    """Seconds: the profile's window, in an open loop long enough for a 99th percentile, within reason."""
    rates = [cell.load.rate for cell in cells if cell.load.rate is not None]
    return max(least, min(ENOUGH_FOR_P99 / min(rates), LONGEST_WINDOW)) if rates else least


def loads(settings: RunSettings) -> tuple[Load, ...]:
    """The loads asked for; none: the profile's. Raises PlanError."""
    if settings.users and settings.rate:
        raise PlanError(
            "users and rates cannot be mixed in one plan",
            hint="-u makes a closed loop, which measures capacity; --rate makes an open loop, which measures "
            "latency: run twice",
        )
    if settings.rate:
        spread = settings.arrivals or "poisson"
        return tuple(
            validated(Load, {"rate": rate, "arrivals": spread}, f"rate {rate:g}") for rate in settings.rate
        )
    if settings.arrivals is not None:
        raise PlanError("--arrivals needs an open loop", hint="add a rate, such as --rate 500")
    return tuple(validated(Load, {"users": users}, f"users {users}") for users in settings.users)


def cells(
    profile: Profile,
    scenarios: Sequence[str],
    loads: Sequence[Load],
    own_scenarios: Mapping[str, Any] | None = None,
    redis: bool = False,
) -> tuple[Cell, ...]:
    """The profile's cells, or the requested scenarios and loads instead; of a locustfile all scenarios,
    at the profile's levels, unless some are asked for. `redis`: whether there is a server. Raises
    PlanError."""
    its_own = (*profile.cells, *profile.services) if redis else profile.cells
    if own_scenarios is None and not scenarios and not loads:
        return tuple(Cell(scenario=name, load=Load(users=users)) for name, users in its_own)
    known: Sequence[str] = [*MIXES, *ENDPOINTS, *SERVICES] if own_scenarios is None else list(own_scenarios)
    usual = dict.fromkeys(name for name, _ in its_own) if own_scenarios is None else own_scenarios
    chosen = loads or tuple(Load(users=users) for users in profile.levels(own_scenarios is not None))
    for name in scenarios:
        if name not in known:
            raise PlanError(f"unknown scenario {name!r}", hint=did_you_mean(name, known))
        if own_scenarios is None and name in SERVICES and not redis:
            raise PlanError(
                f"scenario {name!r} needs Redis",
                hint="add --redis, which starts a server (of the package redis-server), or name one: "
                "--redis-url redis://127.0.0.1:6379",
            )
    pairs = dict.fromkeys((name, load) for name in scenarios or usual for load in chosen)
    for name, load in pairs:
        if own_scenarios is not None and load.rate is not None and not own_scenarios[name]["plain"]:
            raise PlanError(
                f"scenario {name!r} has task sets, which cannot arrive at a rate",
                hint="use users (-u), or write its tasks as plain functions",
            )
    return tuple(Cell(scenario=name, load=load) for name, load in pairs)
