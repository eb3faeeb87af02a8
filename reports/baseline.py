"""A run's ratios as a small file to be committed: stable, readable in a diff, enough to compare with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from loadtests.records import Cell, Frozen, Machine, Metric, read_document
from reports.comparison import Side, Standing
from reports.verdicts import Word

SCHEMA = "duel-baseline/1"
LARGEST = 16 * 2**20
DIGITS = 5
"""Of a logarithm: a hundred-thousandth is far below any noise."""


class Row(Frozen):
    """One arm in one cell."""

    cell: Cell
    metric: Metric
    reference: str
    arm: str
    verdict: Word
    differences: tuple[Annotated[float, Field(allow_inf_nan=False)], ...]
    values: tuple[float | None, float | None]
    failing: tuple[str, ...] = ()


class Baseline(Frozen):
    """The file."""

    format: Annotated[Literal["duel-baseline/1"], Field(alias="schema")] = "duel-baseline/1"
    run: str
    machine: Machine
    scenarios: str | None = None
    rows: tuple[Row, ...]


def write(side: Side) -> str:
    """The file's text: rows in the order of their cells, a line each, so that a diff shows what moved."""
    rows = [
        Row(
            cell=row.cell, metric=row.metric, reference=row.reference, arm=row.arm, verdict=row.word,
            differences=tuple(round(value, DIGITS) for value in row.differences),
            values=(rounded(row.values[0]), rounded(row.values[1])), failing=row.failing,
        ).model_dump_json(exclude_defaults=True)
        for row in sorted(side.rows, key=lambda row: row.key)
    ]  # fmt: skip
    head = {"schema": SCHEMA, "run": side.run, "machine": side.machine.model_dump(mode="json")}
    if side.scenarios is not None:
        head["scenarios"] = side.scenarios
    text = json.dumps(head, indent=1).removesuffix("\n}")
    return text + ',\n "rows": [\n  ' + ",\n  ".join(rows) + "\n ]\n}\n"


def rounded(value: float | None) -> float | None:
    """Five figures."""
    return None if value is None else float(f"{value:.5g}")


def read(path: Path) -> Side:
    """What `write` wrote. Raises RecordError for anything else."""
    hint = "write one with `duel export RUN --format baseline`"
    found = read_document(path, Baseline, SCHEMA, LARGEST, missing=hint, other=hint)
    rows = [
        Standing(
            row.cell,
            row.metric,
            row.reference,
            row.arm,
            row.verdict,
            row.differences,
            row.values,
            row.failing,
        )
        for row in found.rows
    ]
    return Side(found.run, found.machine, tuple(rows), found.scenarios)
