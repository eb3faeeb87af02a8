"""Start a run, or resume one if nothing has changed since."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from loadtests.errors import PlanError
from loadtests.plan.arms import HIDDEN, Arm, Serving
from loadtests.plan.base.repository import head_of
from loadtests.plan.database_url import backend
from loadtests.plan.hybrids.proofs import in_two
from loadtests.plan.options import RunOptions, Sealed, secret, unrecorded
from loadtests.plan.plan import Plan
from loadtests.records.directory import RunDirectory
from loadtests.records.files import digest as digest_of
from loadtests.records.files import read_named
from loadtests.records.run import Run
from loadtests.serving.used.changes import program_changed, written_by_apps
from loadtests.system import fingerprint, placement
from loadtests.system.inputs import changed, inputs_of

SIDES = ("-base", "-head")
"""What the names of a gate's arms end in."""

LARGEST_SOURCE = 16 * 2**20
"""Bytes of a file of Locust users."""


def new_run(plan: Plan, placement: placement.Placement) -> Run:
    now = datetime.now(UTC)
    try:
        release = version("fastapi-duel")
    except PackageNotFoundError:
        release = "unknown"
    return Run.model_validate(
        {
            "schema": "duel-run/2",
            "version": release,
            "id": f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
            "began": now.isoformat(timespec="seconds"),
            "plan": plan,
            "machine": fingerprint.fingerprint(placement),
        }
    )


def begin(plan: Plan, parent: Path) -> tuple[Run, RunDirectory]:
    """A run of `plan` without trials, in a new directory under `parent`. Raises CannotWrite."""
    run = without_trials(plan)
    directory = RunDirectory.create(parent, run.id)
    directory.save(run)
    return run, directory


def without_trials(plan: Plan) -> Run:
    """A run of `plan` on this machine."""
    run = new_run(plan, placement.place(placement.cpus(), plan.generators))
    return run.model_copy(update={"inputs": inputs_of(plan)})


@contextmanager
def kept(directory: RunDirectory) -> Iterator[None]:
    """Give an error or interrupt that stops a run a note on how to continue, once anything was measured."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as stopped:
        note = (
            f"what was measured is kept: `duel report {directory.whole}` shows it, "
            f"`duel resume {directory.whole}` continues"
        )
        # A proof is stopped with the run that it belongs to.
        new = note not in getattr(stopped, "__notes__", ())
        if new and (isinstance(stopped, KeyboardInterrupt) or directory.load().trials):
            stopped.add_note(note)
        raise


def resume(
    path: Path, deadline: float | None, arms: Callable[[], Sequence[Arm]] = tuple
) -> tuple[Run, RunDirectory]:
    """The run at `path`, to be continued for `deadline` seconds, or to its end: from the first incomplete
    round. `arms`: as they were given to the run, for values of their environments that are not recorded.
    Raises RecordError; PlanError on another machine, or where what was measured has changed."""
    directory = RunDirectory(path)
    run = directory.load()
    directory.complete()
    here = fingerprint.fingerprint(placement.place(placement.cpus(), run.plan.generators))
    for name in ("cpu", "cores", "python", "packages", "placement"):
        then, now = getattr(run.machine, name), getattr(here, name)
        if then != now:
            raise PlanError(
                f"cannot resume run {run.id} here: its {name} was {then}, and is now {now}",
                hint="rounds from two machines do not belong to one run: start a new one",
            )
    check_unchanged(run)
    complete = tuple(with_secrets(arm, run, arms) for arm in run.plan.arms)
    plan = limited(run.plan, deadline, proved=directory.proof is not None)
    plan = plan.model_copy(update={"arms": complete})
    return run.model_copy(update={"plan": plan, "complete": False}), directory


def limited(plan: Plan, deadline: float | None, proved: bool) -> Plan:
    """A plan that is resumed, with a limit of time, which it shares with its proof unless that is there; that
    of a search is for each of its scenarios."""
    if plan.capacity is not None:
        seconds = plan.capacity.seconds if deadline is None else deadline
        return plan.model_copy(update={"capacity": plan.capacity.model_copy(update={"seconds": seconds})})
    if deadline is not None and plan.proof_time is not None and not proved:
        deadline, _ = in_two(deadline, plan.proof_time)
    return plan.model_copy(update={"max_time": deadline, "deadline": deadline})


def check_given(run: Run, given: Sequence[Arm]) -> None:
    """Raises PlanError where an arm that is described again is none of the run's, or another one. Where it is
    served from is as recorded."""
    sides = SIDES if run.plan.base is not None else ("",)
    for arm in given:
        names = [arm.name + side for side in sides]
        mine = [one for one in run.plan.arms if one.name in names]
        if not mine:
            raise PlanError(
                f"run {run.id} has no arm {arm.name!r}",
                hint=f"it is resumed with its arms: {', '.join(one.name for one in run.plan.arms)}",
            )
        for one in mine:
            recorded = {key: value for key, value in one.env.items() if value != HIDDEN}
            same = all(arm.env.get(key) == value for key, value in recorded.items())
            if described(arm) != described(one) or not same:
                raise another(run, one)


def another(run: Run, arm: Arm) -> PlanError:
    return PlanError(
        f"arm {arm.name!r} is not the one that run {run.id} has measured",
        hint="describe it as `duel run` got it: the same app and the same settings",
    )


def with_secrets(arm: Arm, run: Run, given: Callable[[], Sequence[Arm]]) -> Arm:
    """A recorded arm with the values of its environment: of the given arm of its name, or of our own
    environment, where digests show whether they are the same. Raises PlanError where one is missing, or the
    given arm is another one."""
    hidden = [key for key, value in arm.env.items() if value == HIDDEN]
    if not hidden:
        return arm
    # The sides of a gate's arm come from one that was given.
    sides = SIDES if run.plan.base is not None else ()
    name = next((arm.name.removesuffix(side) for side in sides if arm.name.endswith(side)), arm.name)
    again = next((one for one in given() if one.name == name), None)
    if again is not None and described(again) != described(arm):
        raise another(run, arm)
    known: Mapping[str, str] = os.environ if run.sealed is not None else {}
    known = again.env if again is not None else known
    missing = next((key for key in hidden if key not in known), None)
    if missing is not None:
        raise PlanError(
            f"cannot resume run {run.id}: the value of {secret(arm.name, missing)} is not recorded",
            cause="it may be secret",
            hint=f"pass the arm again, as `duel run` got it: --arm {name}=…,env.{missing}=…",
        )
    return arm.model_copy(update={"env": {**arm.env, **{key: known[key] for key in hidden}}})


def described(arm: Arm) -> tuple[tuple[str, ...], Serving, set[str]]:
    """The parts of an arm that are recorded and the same on both sides of a gate."""
    routes = (*arm.hybrid.routes, *arm.hybrid.rest) if arm.hybrid is not None else ()
    return (*arm.apps, *routes), arm.serving, set(arm.env)


def sealed(run: Run, options: RunOptions) -> Run:
    """The run with digests of the values that are not recorded. Raises PlanError where it has them already,
    of other values."""
    values = unrecorded(run.plan, options)
    lost = next((what for what, value in values.items() if value == HIDDEN), None)
    if lost is not None:
        raise refused(run, f"the value of {lost} is not recorded", "pass --arm as then")
    if run.plan.database != backend(options.database):
        raise refused(run, f"its database is {run.plan.database}", "pass the same --database as then")
    if run.plan.redis != (options.redis is not None):
        had = "has" if run.plan.redis else "has no"
        raise refused(run, f"it {had} Redis", "pass --redis or --redis-url as then")
    if run.trials and bool(run.workers) != (options.listen is not None):
        where = "machines that joined with `duel worker`" if run.workers else "this machine"
        raise refused(run, f"its load came from {where}", "pass --listen as then, or leave it out as then")
    if run.sealed is None and not run.trials:
        return run.model_copy(update={"sealed": Sealed.of(values)})
    missing, more, other = run.sealed.changed(values) if run.sealed is not None else ([], [], [])
    for found, what in ((missing, "is not given"), (more, "was not given"), (other, "has another value")):
        if found:
            raise refused(run, f"{found[0]} {what}", "give it as then")
    return run


def refused(run: Run, what: str, hint: str) -> PlanError:
    return PlanError(
        f"cannot resume run {run.id}: {what}",
        hint=f"{hint}; rounds of two different things do not belong to one run",
    )


def check_unchanged(run: Run) -> None:
    """Raises PlanError where what a run measures has changed since its plan was made, or since its trials."""
    changed = change_since(run)
    if changed is not None:
        raise PlanError(
            f"cannot {'resume' if run.trials else 'measure'} run {run.id}: {changed}",
            hint="rounds of two different things do not belong to one run: restore it, or start a new one",
        )


def change_since(run: Run) -> str | None:
    """What has changed or is gone of the files that a run measures; None where nothing has."""
    plan = run.plan
    for arm in plan.arms:
        gone = next((one for one in arm.app_dirs if not Path(one).is_dir()), None)
        if gone is not None:
            return f"{gone} is gone"
    base = plan.base
    if base is not None:
        head = head_of(Path(base.repository))
        if head != base.head:
            return f"the working tree was at {base.head}, and is now at {head}"
    own = plan.locustfile
    if own is not None:
        try:
            digest = hashlib.sha256(read_named(Path(own.file), LARGEST_SOURCE)).hexdigest()
        except (OSError, ValueError) as error:
            return f"{own.file}: {getattr(error, 'strerror', None) or error}"
        if digest != own.digest:
            return f"{own.file} has changed"
    helpers = own.helpers if own is not None else {}
    for path, recorded in {**(run.sources or {}), **helpers}.items():
        found = digest_of(Path(path))
        if found != recorded:
            return f"{path} {'is gone' if found is None else 'has changed'}"
    found = changed(run.inputs, plan, written_by_apps(run)) if run.inputs is not None else None
    return found or program_changed(run)
