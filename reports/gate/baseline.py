"""A run's ratios as a small file to commit: stable, readable in a diff, sufficient for a comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loadtests.records import Cell, Frozen, Line, Machine, Metric, Refusal, read_document, read_named
from reports.analysis.verdicts import VerdictWord
from reports.gate.comparison import DIGITS
from reports.gate.findings import Health
from reports.gate.setups import Setup
from reports.gate.sides import Side, Standing

SCHEMA = "duel-baseline/1"

LARGEST = 16 * 2**20


Value = Annotated[float, Field(gt=0.0, le=1e12)]


class Row(Frozen):
    """One arm in one cell."""

    cell: Cell
    metric: Metric
    reference: Line
    arm: Line
    verdict: VerdictWord
    differences: tuple[Annotated[float, Field(ge=-50.0, le=50.0)], ...]
    values: tuple[Value | None, Value | None]
    health: tuple[Health, Health]
    refusal: Refusal | None = None
    known: tuple[bool, bool] = (True, True)
    endpoint: Line | None = None


class Baseline(Frozen):
    """The file."""

    format: Annotated[Literal["duel-baseline/1"], Field(alias="schema")] = "duel-baseline/1"
    run: Line
    machine: Machine
    setup: Setup
    began: Line | None = None
    rows: tuple[Row, ...]

    @model_validator(mode="after")
    def rows_are_unique(self) -> Self:
        keys = [(row.cell.key, row.endpoint, row.reference, row.arm) for row in self.rows]
        if len(set(keys)) < len(keys):
            raise ValueError("an arm stands twice in one cell")
        return self


def write(side: Side) -> str:
    """The file's text: one line per row, ordered by cell, so that a diff shows what moved."""
    rows = [
        Row(
            cell=row.cell, metric=row.metric, reference=row.reference, arm=row.arm, verdict=row.word,
            differences=tuple(round(value, DIGITS) for value in row.differences),
            values=(rounded(row.values[0]), rounded(row.values[1])),
            health=(short(row.health[0]), short(row.health[1])), refusal=row.refusal,
            known=row.known, endpoint=row.endpoint,
        ).model_dump_json(exclude_defaults=True)
        for row in sorted(side.rows, key=lambda row: row.key)
    ]  # fmt: skip
    head = {
        "schema": SCHEMA,
        "run": side.run,
        "began": side.began,
        "machine": side.machine.model_dump(mode="json"),
        "setup": side.setup.model_dump(mode="json"),
    }
    text = json.dumps(head, indent=1).removesuffix("\n}")
    return text + ',\n "rows": [\n  ' + ",\n  ".join(rows) + "\n ]\n}\n"


def rounded(value: float | None) -> float | None:
    """Five figures."""
    return None if value is None else float(f"{value:.5g}")


def short(health: Health) -> Health:
    """With few decimal places."""
    names = ("unanswered", "behind")
    return health.model_copy(
        update={name: tuple(round(value, DIGITS) for value in getattr(health, name)) for name in names}
    )


def read(path: Path) -> Side:
    """Read a file made by `write`. Raises RecordError for anything else."""
    hint = "write one with `duel export RUN --format baseline`"
    found = read_document(path, read_named, Baseline, SCHEMA, LARGEST, missing=hint, other=hint)
    rows = [
        Standing(
            row.cell,
            row.metric,
            row.reference,
            row.arm,
            row.verdict,
            row.differences,
            row.values,
            row.health,
            row.refusal,
            row.known,
            row.endpoint,
        )
        for row in found.rows
    ]
    return Side(found.run, found.machine, tuple(rows), found.setup, found.began)
