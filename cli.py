"""The command line: verbs only. Parse, one call, print, exit code.

Nothing heavy is imported before a verb needs it, so that `duel --help` is quick.
"""

from __future__ import annotations

import enum
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from loadtests.circumstances import Circumstances
    from loadtests.config import Settings
    from loadtests.plan import Plan
    from loadtests.records import Run, RunDirectory
    from loadtests.worktree import Worktree
    from reports.comparison import Side
    from reports.conclusions import Conclusions
    from reports.estimates import Readings


class Exit(enum.IntEnum):
    """What the exit code tells."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    GATE = 3
    INCONCLUSIVE = 4
    INVALID = 5
    UNREADABLE = 6
    INTERRUPTED = 130


EXIT_CODES = """
Exit codes: 0 done · 1 unexpected error · 2 usage or configuration · 3 gate breached ·
4 inconclusive (with --strict) · 5 invalid measurement · 6 unreadable run · 130 interrupted
"""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a run: Ctrl-C, the end of a job, a terminal that is closed."""
FLAGS = {
    "profile": "--quick and --thorough",
    "arms": "--arm",
    "scenarios": "--scenario",
    "scenarios-file": "--scenarios",
}
"""Flags that are not called like the setting they give."""
ALSO = frozenset({"--max-time", "--database", "--before-trial", "--after-trial"})
"""Flags that may be given when a run is resumed."""

app = typer.Typer(
    name="duel",
    help="Should this FastAPI route be def or async def? Evidence from load tests.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Colour(enum.StrEnum):
    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Format(enum.StrEnum):
    BASELINE = "baseline"
    MARKDOWN = "markdown"
    COMMENT = "comment"
    GITHUB_SUMMARY = "github-summary"
    GITHUB_ANNOTATIONS = "github-annotations"
    GITHUB_OUTPUTS = "github-outputs"
    JUNIT = "junit"
    OPENMETRICS = "openmetrics"
    BENCHMARK_BIGGER = "benchmark-bigger"
    BENCHMARK_SMALLER = "benchmark-smaller"
    BENCHER = "bencher"


ColourOption = Annotated[Colour, typer.Option("--color", help="Colour in the output.")]
JsonOption = Annotated[
    Optional[str],
    typer.Option("--json", metavar="FILE|-", help="Write the summary as JSON; - prints it and nothing else."),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks of unexpected errors.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory, as `duel run` printed it.")
]
ArmOption = Annotated[
    Optional[list[str]],
    typer.Option("--arm", metavar="NAME=IMPORT[,key=value…]", help="An arm; the first is the reference."),
]
AppDirOption = Annotated[
    Optional[str], typer.Option("--app-dir", metavar="DIR", help="Where the arms' apps are imported from.")
]
DatabaseOption = Annotated[
    Optional[str],
    typer.Option(metavar="URL", help="sqlite, postgresql (a server of our own) or postgresql://…"),
]
MarginOption = Annotated[float, typer.Option(min=0.001, max=0.999, help="How much worse an arm may become.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit 4 when a cell is not decided.")]


def show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"duel {version('fastapi-duel')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Should this FastAPI route be def or async def? Evidence from load tests."""


@app.command(epilog=EXIT_CODES)
def run(
    quick: Annotated[bool, typer.Option("--quick", help="A demonstration in three minutes.")] = False,
    thorough: Annotated[bool, typer.Option("--thorough", help="Every level, for hours.")] = False,
    scenario: Annotated[
        Optional[list[str]], typer.Option("-s", "--scenario", metavar="NAME,…", help="Scenarios to run.")
    ] = None,
    users: Annotated[
        Optional[str], typer.Option("-u", "--users", metavar="N,…", help="Levels of concurrent users.")
    ] = None,
    rate: Annotated[
        Optional[str],
        typer.Option("--rate", metavar="N,…", help="Arrivals a second, whoever still waits: for latency."),
    ] = None,
    arrivals: Annotated[
        Optional[str], typer.Option(metavar="poisson|constant", help="How a rate's arrivals are spread.")
    ] = None,
    generators: Annotated[
        Optional[int], typer.Option(metavar="N", help="Processes that make the load (1).")
    ] = None,
    arm: ArmOption = None,
    app_dir: AppDirOption = None,
    scenarios: Annotated[
        Optional[str],
        typer.Option("--scenarios", metavar="FILE", help="Locust users of your own, in place of ours."),
    ] = None,
    canary: Annotated[
        Optional[str],
        typer.Option(metavar="PATH", help="Asked for beside the load, to see what it does to others."),
    ] = None,
    before_trial: Annotated[
        Optional[str],
        typer.Option(metavar="COMMAND", help="Run before every start of a server, as to reset a database."),
    ] = None,
    after_trial: Annotated[
        Optional[str], typer.Option(metavar="COMMAND", help="Run after the end of every server.")
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let load leave this machine. Ask who runs the other one.")
    ] = False,
    base_ref: Annotated[
        Optional[str],
        typer.Option(metavar="REF", help="Judge the arms against themselves as of this commit: a gate."),
    ] = None,
    base_python: Annotated[
        Optional[str],
        typer.Option(metavar="PATH", help="Interpreter that serves the base, where its packages differ."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Where another run is being measured, wait for its end.")
    ] = False,
    sweep: Annotated[
        Optional[list[str]],
        typer.Option(metavar="KNOB=VALUE,…", help="Arms of the first arm: threads=10,40,100 or pool=5,20."),
    ] = None,
    database: DatabaseOption = None,
    window: Annotated[
        Optional[str], typer.Option("-t", "--window", metavar="TIME", help="Least window of a trial.")
    ] = None,
    warmup: Annotated[Optional[str], typer.Option(metavar="TIME", help="Least warm-up of a trial.")] = None,
    boot_timeout: Annotated[
        Optional[str], typer.Option(metavar="TIME", help="Most time until a server answers (30s).")
    ] = None,
    rounds: Annotated[
        Optional[int], typer.Option(help="Most rounds (to 20); lifts the profile's limit of time.")
    ] = None,
    fixed_rounds: Annotated[
        Optional[int], typer.Option(help="Exactly so many rounds (4 to 20), for a later `compare`.")
    ] = None,
    max_time: Annotated[
        Optional[str], typer.Option(metavar="TIME", help="End after this (90s, 15m, 2h).")
    ] = None,
    margin: Annotated[Optional[float], typer.Option(help="Arms closer than this are equivalent.")] = None,
    seed: Annotated[Optional[int], typer.Option(help="Fixes orders, requests and delays.")] = None,
    out: Annotated[
        Optional[str], typer.Option("-o", "--out", metavar="DIR", help="Where run directories go (runs).")
    ] = None,
    config: Annotated[
        Optional[Path], typer.Option(metavar="FILE", help="Read the table tool.duel from this file.")
    ] = None,
    json: JsonOption = None,
    resume: Annotated[
        Optional[Path],
        typer.Option(metavar="RUN", help="Go on with this run; of the plan only --max-time may be given."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    show_config: Annotated[bool, typer.Option("--show-config", help="Print settings and origins.")] = False,
    strict: StrictOption = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress at all.")] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """Load the arms in interleaved rounds, then say who wins where, by how much, and how sure."""
    with answering(verbose), ExitStack() as around:
        import os

        from loadtests import config as configuration
        from loadtests.planning import own_scenarios
        from reports import terminal

        if quick and thorough:
            usage("--quick and --thorough exclude each other")
        flags = {
            "profile": "quick" if quick else "thorough" if thorough else None,
            "arms": arm,
            "app-dir": app_dir,
            "sweep": sweep,
            "database": database,
            "scenarios": ",".join(scenario) if scenario else None,
            "scenarios-file": scenarios,
            "base-ref": base_ref,
            "base-python": base_python,
            "canary": canary,
            "before-trial": before_trial,
            "after-trial": after_trial,
            "users": users,
            "rate": rate,
            "arrivals": arrivals,
            "generators": generators,
            "window": window,
            "warmup": warmup,
            "boot-timeout": boot_timeout,
            "rounds": rounds,
            "fixed-rounds": fixed_rounds,
            "max-time": max_time,
            "margin": margin,
            "seed": seed,
            "out": out,
        }
        settings = configuration.settle(flags, os.environ, config)
        base = around.enter_context(base_of(settings)) if "base-ref" in settings else None
        plan = configuration.plan(settings, own_scenarios(settings), allow_remote, base)
        if plan.thresholds:
            check_thresholds(plan)
        results, notes = consoles(color, json)
        progress = not (no_progress or quiet)
        if resume is not None:
            from loadtests.rounds import resume as found_again

            shaping = [FLAGS.get(name, f"--{name}") for name, value in flags.items() if value is not None]
            shaping = [flag for flag in shaping if flag not in ALSO]
            if shaping:
                usage(f"--resume goes on with the plan of {resume}: leave out {', '.join(shaping)}")
            begun = found_again(resume, settings["max-time"].value if "max-time" in settings else None)
            circumstances = configuration.circumstances(settings, allow_remote, wait)
            finish(*carry_on(begun, circumstances, notes, progress), results, json, strict)
        if show_config:
            for key in configuration.READERS:
                setting = settings.get(key)
                shown = configuration.shown(key, setting) if setting else "not set"
                terminal.say(results, f"{key} = {shown}")
            return
        if dry_run or not quiet:
            said = results if dry_run else notes
            terminal.say(said, terminal.plan_text(plan))
        if dry_run:
            terminal.say(results, terminal.cells_text(plan))
            return
        parent = Path(settings["out"].value) if "out" in settings else Path("runs")
        circumstances = configuration.circumstances(settings, allow_remote, wait)
        finish(*measure(plan, parent, circumstances, notes, progress), results, json, strict)


@app.command(epilog=EXIT_CODES)
def report(
    run: RunArgument,
    json: JsonOption = None,
    strict: StrictOption = False,
    verbose: VerboseOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """Build every output of a run again from its records. Makes no load."""
    with answering(verbose):
        from loadtests.records import RunDirectory
        from reports.estimates import Readings

        directory = RunDirectory(run)
        results, _ = consoles(color, json)
        finish(directory.load(), directory, Readings(directory), results, json, strict)


@app.command(epilog=EXIT_CODES)
def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The earlier run, or a baseline file.")],
    head: Annotated[Path, typer.Argument(metavar="HEAD", help="The later run, or a baseline file.")],
    margin: MarginOption = 0.10,
    json: JsonOption = None,
    strict: StrictOption = False,
    verbose: VerboseOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """Say whether the ratio of the arms became worse from one run to the other: a gate for CI."""
    with answering(verbose):
        import json as encoder

        from loadtests.records import RunDirectory
        from reports import bundle, changes, comparison, terminal

        results, _ = consoles(color, json)
        found = comparison.compare(side_of(base), side_of(head), margin)
        text = encoder.dumps(changes.data(found), indent=2) + "\n"
        written = bundle.write_change(found, RunDirectory(head).report) if head.is_dir() else None
        if json is not None and json != "-":
            write_text(Path(json), text)
        if json == "-":
            sys.stdout.write(text)
        else:
            changes.show(results, found)
            if written is not None:
                terminal.say(results, f"report: {written}")
        words = {one.outcome for one in found.changes}
        if "regression" in words:
            raise typer.Exit(Exit.GATE)
        if "invalid" in words:
            raise typer.Exit(Exit.INVALID)
        raise typer.Exit(Exit.INCONCLUSIVE if strict and "inconclusive" in words else Exit.DONE)


@app.command(epilog=EXIT_CODES)
def export(
    run: RunArgument,
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.BASELINE,
    against: Annotated[
        Optional[Path],
        typer.Option(metavar="BASE", help="Judge the run against this run or baseline, as `compare` does."),
    ] = None,
    margin: MarginOption = 0.10,
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", metavar="FILE", help="Where to; stdout if not given.")
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Write a run in another format: a baseline to be committed, or what a CI service or a tracker reads."""
    with answering(verbose):
        from loadtests.records import RunDirectory
        from reports import exports
        from reports.conclusions import conclude
        from reports.estimates import Readings

        directory = RunDirectory(run)
        conclusions = conclude(directory.load(), Readings(directory))
        base = side_of(against) if against is not None else None
        text = exports.write(format.value, conclusions, base, margin)
        if out is None:
            sys.stdout.write(text)
        else:
            write_text(out, text)


def side_of(path: Path) -> Side:
    """A run directory's, or a baseline file's, part in a comparison."""
    from loadtests.records import RunDirectory
    from reports import baseline, comparison
    from reports.conclusions import conclude
    from reports.estimates import Readings

    if path.is_file():
        return baseline.read(path)
    directory = RunDirectory(path)
    return comparison.side(conclude(directory.load(), Readings(directory)))


@app.command(epilog=EXIT_CODES)
def serve(
    arm: Annotated[
        str, typer.Argument(metavar="ARM", help="sync, async, or NAME=module:attribute[,key=value…]")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    app_dir: AppDirOption = None,
    database: DatabaseOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve one arm by hand, exactly as it is served in a run, with data and a slow service of its own."""
    with answering(verbose):
        import os

        from loadtests import config as configuration
        from loadtests.servers import serve_alone

        settings = configuration.settle({"database": database}, os.environ, None)
        where = configuration.database(settings)
        (chosen,) = configuration.arms([arm], app_dir or ".", where)
        if chosen.url is not None:
            usage(f"{chosen.url} is a server that runs already")
        typer.echo(f"serving {chosen.name} on http://{host}:{port or '(any)'}, Ctrl-C ends it", err=True)
        raise typer.Exit(serve_alone(chosen, host, port, where))


@app.command("list")
def list_(verbose: VerboseOption = False, color: ColourOption = Colour.AUTO) -> None:
    """List the arms, profiles and scenarios."""
    with answering(verbose):
        from loadtests import config as configuration
        from loadtests.bench import known_scenarios
        from loadtests.plan import BUILT_IN
        from reports import terminal

        results, _ = consoles(color, None)
        profiles = {name: profile.about for name, profile in configuration.PROFILES.items()}
        arms = {
            name: arm.app + "".join(f",env.{k}={v}" for k, v in arm.env.items())
            for name, arm in BUILT_IN.items()
        }
        terminal.show_catalogue(results, arms, profiles, known_scenarios())


@app.command(epilog=EXIT_CODES)
def check(
    arm: ArmOption = None,
    app_dir: AppDirOption = None,
    database: DatabaseOption = None,
    verbose: VerboseOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """Say whether this machine and these arms are fit to be measured, before they are."""
    with answering(verbose):
        import os
        import tempfile

        from loadtests import config as configuration
        from loadtests import machine
        from loadtests.answers import check_equal, fixed_questions, published_questions
        from loadtests.bench import Bench
        from loadtests.circumstances import Circumstances
        from reports import terminal

        results, _ = consoles(color, None)
        settings = configuration.settle({"database": database}, os.environ, None)
        where = configuration.database(settings)
        arms = configuration.arms(arm or (), app_dir or ".", where)
        found = machine.findings()
        with tempfile.TemporaryDirectory(prefix="duel-logs-") as logs:
            with Bench(Path(logs), Circumstances(where)) as bench:
                ceiling = bench.ceilings({"ping": 64})["ping"]
                questions = fixed_questions(arms) or published_questions(arms[0], bench.around)
                compared = check_equal(arms, bench.around, questions)
                version = bench.around.database_version
                placement = bench.around.placement
        used = machine.fingerprint(placement).model_copy(update={"database": version})
        terminal.show_machine(results, used, found, ceiling)
        terminal.show_equality(results, [one.name for one in arms], compared)


@app.command(epilog=EXIT_CODES)
def advise(
    target: Annotated[
        str, typer.Argument(metavar="APP", help="module:attribute of an app or a factory; sync or async.")
    ],
    users: Annotated[
        int, typer.Option("-u", "--users", min=1, metavar="N", help="Requests that are in flight at once.")
    ] = 64,
    start: Annotated[
        bool, typer.Option("--start", help="Run the app's lifespan, to see the pools that it opens there.")
    ] = False,
    app_dir: AppDirOption = None,
    python: Annotated[
        Optional[str], typer.Option(metavar="PATH", help="The interpreter that the app runs with.")
    ] = None,
    json: JsonOption = None,
    verbose: VerboseOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """Look at one app without load: styles, thread hops, what blocks the loop. Exit 3 where something is
    wrong."""
    with answering(verbose):
        import json as encoder
        import os
        import tempfile

        from loadtests.inspection import inspect_app
        from loadtests.plan import parse_arm
        from reports import advice

        results, _ = consoles(color, json)
        name = target if target in ("sync", "async") else f"app={target}"
        arm = parse_arm(name + (f",python={python}" if python else ""), str(Path(app_dir or ".").resolve()))
        with tempfile.TemporaryDirectory(prefix="duel-data-") as data:
            # Our own twins want a place for their data; nobody else looks at it.
            anatomy = advice.Anatomy.model_validate(
                inspect_app(arm, start, {} if "DUEL_APP_DATA" in os.environ else {"DUEL_APP_DATA": data})
            )
        found = advice.advise(anatomy, users)
        text = encoder.dumps(advice.data(anatomy, found), indent=2) + "\n"
        if json is not None and json != "-":
            write_text(Path(json), text)
        if json == "-":
            sys.stdout.write(text)
        else:
            advice.show(results, anatomy, found)
        raise typer.Exit(Exit.GATE if any(one.weight == "wrong" for one in found) else Exit.DONE)


@app.command(epilog=EXIT_CODES)
def selftest(
    seed: Annotated[int, typer.Option(help="Fixes orders and requests.")] = 1,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where run directories go.")] = Path(
        "runs"
    ),
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """Measure known answers on this machine, in two minutes, and say whether its results can be trusted."""
    with answering(verbose):
        from loadtests import known_answers
        from loadtests.circumstances import Circumstances
        from reports import selftest as known
        from reports import terminal

        results, notes = consoles(color, None)
        answers: list[known.Answer] = []
        for name, plan in known_answers.plans(seed).items():
            if not quiet:
                terminal.say(notes, f"{name}: {' against '.join(arm.name for arm in plan.arms)}")
            run, _, readings = measure(plan, out, Circumstances(), notes, progress=not quiet)
            answers += known.answers(name, run, readings)
        terminal.show_answers(results, answers)
        raise typer.Exit(Exit.DONE if all(answer.right for answer in answers) else Exit.INVALID)


def check_thresholds(plan: Plan) -> None:
    """Before anything is measured: a threshold that says nothing ends the command."""
    from reports import thresholds

    try:
        thresholds.check(thresholds.parse(plan.thresholds), plan)
    except thresholds.ThresholdError as error:
        fail(Exit.USAGE, error)


def base_of(settings: Settings) -> Worktree:
    """The commit that the arms are compared with."""
    from loadtests.worktree import Worktree

    given = {key: settings[key].value for key in ("app-dir", "base-python") if key in settings}
    return Worktree(settings["base-ref"].value, Path(given.get("app-dir", ".")), given.get("base-python"))


def measure(
    plan: Plan,
    parent: Path,
    circumstances: Circumstances,
    notes: Console,
    progress: bool,
) -> tuple[Run, RunDirectory, Readings]:
    """Carry out a plan, showing progress on `notes`."""
    from loadtests.rounds import begin

    return carry_on(begin(plan, parent), circumstances, notes, progress)


def carry_on(
    begun: tuple[Run, RunDirectory],
    circumstances: Circumstances,
    notes: Console,
    progress: bool,
) -> tuple[Run, RunDirectory, Readings]:
    """Measure what is left of a run, showing progress on `notes`."""
    from loadtests.processes import ChildFailed
    from loadtests.records import CannotWrite
    from loadtests.rounds import Silent, Watcher, carry_out
    from reports.estimates import Readings
    from reports.live import Lines, LiveView
    from reports.verdicts import decided

    run, directory = begun
    readings = Readings(directory)
    with ExitStack() as showing:
        watcher: Watcher = Silent()
        if progress and notes.is_terminal:
            watcher = showing.enter_context(LiveView(notes, readings))
        elif progress:
            watcher = Lines(notes, readings)
        try:
            run = carry_out(run, directory, lambda run: decided(run, readings), watcher, circumstances)
        except KeyboardInterrupt:
            raise Interrupted(directory.path) from None
        except (ChildFailed, CannotWrite) as failure:
            if directory.load().trials:
                failure.add_note(kept(directory.path))
            raise
    return run, directory, readings


class Interrupted(KeyboardInterrupt):
    """The run was stopped from outside; `path` holds what was measured."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


def finish(
    run: Run, directory: RunDirectory, readings: Readings, results: Console, json: str | None, strict: bool
) -> NoReturn:
    """Write the report, print the verdicts, leave with the exit code they ask for."""
    from reports import bundle, terminal
    from reports.conclusions import conclude

    conclusions = conclude(run, readings)
    text = bundle.write(conclusions)
    if json is not None and json != "-":
        write_text(Path(json), text)
    if json == "-":
        sys.stdout.write(text)
    else:
        terminal.show(results, conclusions)
        terminal.say(results, f"report: {directory.report / 'report.html'}")
    raise typer.Exit(exit_code(conclusions, strict))


def exit_code(conclusions: Conclusions, strict: bool) -> Exit:
    """What the primary verdicts and the thresholds come to."""
    words = {verdict.verdict for verdict in conclusions.primaries}
    judged = {judgement.word for judgement in conclusions.judgements}
    if "missed" in judged or "regression" in conclusions.outcomes:
        return Exit.GATE
    if "invalid" in words:
        return Exit.INVALID
    undecided = set(conclusions.outcomes) or words
    if strict and "inconclusive" in undecided | judged:
        return Exit.INCONCLUSIVE
    return Exit.DONE


def write_text(path: Path, text: str) -> None:
    from loadtests.records import CannotWrite

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from None


def consoles(colour: Colour, json: str | None) -> tuple[Console, Console]:
    """Where results go, and where everything else goes."""
    from rich.console import Console

    forced: dict[str, Any] = {
        Colour.AUTO: {},
        Colour.ALWAYS: {"force_terminal": True},
        Colour.NEVER: {"no_color": True},
    }[colour]
    return Console(quiet=json == "-", **forced), Console(stderr=True, **forced)


@contextmanager
def answering(verbose: bool) -> Iterator[None]:
    """Turn what can go wrong into one clear error and the right exit code."""
    from loadtests.plan import ArmsDiffer, PlanError
    from loadtests.processes import ChildFailed
    from loadtests.records import CannotWrite, RecordError

    for number in SIGNALS:
        signal.signal(number, interrupt)
    try:
        yield
    except typer.Exit:
        raise
    except (PlanError, CannotWrite) as error:
        fail(Exit.USAGE, error)
    except (ChildFailed, ArmsDiffer) as error:
        fail(Exit.INVALID, error)
    except RecordError as error:
        fail(Exit.UNREADABLE, error)
    except Interrupted as error:
        typer.echo(f"interrupted: {kept(error.path)}", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(Exit.DONE) from None
    except Exception as error:
        if verbose:
            raise
        typer.echo(f"error: {type(error).__name__}: {error}\nhint: pass -v for the traceback", err=True)
        raise typer.Exit(Exit.UNEXPECTED) from None


def kept(path: Path) -> str:
    """What can be done with a run that did not come to its end."""
    return (
        f"what was measured is kept, see it with `duel report {path}`, go on with `duel run --resume {path}`"
    )


def interrupt(number: int, frame: object) -> NoReturn:
    """End what is on its way, in order. That takes seconds at most; no second signal may cut it short, and
    leave somebody behind."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def fail(code: Exit, error: Exception) -> NoReturn:
    """The error, its cause, a hint: whatever of them there is."""
    typer.echo(f"error: {error}", err=True)
    cause, hint = getattr(error, "cause", ""), getattr(error, "hint", "")
    if cause:
        typer.echo("  cause: " + cause.replace("\n", "\n         "), err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)
    for note in getattr(error, "__notes__", ()):
        typer.echo(note, err=True)
    raise typer.Exit(code) from None


def usage(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(Exit.USAGE)


def main() -> None:
    """The `duel` command."""
    app()


if __name__ == "__main__":
    main()
