"""A comparison of two runs in words: sentences, warnings, rows."""

from __future__ import annotations

from reports.analysis.statistics import LAST_LOOK
from reports.gate.changes import ALPHA, ArmMoved, Change, ChangeNote
from reports.gate.comparison import Comparison
from reports.gate.findings import WORST_FIRST
from reports.gate.setups import SAID
from reports.gate.sides import Standing
from reports.wording import units
from reports.wording.gates.notes import gate_headline, gate_note_text
from reports.wording.reservations import reservation_text
from reports.wording.units import counted
from reports.wording.vocabulary import OUTCOME_MARKS, OUTCOMES

HEAD = ("cell", "arm", "base", "head", "change", "interval", "outcome")

MOST_PACKAGES = 12
"""Packages that are named in one line."""

MOST_LINES = 12
"""Differences of answers that are listed."""


def sentence(change: Change, margin: float) -> str:
    """The change of one cell in words."""
    word = OUTCOMES[change.outcome]
    notes = "; ".join(map(note_text, change.notes))
    if change.ratio is None:
        return f"{change.head}: {word}: {notes}"
    by = ""
    if change.decision.speed == change.outcome != "inconclusive":
        by = f" by more than {units.exact_percent(margin)}"
    moved = f"{units.ratio(change.base.ratio)} before, {units.ratio(change.head.ratio)} now"
    figures = f"({moved}; change {units.ratio(change.ratio)}, {interval(change)})"
    return f"{change.head}: {word}{by} {figures}" + (f"; {notes}" if notes else "")


def note_text(note: ChangeNote) -> str:
    """A note on one cell's change."""
    if not isinstance(note, ArmMoved):
        return gate_note_text(note)
    better = "better" if note.better else "worse"
    values = f"{units.value(note.metric, note.before)} before, {units.value(note.metric, note.after)} now"
    return f"{note.arm} itself did {better}: {values}"


def interval(change: Change) -> str:
    return units.interval(change.low, change.high)


def headline(comparison: Comparison) -> str:
    """The gate in one line."""
    noun = "case" if any(change.head.endpoint for change in comparison.changes) else "cell"
    return gate_headline([change.outcome for change in comparison.changes], noun=noun)


def warnings(comparison: Comparison) -> list[str]:
    """Warnings about the comparison."""
    lines = []
    if comparison.elsewhere:
        differ = "; ".join(f"{one.what}: {one.base}, now {one.head}" for one in comparison.elsewhere)
        lines.append(
            f"the runs come from different machines ({differ}): that alone may change a ratio by 5%, so the "
            "gate is wider by as much; measure base and head in one run if you can"
        )
    moved = moved_packages(comparison)
    if moved:
        lines.append(f"not only the code changed: {units.listed(moved, MOST_PACKAGES)}")
    lines += setup_warnings(comparison)
    if comparison.swapped:
        lines.append("head was measured before base: check that the two are not swapped")
    for name, only in (("head", comparison.added), ("base", comparison.missing)):
        if only:
            lines.append(f"only {name} has {'; '.join(map(str, only))}: not judged")
    if comparison.not_judged:
        few = "; ".join(map(str, comparison.not_judged))
        lines.append(f"not judged, since the base made too few requests for a median in a window: {few}")
    undecided = [one for one in comparison.changes if one.outcome == "inconclusive" and one.ratio is not None]
    if undecided:
        noun = "case" if any(one.head.endpoint for one in undecided) else "cell"
        lines.append(
            f"{counted(len(undecided), noun)} not decided: more rounds on both sides (--fixed-rounds "
            f"{LAST_LOOK}) or a longer window (-t) would narrow the intervals"
        )
    return lines


def unlike_lines(comparison: Comparison) -> list[str]:
    """How the arms answer differently, for the top of every report; the first line says what follows."""
    sides = (("base", comparison.base), ("head", comparison.head))
    lines = [
        f"{name}: {row}, {reservation_text(one)}"
        for name, side in sides for row in side.rows for one in row.unlike
    ]  # fmt: skip
    if not lines:
        return []
    more = [f"and {counted(len(lines) - MOST_LINES, 'more difference')}"] if len(lines) > MOST_LINES else []
    return ["The arms answer differently, so no ratio compares them:", *lines[:MOST_LINES], *more]


def moved_packages(comparison: Comparison) -> list[str]:
    """What is installed in other versions, to make the load and, where both sides know it, to serve apps."""
    sides = (comparison.base, comparison.head)
    own = all(side.setup.packages for side in sides)
    before, after = ({**side.machine.packages, **(side.setup.packages if own else {})} for side in sides)
    moved = [
        f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    one, other = (side.machine.python for side in sides)
    return [*moved, *([f"{one} → {other}"] if one != other else [])]


def setup_warnings(comparison: Comparison) -> list[str]:
    """How the two were measured differently, in what is allowed or does not matter much."""
    allowed = [str(one) for one in comparison.setups if one.name not in SAID]
    said = [str(one) for one in comparison.setups if one.name in SAID]
    lines = []
    if allowed:
        lines.append(f"measured differently, as allowed ({'; '.join(allowed)}): that may be the change")
    if said:
        lines.append(f"measured differently ({'; '.join(said)})")
    return lines


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """A row per cell, the worst first."""
    ordered = sorted(comparison.changes, key=lambda one: (WORST_FIRST.index(one.outcome), one.ratio or 0.0))
    return [
        (
            one.head.place, one.head.arm, ratio_of(one.base), ratio_of(one.head), units.ratio(one.ratio),
            interval(one), f"{OUTCOME_MARKS[one.outcome]} {OUTCOMES[one.outcome]}",
        )
        for one in ordered
    ]  # fmt: skip


def ratio_of(row: Standing) -> str:
    return units.ratio(row.ratio)


def about(comparison: Comparison) -> str:
    """The method in one sentence."""
    return (
        f"Base {comparison.base.run}, head {comparison.head.run}. Compared is each arm's ratio to its "
        f"reference; a cell is worse if its one-sided {units.exact_percent(1 - ALPHA)} bound shows a loss of "
        f"more than {units.exact_percent(comparison.margin)}, with Holm correction over all cells, if an arm "
        "fails clearly more of its requests, or if its cell no longer fits the available time."
    )
