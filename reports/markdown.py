"""The verdicts as Markdown: for a README, a summary or a comment."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.records import Run
from reports import units
from reports.terminal import sentence, together, warnings
from reports.verdicts import Verdict


def report(run: Run, found: Sequence[Verdict]) -> str:
    """Sentences, table, warnings, machine."""
    primaries = [verdict for verdict in found if verdict.primary]
    lines = ["# Verdicts", ""]
    lines += [f"- {plain(sentence(verdict, run.plan))}" for verdict in primaries]
    lines += ["", table(run, found), "", plain(together(run, found)), ""]
    lines += [f"> {plain(warning)}" for warning in warnings(run, found)]
    lines += ["", machine_text(run), ""]
    return "\n".join(lines)


def table(run: Run, found: Sequence[Verdict]) -> str:
    """The primary verdicts, one row a cell."""
    reference = run.plan.reference.name
    rows = [
        f"| cell | {plain(reference)} | arm | ratio | interval | n | verdict |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in (verdict for verdict in found if verdict.primary):
        ours, theirs = (units.value(row.metric, row.values.get(name)) for name in (reference, row.arm))
        where = plain(str(row.cell)) + (f", {row.metric}" if row.metric != "throughput" else "")
        cells = [where, ours, f"{plain(row.arm)} {theirs}"]
        cells += [units.ratio(row.ratio), units.interval(row.low, row.high), str(row.n), row.verdict]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def machine_text(run: Run) -> str:
    """The machine and the method in one sentence."""
    machine = run.machine
    server = machine.placement.get("server", ())
    placed = f"server on {len(server)} of them" if server else "not bound to CPUs"
    return (
        f"{plain(machine.cpu)}, {machine.cores} cores ({placed}), {plain(machine.system)}, "
        f"{plain(machine.python)}, {plain(machine.database or 'no database')}; "
        f"windows of {run.plan.window:g} s, {1 - run.plan.level:.0%} repeated confidence intervals; "
        f"run {plain(run.id)}."
    )


def plain(text: str) -> str:
    """Text that Markdown does not read as markup."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")
