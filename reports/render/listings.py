"""Lists for the terminal: arms and scenarios, the machine, the known answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from loadtests.errors import Exit
from loadtests.plan.arms import BUILT_IN
from loadtests.plan.profiles import PROFILES
from loadtests.records import Arm, Compared, InForce, Machine
from reports.advice.selftest import KnownAnswer
from reports.exit_codes import exit_code
from reports.render.output import Output
from reports.render.streams import say
from reports.wording import units
from reports.wording.plans import equality_lines, in_force_text, overruled_text
from reports.wording.selftest import answer_text, conclusion


def show_catalogue(console: Console, scenarios: Mapping[str, Any]) -> None:
    """The names accepted on the command line; `scenarios` as described by the generator."""
    listing(console, "arms", [(name, arm_text(arm)) for name, arm in BUILT_IN.items()])
    listing(console, "profiles", [(name, profile.about) for name, profile in PROFILES.items()])
    mixes = {name: of for name, of in scenarios.items() if len(of["endpoints"]) > 1}
    listing(console, "mixed scenarios", [(name, mix_text(of)) for name, of in mixes.items()])
    singles = {name: of for name, of in scenarios.items() if name not in mixes}
    listing(
        console,
        "scenarios of one endpoint",
        [(name, single_text(of)) for name, of in singles.items()],
    )


def arm_text(arm: Arm) -> str:
    """`async_app.main:create_app,env.DUEL_APP_DRIVER=asyncpg`."""
    return arm.app + "".join(f",env.{key}={value}" for key, value in arm.env.items())


def mix_text(scenario: Mapping[str, Any]) -> str:
    """`posts.read 40, posts.list 10`: weights as parts of a hundred or so."""
    return f"{scenario['about']} ({', '.join(f'{name} {n}' for name, n in scenario['endpoints'].items())})"


def single_text(scenario: Mapping[str, Any]) -> str:
    """`A new post. (writes)`."""
    return " ".join(filter(None, (scenario["about"], "(writes)" if scenario["writes"] else "")))


def listing(console: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    console.print(title, style="bold", highlight=False)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for name, text in rows:
        grid.add_row(f"  {escape(name)}", escape(text))
    console.print(grid, highlight=False)
    console.print()


def deliver_answers(output: Output, answers: Sequence[KnownAnswer]) -> Exit:
    """Show known answers; the exit code."""
    code = exit_code({"pass" if answer.right else "invalid" for answer in answers})
    return output.deliver(code, "", lambda console: show_answers(console, answers))


def show_answers(console: Console, answers: Sequence[KnownAnswer]) -> None:
    """Known answers and what was found, with a remedy where it is wrong, and the conclusion."""
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("", "question", "known", "found"):
        grid.add_column(title)
    for answer in answers:
        mark = Text("✓") if answer.right else Text("✗", style="red")
        text = answer_text(answer)
        grid.add_row(mark, text.question, text.known, text.found)
    console.print(grid, highlight=False)
    console.print()
    for answer in answers:
        if not answer.right:
            text = answer_text(answer)
            say(console, f"warning: {text.question}: {text.remedy}")
    say(console, conclusion(answers))


def show_machine(console: Console, machine: Machine, findings: Sequence[str], ceiling: float | None) -> None:
    """The fingerprint, what the generator can do here, and what disturbs a measurement."""
    placed = ", ".join(f"{who} on {list(cpus)}" for who, cpus in machine.placement.items())
    most = f"at most {units.rate(ceiling)}, against a server that does nothing" if ceiling else "not measured"
    rows = [
        ("processor", f"{machine.cpu}, {units.counted(machine.cores, 'core')}"),
        ("memory", units.memory(machine.memory)),
        ("system", machine.system),
        ("python", machine.python),
        ("packages", ", ".join(f"{name} {version}" for name, version in machine.packages.items())),
        ("database", machine.database or "not used yet"),
        ("placement", placed or "none: processes cannot be bound to CPUs here"),
        ("generator", most),
    ]
    listing(console, "machine", rows)
    for finding in findings:
        say(console, f"warning: {finding}")


def show_arms(
    console: Console, arms: Sequence[Arm], compared: Compared, found: Mapping[str, InForce]
) -> None:
    """Whether the arms answer alike, what of their answers was not read, and how their servers really run,
    with a warning where that is not what their arms ask for."""
    for line in equality_lines([arm.name for arm in arms], compared):
        say(console, line)
    for arm in arms:
        if arm.name in found:
            say(console, f"{arm.name}: {in_force_text(found[arm.name])}")
    limits = {arm.name: (found[arm.name].threads, arm.serving.threads) for arm in arms if arm.name in found}
    overruled = [(name, *both) for name, both in limits.items() if both[0] != both[1]]
    if overruled:
        say(console, f"warning: {overruled_text(overruled)}")
