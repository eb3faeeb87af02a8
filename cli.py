# Long: all verbs with their flags, side by side.
"""The command line: verbs only. Parse, one call, print, exit code.

Nothing heavy is imported before a verb needs it, so that `duel --help` is fast. Annotations are
evaluated at runtime, since Typer makes a verb's flags from them.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, Optional

import typer

from loadtests.errors import DuelError, Exit, PlanError, explained
from loadtests.plan.settings import (
    DECLARED,
    FLAGGED,
    RENEWABLE,
    SEARCHED,
    Declaration,
    Settled,
    settle,
)
from loadtests.system.signals import end_in_order
from reports.export.names import AdviceFormat, Format
from reports.render.streams import complain, discard, unfailing_streams

if TYPE_CHECKING:
    from loadtests.plan.options import RunOptions
    from loadtests.plan.settings import RunSettings
    from loadtests.records import Run, RunDirectory
    from reports.analysis.readings import Readings
    from reports.render.output import Output

    Measured = tuple[Run, Readings]

EXIT_CODES = "Exit codes: " + " · ".join(f"{code.value} {code.meaning}" for code in Exit)

Verb = Callable[..., None]

ColourOption = Annotated[Literal["auto", "always", "never"], typer.Option("--color", help="Color the output")]
JsonOption = Annotated[
    Optional[str], typer.Option("--json", metavar="FILE|-", help="Write results as JSON; - prints only them")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks of unexpected errors")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors")]
NoProgressOption = Annotated[bool, typer.Option("--no-progress", help="Show no progress")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit 4 if a cell is inconclusive")]
QuickOption = Annotated[bool, typer.Option("--quick", help="Short for --profile quick")]
ThoroughOption = Annotated[bool, typer.Option("--thorough", help="Short for --profile thorough")]
ConfigOption = Annotated[
    Optional[Path], typer.Option("--config", metavar="FILE", help="Read the table tool.duel from this file")
]
RemoteOption = Annotated[
    bool,
    typer.Option("--allow-remote", help="Allow load on other machines; only with the owner's permission"),
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait in the queue for other runs on this machine")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory, as `duel run` printed it")]
AllowOption = Annotated[
    Optional[list[str]],
    typer.Option("--allow", metavar="NAME", help="Compare runs that differ in this setting; repeatable"),
]

app = typer.Typer(
    name="duel",
    help="Should this FastAPI route be def or async def? Evidence from load tests.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def verb(
    *settings: str, name: str | None = None, json: bool = False, progress: bool = False
) -> Callable[[Verb], Verb]:
    """Register a function as a verb: its errors become messages and exit codes.

    The argument `settled` comes from the flags for `settings` and the other layers; the argument `output`
    from --color and, if requested, --json, --quiet and --no-progress.
    """

    def register(function: Verb) -> Verb:
        asked = signature(function).parameters
        parameters = [
            *(flag(DECLARED[key]) for key in settings),
            *(shared(quick=QuickOption, thorough=ThoroughOption) if "profile" in settings else ()),
            *(shared(None, config=ConfigOption) if settings else ()),
            *(one for one in asked.values() if one.name not in ("settled", "output")),
            *(shared(None, json=JsonOption) if json else ()),
            *(shared(quiet=QuietOption, no_progress=NoProgressOption) if progress else ()),
            *(shared("auto", color=ColourOption) if "output" in asked else ()),
            *shared(verbose=VerboseOption),
        ]

        def command(verbose: bool, **values: Any) -> None:
            with answering(verbose):
                if settings:
                    values["settled"] = settled_by(values, settings)
                if "output" in asked:
                    from reports.render.output import Output

                    values["output"] = Output.by(values)
                function(**values)

        # Typer makes the flags from these.
        command.__doc__, command.__name__ = function.__doc__, function.__name__
        command.__dict__["__signature__"] = Signature(
            [one.replace(kind=Parameter.KEYWORD_ONLY) for one in parameters]
        )
        return app.command(name, epilog=EXIT_CODES)(command)

    return register


def flag(declared: Declaration) -> Parameter:
    """A setting as Typer takes it: as text, which the setting itself reads, or as a switch."""
    names = [f"--{declared.key}", *([declared.short] if declared.short else [])]
    option = typer.Option(*names, metavar=declared.metavar, help=declared.help_text)
    kind: Any = Optional[list[str]] if declared.many else Optional[str] if declared.metavar else bool
    return Parameter(declared.field, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])


def shared(default: Any = False, **options: Any) -> list[Parameter]:
    """Options that several verbs have."""
    return [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=option)
        for name, option in options.items()
    ]


def settled_by(values: dict[str, Any], settings: Sequence[str]) -> Settled:
    """The settings by all layers; takes their flags out of `values`. Raises PlanError."""
    given = {key: values.pop(DECLARED[key].field) for key in settings}
    given |= {name: values.pop(name) for name in ("quick", "thorough") if name in values}
    return settle(given, os.environ, values.pop("config"))


def show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"duel {version('fastapi-duel')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    """Should this FastAPI route be def or async def? Evidence from load tests."""


@verb(*FLAGGED, json=True, progress=True)
def run(
    settled: Settled,
    output: "Output",
    target: Annotated[
        Optional[str], typer.Argument(metavar="[APP]", help="One app by itself: short for --arm app=APP")
    ] = None,
    allow_remote: RemoteOption = False,
    wait: WaitOption = False,
    dry_run: DryRunOption = False,
    strict: StrictOption = False,
) -> None:
    """Load the arms in interleaved rounds; say which one wins where, by how much, and how sure that is."""
    from loadtests.measure.planning import plan_of
    from loadtests.measure.prospects import feasibility
    from loadtests.measure.runs import begin
    from loadtests.plan.building import run_options
    from reports.runs import check_thresholds
    from reports.wording.plans import cells_text, plan_text

    settled = settled.of_app(target)
    plan = plan_of(settled.settings, allow_remote)
    feasibility.check_conclusive(plan)
    check_thresholds(plan)
    chosen = run_options(settled.settings, allow_remote, wait)
    if dry_run:
        text = f"{plan_text(plan)}\n{cells_text(plan)}"
        output.show(plan.model_dump_json(indent=2) + "\n", lambda _: output.say(text))
        return
    output.note(plan_text(plan))
    found = carry_on(begin(plan, Path(settled.settings.out)), chosen, output)
    finish(*proved(found, settled, chosen, output), output, strict)


@verb(*SEARCHED, json=True, progress=True)
def capacity(
    settled: Settled,
    output: "Output",
    app: Annotated[
        Optional[str], typer.Argument(metavar="[APP]", help="One app by itself: short for --arm app=APP")
    ] = None,
    target: Annotated[
        Optional[str],
        typer.Option(metavar="TARGET", help="What must hold: p(99)<50 (ms), or rate<0.01 (fail)"),
    ] = None,
    precision: Annotated[
        Optional[float],
        typer.Option(min=0.01, max=0.5, help="Half-width of an interval that is enough (0.1)"),
    ] = None,
    highest: Annotated[
        Optional[float], typer.Option(min=1.0, max=100_000.0, help="Arrival rate that no search exceeds")
    ] = None,
    allow_remote: RemoteOption = False,
    wait: WaitOption = False,
    dry_run: DryRunOption = False,
    strict: StrictOption = False,
) -> None:
    """Find the highest arrival rate at which a target holds, in --max-time (3 min) for each scenario."""
    from loadtests.measure.capacity.planning import capacity_plan
    from loadtests.measure.runs import begin
    from loadtests.plan.building import run_options
    from reports.runs import check_thresholds
    from reports.wording.capacity import search_text

    settled = settled.of_app(app)
    asked = {"target": target, "precision": precision, "highest": highest}
    plan = capacity_plan(settled.settings, asked, allow_remote)
    check_thresholds(plan)
    if dry_run:
        output.show(plan.model_dump_json(indent=2) + "\n", lambda _: output.say(search_text(plan)))
        return
    output.note(search_text(plan))
    chosen = run_options(settled.settings, allow_remote, wait)
    finish(*carry_on(begin(plan, Path(settled.settings.out)), chosen, output), output, strict)


@verb(*RENEWABLE, json=True, progress=True)
def resume(
    settled: Settled,
    output: "Output",
    path: RunArgument,
    allow_remote: RemoteOption = False,
    wait: WaitOption = False,
    strict: StrictOption = False,
) -> None:
    """Continue a run, or its proof, that was interrupted, ran out of time or was disturbed, with its plan.

    Secrets, commands and the database are not recorded: pass them again.
    """
    from loadtests.measure import planning, proving, runs
    from loadtests.plan import building
    from loadtests.records import RunDirectory
    from loadtests.serving.used.changes import data_changed
    from reports.runs import records_of
    from reports.wording.plans import resumed_lines

    chosen = building.run_options(settled.settings, allow_remote, wait)
    check_given(path, settled)
    if proving.proof_interrupted(RunDirectory(path)):
        found = records_of(path, settled.given("answers"))
    else:
        run, directory = runs.resume(
            path, settled.settings.max_time, lambda: planning.described_again(settled.settings)
        )
        for line in resumed_lines(run, data_changed(run)):
            output.note(line)
        found = carry_on((run.accepting(settled.given("answers")), directory), chosen, output)
    finish(*proved(found, settled, chosen, output), output, strict)


@verb(*RENEWABLE, "rounds", json=True, progress=True)
def prove(
    settled: Settled,
    output: "Output",
    path: RunArgument,
    allow_remote: RemoteOption = False,
    wait: WaitOption = False,
) -> None:
    """Measure an app that follows a run's advice, route by route, beside the arms: is it better than both?"""
    from loadtests.plan.building import run_options
    from reports.render.report_directory import rewrite
    from reports.runs import records_of

    check_given(path, settled)
    found = records_of(path, settled.given("answers"))
    chosen = run_options(settled.settings, allow_remote, wait)
    proof = followed(found, settled.settings, chosen, output)
    rewrite(*found)
    finish(*proof, output, strict=False)


@verb(*FLAGGED)
def config(settled: Settled, output: "Output") -> None:
    """Show every setting that `duel run` would use, and where it comes from."""
    from loadtests.measure.planning import choice_checked

    output.say("\n".join(choice_checked(settled).lines()))


@verb("app-dir", "locustfile", "python")
def init(
    settled: Settled,
    output: "Output",
    target: Annotated[str, typer.Argument(metavar="APP", help="module:attribute of an app")],
) -> None:
    """Write a locustfile from an app's OpenAPI document, and a table of settings for pyproject.toml."""
    from loadtests.measure.planning import arms_of
    from loadtests.measure.starter.start import USERS, start
    from reports.wording.plans import started_text

    (arm,) = arms_of(settled.settings, [f"app={target}"])
    file = Path(settled.settings.locustfile or USERS)
    written = start(arm, target, settled.settings, file, Path("pyproject.toml"))
    output.say(
        started_text(
            target, file, written.loaded, written.left, written.account, written.settings, written.project
        )
    )


@verb("answers", json=True)
def report(settled: Settled, output: "Output", path: RunArgument, strict: StrictOption = False) -> None:
    """Write all reports of a run again, from its records alone."""
    from reports.runs import records_of

    finish(*records_of(path, settled.given("answers")), output, strict)


@verb("margin", json=True)
def compare(
    settled: Settled,
    output: "Output",
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Earlier run, or a baseline file")],
    head: Annotated[Path, typer.Argument(metavar="HEAD", help="Later run, or a baseline file")],
    allow: AllowOption = None,
    strict: StrictOption = False,
) -> None:
    """Say whether the ratio of the arms became worse from one run to the next: a gate for CI."""
    from reports.gate import comparison, setups
    from reports.render.report_directory import deliver_change
    from reports.runs import side_of

    margin = settled.settings.margin
    found = comparison.compare(side_of(base), side_of(head), margin, setups.allowed(allow or ()))
    raise typer.Exit(deliver_change(found, head, output, strict))


@verb("margin")
def export(
    settled: Settled,
    path: RunArgument,
    format: Annotated[
        Optional[list[Format]], typer.Option(help="Format to write (baseline unless given); repeatable")
    ] = None,
    against: Annotated[
        Optional[Path], typer.Option(metavar="BASE", help="Compare the run with this run or baseline first")
    ] = None,
    allow: AllowOption = None,
    out: Annotated[
        Optional[list[str]],
        typer.Option("-o", "--out", metavar="FILE|-", help="File to write; one for each of several formats"),
    ] = None,
) -> None:
    """Write a run as a baseline to commit, or in the formats of CI services and benchmark trackers."""
    from reports.export.formats import deliver

    margin = settled.settings.margin
    deliver(path, format or [Format("baseline")], out or ["-"], against, margin, allow or ())


@verb("app-dir", "python", "database", "redis", "redis-url")
def serve(
    settled: Settled,
    arm: Annotated[
        str, typer.Argument(metavar="ARM", help="sync, async, or NAME=module:attribute[,key=value…]")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one")] = 8000,
) -> None:
    """Serve one arm by hand, exactly as in a run, with its own data and slow service."""
    from loadtests.measure.planning import arms_of
    from loadtests.plan import building
    from loadtests.serving.by_hand import serve_alone

    # A server elsewhere is refused all the same: there is nothing to serve.
    (chosen,) = arms_of(settled.settings, [arm], allow_remote=True)
    typer.echo(f"serving {chosen.name} on http://{host}:{port or '(any)'}; press Ctrl-C to stop", err=True)
    database, redis = building.database(settled.settings), building.redis(settled.settings)
    code = serve_alone(chosen, host, port, database, redis)
    if code not in (Exit.DONE, Exit.USAGE):
        # Not as it is: others of our exit codes are about measurements.
        fail(Exit.UNEXPECTED, f"error: the server of {chosen.name} ended with exit code {code}")
    raise typer.Exit(code)


@verb("locustfile", "locust-arg", "secret-file")
def worker(
    settled: Settled,
    output: "Output",
    master: Annotated[str, typer.Option(metavar="HOST[:PORT]", help="Where `duel run --listen` runs")],
    allow_remote: RemoteOption = False,
) -> None:
    """Make load for a run on another machine, as one of its generators, until that run is over."""
    from loadtests.measure.generator import GeneratorOptions
    from loadtests.measure.workers.make_load import make_load
    from loadtests.plan.workers.access import MasterAddress
    from reports.wording.plans import worker_text

    settings = settled.settings
    options = GeneratorOptions(
        locustfile=settings.locustfile, locust_args=settings.locust_arg, allow_remote=allow_remote,
        secret_file=settings.secret_file,
    )  # fmt: skip
    address = MasterAddress.parse(master, "--master")
    output.note(worker_text("waits", str(address)))
    make_load(address, options, lambda event: output.note(worker_text(event, str(address))))
    output.note(worker_text("over", str(address)))


@verb(name="list")
def list_(output: "Output") -> None:
    """List the built-in arms, profiles and scenarios."""
    from loadtests.measure.generator import known_scenarios
    from reports.render.listings import show_catalogue

    show_catalogue(output.results, known_scenarios()["scenarios"])


@verb("arm", "app-dir", "python", "database", "redis", "redis-url")
def check(
    settled: Settled, output: "Output", allow_remote: RemoteOption = False, wait: WaitOption = False
) -> None:
    """Check whether this machine and these arms are fit to be measured. Exit 5 if the machine is busy."""
    from loadtests.measure.planning import arms_of
    from loadtests.measure.preflight import check_quiet, examine
    from loadtests.plan import building
    from reports.render import listings

    arms = arms_of(settled.settings, settled.settings.arm, allow_remote)
    chosen = building.run_options(settled.settings, allow_remote, wait)
    found = examine(arms, chosen, output.waiting)
    listings.show_machine(output.results, found.machine, found.findings, found.ceiling)
    listings.show_arms(output.results, arms, found.compared, found.in_force)
    check_quiet(found)
    output.say("the machine is quiet enough")


@verb("app-dir", "locustfile", "locust-arg", "python", json=True)
def advise(
    settled: Settled,
    output: "Output",
    target: Annotated[str, typer.Argument(metavar="APP", help="module:attribute of an app, sync or async")],
    users: Annotated[
        int, typer.Option("-u", "--users", min=1, metavar="N", help="Concurrent requests to expect")
    ] = 64,
    start: Annotated[
        bool, typer.Option("--start", help="Run the app's lifespan, to see the pools that it opens")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 4 if something could not be read")] = False,
    drive: Annotated[bool, typer.Option("--drive", help="Run it, and ask each route that reads")] = False,
    path: Annotated[Optional[list[str]], typer.Option(help="Drive, and ask this path; repeatable")] = None,
    writes: Annotated[bool, typer.Option("--writes", help="Drive, and ask routes that write")] = False,
    format: Annotated[AdviceFormat, typer.Option(help="How to print findings")] = AdviceFormat.text,
) -> None:
    """Inspect an app without load: styles, thread hops, blocking calls. Exit 3 if something is wrong."""
    from loadtests.measure.driving.drive import Options, survey
    from reports.advice.seen import AppAdvice
    from reports.export.advice import check_stdout, deliver

    check_stdout(output, format)
    told, driven = survey(target, settled.settings, start, Options.by(settled, drive, path or (), writes))
    advice = AppAdvice.of(told, driven, users, Path(settled.settings.app_dir).resolve())
    raise typer.Exit(deliver(advice, output, format, strict))


@verb("out", progress=True)
def selftest(
    settled: Settled,
    output: "Output",
    seed: Annotated[int, typer.Option(help="Seed of orders and requests")] = 1,
    only: Annotated[Optional[list[str]], typer.Option(metavar="PART", help="One part; repeatable")] = None,
    wait: WaitOption = False,
) -> None:
    """Measure known answers in four minutes, to see whether results on this machine can be trusted."""
    from loadtests.measure.known_answers.plans import plans
    from loadtests.measure.runs import begin
    from loadtests.plan.options import RunOptions
    from reports.advice import selftest
    from reports.render.listings import deliver_answers

    answers: list[selftest.KnownAnswer] = []
    for name, plan in plans(seed, only or ()).items():
        output.note(f"{name}: {' against '.join(arm.name for arm in plan.arms)}")
        run, readings = carry_on(begin(plan, Path(settled.settings.out)), RunOptions(wait=wait), output)
        answers += selftest.answers(name, run, readings)
    raise typer.Exit(deliver_answers(output, answers))


def carry_on(started: tuple["Run", "RunDirectory"], chosen: "RunOptions", output: "Output") -> "Measured":
    """Measure what is left of a run, with progress."""
    from loadtests.measure.rounds import carry_out
    from loadtests.measure.runs import kept
    from reports.analysis.readings import Readings
    from reports.conclusions import decided

    run, directory = started
    readings = Readings(directory)
    if run.plan.capacity is not None:
        return searched(run, readings, chosen, output)
    with output.watching(readings) as watcher, kept(directory):
        run = carry_out(run, directory, lambda run: decided(run, readings), watcher, chosen)
    return run, readings


def searched(run: "Run", readings: "Readings", chosen: "RunOptions", output: "Output") -> "Measured":
    """Continue the searches of a run, with progress."""
    from loadtests.measure.capacity.search import search
    from loadtests.measure.runs import kept
    from reports.capacities import locating
    from reports.render.capacity.progress import watching

    directory = readings.directory
    with kept(directory):
        watcher = watching(output, run, directory)
        return search(run, directory, locating(run, directory), watcher, chosen), readings


def proved(found: "Measured", settled: Settled, chosen: "RunOptions", output: "Output") -> "Measured":
    """The run, after its advice was followed, if it plans that: where that fails, the run still stands."""
    from loadtests.measure.proving import proof_settings, proof_wanted
    from loadtests.measure.runs import kept
    from reports.render.report_directory import rewrite

    directory = found[1].directory
    if proof_wanted(found[0], directory):
        settings = proof_settings(settled.settings, directory)
        try:
            with kept(directory):
                rewrite(*followed(found, settings, chosen, output))
        except PlanError as error:
            output.note(f"the advice was not followed: {error}")
        except DuelError as error:
            complain(f"the advice was not followed: {explained(error)}")
    return found


def followed(
    found: "Measured", settings: "RunSettings", chosen: "RunOptions", output: "Output"
) -> "Measured":
    """The run of an app that follows a run's advice, beside its arms."""
    from loadtests.measure.proving import begin_proof
    from reports.runs import advice_of
    from reports.wording.advice.proofs import following_text

    table = advice_of(*found)
    started = begin_proof(found[0], found[1].directory, table.arms, table.routes, settings)
    output.note(following_text(table, started[0].plan))
    return carry_on(started, chosen.in_turn, output)


def check_given(path: Path, settled: Settled) -> None:
    """Raises PlanError where flags describe other arms than those of the run at `path`; RecordError."""
    from loadtests.measure import planning, runs
    from loadtests.records import RunDirectory

    if "flag" in (settled.origins.get("arm"), settled.origins.get("sweep")):
        runs.check_given(RunDirectory(path).load(), planning.described_again(settled.settings))


def finish(run: "Run", readings: "Readings", output: "Output", strict: bool) -> NoReturn:
    """Write the report, print the verdicts, leave with their exit code."""
    from reports.conclusions import conclude
    from reports.render.capacity.directory import deliver_searches
    from reports.render.report_directory import deliver

    if run.plan.capacity is not None:
        raise typer.Exit(deliver_searches(run, readings, output, strict))
    raise typer.Exit(deliver(conclude(run, readings), output, strict))


@contextmanager
def answering(verbose: bool) -> Iterator[None]:
    """Turn errors into one clear message and the right exit code."""
    try:
        yield
    except typer.Exit:
        raise
    except DuelError as error:
        fail(error.exit_code, explained(error))
    except KeyboardInterrupt as interrupt:
        fail(Exit.INTERRUPTED, explained(interrupt, "interrupted"))
    except BrokenPipeError:
        discard(sys.stdout)
        raise typer.Exit(Exit.DONE) from None
    except Exception as error:
        if verbose:
            raise
        what = f"error: {type(error).__name__}: {error}\nhint: pass -v for the traceback"
        fail(Exit.UNEXPECTED, explained(error, what))


def fail(code: Exit, message: str) -> NoReturn:
    complain(message)
    raise typer.Exit(code) from None


def main() -> None:
    """The `duel` command."""
    end_in_order()
    with unfailing_streams():
        app()


if __name__ == "__main__":
    main()
