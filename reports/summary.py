"""The machine-readable summary, schema `duel/1`."""

from __future__ import annotations

from typing import Any

from loadtests.records import Run
from reports.verdicts import Verdict


def summary(run: Run, verdicts: list[Verdict]) -> dict[str, Any]:
    """A run's verdicts as plain data. Fields may be added to this form, never renamed."""
    return {
        "schema": "duel/1",
        "run": run.id,
        "complete": run.complete,
        "valid": all(verdict.verdict != "invalid" for verdict in verdicts),
        "reference": run.plan.reference.name,
        "arms": [arm.name for arm in run.plan.arms],
        "margin": run.plan.margin,
        "level": run.plan.level,
        "machine": run.machine.model_dump(mode="json"),
        "verdicts": [of_verdict(verdict) for verdict in verdicts],
    }


def of_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "scenario": verdict.cell.scenario,
        "endpoint": verdict.endpoint,
        "load": verdict.cell.load.model_dump(exclude_none=True),
        "metric": verdict.metric,
        "primary": verdict.primary,
        "arm": verdict.arm,
        "ratio": verdict.ratio,
        "low": verdict.low,
        "high": verdict.high,
        "n": verdict.n,
        "p": verdict.p,
        "verdict": verdict.verdict,
        "values": verdict.values,
        "bottlenecks": dict.fromkeys(verdict.values),
        "warnings": list(verdict.warnings),
        "clients": verdict.clients,
    }
