"""Before anything is measured, in words: the plan, how the arms answer, how their servers run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loadtests.records import BLOCK, Arm, Compared, Ignored, InForce, Plan, Run, WorkerHost, foreseen
from reports.analysis.thresholds import skipped
from reports.wording import units
from reports.wording.gates.bases import base_lines
from reports.wording.refusals import refusal_text
from reports.wording.units import counted

NO_THINK = "Users make their next request at once, whatever their wait_time (--no-think)"

SHOWN = 3
"""Files that a note names."""


def plan_text(plan: Plan) -> str:
    """What will happen and how long it takes, in three lines; then what must be known of a gate's base."""
    least, most = plan.expected_seconds()
    trials = len(plan.cells) * len(plan.arms) * plan.min_rounds
    arms = " against ".join(arm.name for arm in plan.arms) + f", reference {plan.reference.name}"
    if plan.alone:
        arms = f"{plan.reference.name} by itself"
    if plan.against:
        arms = ", ".join(f"{head} against {base}" for head, base in plan.against.items())
    further = plan.max_rounds - plan.min_rounds >= BLOCK
    more = f", then more where undecided, up to {plan.most_rounds}" if further else ""
    lines = [
        f"{arms}: {counted(len(plan.cells), 'cell')}, windows of "
        f"{plan.window:g} s after {plan.warmup:g} s of warm-up, {fresh_text(plan)}.",
        f"{counted(plan.min_rounds, 'round')} ({counted(trials, 'trial')}){more}: "
        f"{duration_text(least, most)}.",
    ]
    if plan.proof_time is not None:
        lines.append(
            "Then the advice is followed: an app with each route as its card says, beside both arms, "
            f"{duration_text(*plan.proof_seconds)} of that (--no-prove leaves it out)."
        )
    lines += [*same_lines(plan), *served_lines(plan)]
    refused = foreseen(plan)
    lines += [f"{cell}: not measured: {refusal_text(refused[cell.key])}." for cell in plan.cells
              if cell.key in refused]  # fmt: skip
    needed = len(plan.cells) * plan.min_rounds * plan.round_seconds()
    if plan.deadline is not None and needed > plan.deadline:
        lines.append(
            f"{units.span(plan.deadline)} is too short for {counted(plan.min_rounds, 'round')} of all cells, "
            f"about {units.span(needed)}: some cells will stay undecided. Allow more time, or fewer cells "
            "(-s, -u)."
        )
    if plan.no_think:
        lines.append(f"{NO_THINK}.")
    lines += [f"note: {line}" for line in note_lines(plan)]
    if plan.profile == "quick":
        lines.append(
            "The quick profile is a demonstration: it decides large effects and leaves small ones open."
        )
    if plan.locustfile is not None and plan.locustfile.ignored:
        lines.append(f"Not used of the locustfile: {ignored_text(plan.locustfile.ignored)}.")
    return "\n".join(lines)


def note_lines(plan: Plan) -> list[str]:
    """What must be known of a gate's base, and the thresholds that are not judged."""
    elsewhere = skipped(plan)
    if not elsewhere:
        return base_lines(plan)
    return [*base_lines(plan), f"not judged, since this run does not measure it: {units.listed(elsewhere)}"]


def fresh_text(plan: Plan) -> str:
    """What every trial gets new, and what apps other than the twins keep between trials."""
    own = [arm for arm in plan.arms if arm.app_dir is not None and arm.url is None]
    if any(arm.url is not None for arm in plan.arms):
        return "external servers are not restarted"
    if not own:
        return "fresh server and database for every trial"
    if all(arm.copied is not None for arm in own):
        return "fresh server and copy of its data for every trial"
    return "fresh server for every trial; the app's data stays (copy=PATH or --before-trial renews it)"


def arm_text(run: Run, arm: Arm) -> str:
    """An app as it was served: its own file, interpreter, settings, and the packages in which that
    interpreter differs from the reference's."""
    file = run.origins.get(arm.name)
    # No layers of middleware are what every app has.
    knobs = [f"{knob.replace('_', '-')} {value}" for knob, value in arm.serving if value]
    parts = [f"{arm.app} ({file})" if file else arm.app]
    parts += [f"with {arm.hybrid.app} for {units.listed(arm.hybrid.routes)}"] if arm.hybrid else []
    parts += [f"by {arm.python}"] if arm.python is not None else []
    parts += [f"in {arm.cwd}"] if arm.cwd is not None else []
    parts += [f"each with a copy of {arm.copied}"] if arm.copied is not None else []
    parts += [*knobs, *(f"{name}={value}" for name, value in arm.env.items())]
    return ", ".join([*parts, *package_texts(run, arm)])


def package_texts(run: Run, arm: Arm) -> list[str]:
    """The packages of an arm's interpreter that are not as those of its opponent's."""
    opponent = run.plan.opponent(arm.name)
    known = run.inputs.packages if run.inputs is not None else {}
    if arm.python == opponent.python or arm.python is None or opponent.python is None:
        return []
    ours, theirs = known.get(arm.python, {}), known.get(opponent.python, {})
    other = [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
    if not other:
        return []
    said = [f"{name} {ours.get(name, 'missing')} instead of {theirs.get(name, 'none')}" for name in other]
    return [f"packages: {units.listed(said, 8)}"]


def same_lines(plan: Plan) -> list[str]:
    """Arms that are described alike, so that a run of them measures noise."""
    pairs = [(plan.opponent(arm.name), arm) for arm in plan.rivals if not plan.gate]
    return [
        f"{one.name} and {other.name} are the same app with the same settings: their difference is noise."
        for one, other in pairs
        if one.model_copy(update={"name": other.name}) == other
    ]


def resumed_lines(run: Run, data_changed: Sequence[str]) -> list[str]:
    """What may differ from the earlier part of a run that is resumed. `data_changed`: the files that have
    changed and are no part of the program."""
    lines = []
    own = any(arm.app_dir is not None and arm.url is None for arm in run.plan.arms)
    if own and run.trials and (run.files is None or run.inputs is None):
        lines.append(
            "note: this run's record does not cover all templates, settings and installed packages: "
            "whether they have changed is not known."
        )
    if data_changed:
        shown = units.listed(list(data_changed[:SHOWN]))
        more = len(data_changed) - SHOWN
        lines.append(
            f"note: changed since the run began, but not part of the program: {shown}"
            f"{f' and {more} more' if more > 0 else ''}."
        )
    if run.files is not None and run.files.cut:
        hold = "holds" if len(run.files.cut) == 1 else "hold"
        cut = units.listed(list(run.files.cut))
        lines.append(f"note: not all files are compared: {cut} {hold} too many.")
    return lines


def served_lines(plan: Plan) -> list[str]:
    """The interpreters and servers other than the usual ones that serve arms, and with what."""
    arms: dict[tuple[str, str], list[str]] = {}
    for arm in plan.arms:
        serving, usual = arm.serving, arm.serving.server == "uvicorn"
        if arm.python is not None or (arm.url is None and not usual):
            means = f"{serving.loop} and {serving.http}" if usual else f"{serving.server} on {serving.loop}"
            arms.setdefault((arm.python or "duel's own Python", means), []).append(arm.name)
    return [
        f"{units.listed(names)}: served by {python}, with {means}." for (python, means), names in arms.items()
    ]


def duration_text(least: float, most: float) -> str:
    """`3 min 20 s to 20 min 00 s`, or `about 3 min 20 s`; seconds."""
    wide = most > least * 1.05
    return f"{units.span(least)} to {units.span(most)}" if wide else f"about {units.span(least)}"


def ignored_text(ignored: Sequence[Ignored]) -> str:
    """What of a locustfile is not heeded, and what happens instead."""
    named: dict[str, list[str]] = {}
    for one in ignored:
        named.setdefault(one.kind, []).append(one.name)
    said = {
        "shape": "(LoadTestShape): the load is that of -u or --rate",
        "weight": "(weight): each user class is a scenario of its own, with all users",
        "fixed-count": "(fixed_count): each user class is a scenario of its own, with all users",
        "option": "(options of Locust's): users and times are those of -u, --warmup and -t",
    }
    return "; ".join(f"{units.listed(names)} {said[kind]}" for kind, names in named.items())


def cells_text(plan: Plan) -> str:
    """The cells, one line per scenario with its loads."""
    loads: dict[str, list[str]] = {}
    for cell in plan.cells:
        loads.setdefault(cell.scenario, []).append(f"{cell.load.level:g}")
    unit = "arrivals per second" if plan.open else "users"
    return "\n".join(
        f"  {scenario} at {', '.join(levels)} {'user' if levels == ['1'] and not plan.open else unit}"
        for scenario, levels in loads.items()
    )


def equality_lines(arms: Sequence[str], compared: Compared) -> list[str]:
    """Whether the arms answer alike, then what of their answers was not read."""
    names, one = " and ".join(arms), len(arms) == 1
    parts = (
        (compared.heads, "compared by status and headers alone: the body did not end in time"),
        (compared.beginnings, "compared by the first bytes of the body: it is larger than 8 MiB"),
        (compared.unanswered, "left out: not answered in time"),
        (compared.unsteady, "left out: two servers of the same arm answer differently"),
    )
    lines = [f"  {', '.join(requests)}: {what}" for requests, what in parts if requests]
    if compared.requests:
        requests = counted(compared.requests, "request")
        answered = f"{names} answers {requests}"
        return [answered if one else f"{names} give the same answers to {requests}", *lines]
    why = "" if lines else ", since no OpenAPI document lists any requests"
    begins = f"{names} starts; its" if one else f"{names} start; their"
    return [f"{begins} answers were not compared{why}", *lines]


def in_force_text(found: InForce) -> str:
    """`2 workers of uvicorn 0.54.0, each with 40 threads and up to 20 database connections`."""
    threads = "threads without a limit" if found.threads is None else counted(found.threads, "thread")
    pool = f" and up to {counted(found.pool, 'database connection')}" if found.pool is not None else ""
    server = f" of {found.server}" if found.server is not None else ""
    client = f"; HTTP client {found.client}" if found.client is not None else ""
    return (
        f"{counted(found.workers, 'worker')}{server}{', each' if found.workers > 1 else ''} with "
        f"{threads}{pool}{client}"
    )


def overruled_text(arms: Sequence[tuple[str, int | None, int]]) -> str:
    """Arms whose app sets the thread limit itself. `arms`: name, threads in force, threads asked for."""
    names = " and ".join(
        f"{name} ({'no limit' if threads is None else threads}, not {asked})" for name, threads, asked in arms
    )
    return f"{names}: the app sets AnyIO's thread limit itself, which overrules threads="


def started_text(
    app: str, file: Path, loaded: int, left: int, account: Sequence[str], settings: str, project: Path | None
) -> str:
    """What `duel init` wrote, and what to run next. `loaded`, `left`: routes whose users are loaded as they
    are, and those whose are not; `account`: variables whose values would let more of them be loaded;
    `project`: the file to which `settings` were added."""
    more = f"; {left} more to look at first (abstract: not loaded)" if left else ""
    lines = [f"{file}: users of {counted(loaded, 'route')}{more}"]
    if account:
        lines.append(
            f"some need a log-in only: set {' and '.join(account)}, delete {file}, and run duel init again"
        )
    if project is not None:
        lines.append(f"{project}: settings, in [tool.duel]")
        return "\n".join([*lines, "next: duel run; and in a branch: duel run --base-ref main"])
    lines += ["not written: pyproject.toml is missing, or has [tool.duel] already", settings.rstrip()]
    return "\n".join([*lines, f"next: duel run {app} -f {file}"])


def gathering_text(address: str, workers: Sequence[WorkerHost], size: int) -> str:
    """Which load generators on other machines have joined a run, of the `size` that it needs."""
    joined = f"; {clock_text(workers[-1])}" if workers else ""
    if len(workers) == size:
        return f"{counted(size, 'load generator')} joined{joined}"
    start = f"`duel worker --master {address}` on each machine"
    return f"waiting for load generators: {len(workers)} of {size} joined ({start}){joined}"


def clock_text(worker: WorkerHost) -> str:
    """`10.0.0.3, 8 CPUs, its clock 12.304 s ahead (± 0.12 ms)`."""
    if worker.offset == 0.0:
        clock = "on the same clock"
    else:
        side = "ahead" if worker.offset > 0 else "behind"
        clock = f"its clock {abs(worker.offset):,.3f} s {side} (± {worker.error * 1000:.2f} ms)"
    return f"{worker.host}, {counted(worker.cpus, 'CPU')}, {clock}"


def worker_text(event: str, address: str) -> str:
    """What comes of a load generator that serves a run on another machine."""
    match event:
        case "waits":
            return f"waiting for a run at {address}; press Ctrl-C to stop"
        case "joined":
            return f"joined the run at {address}"
        case "silent":
            return f"lost the run at {address}: its load ended; looking for it again"
        case _:
            return f"the run at {address} is over"
