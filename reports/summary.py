"""The machine-readable summary, schema `duel/1`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reports.bottlenecks import known, predicted
from reports.cards import Card
from reports.conclusions import Conclusions
from reports.thresholds import Judgement
from reports.verdicts import Verdict


def summary(conclusions: Conclusions) -> dict[str, Any]:
    """A run's verdicts as plain data. Fields may be added to this form, never renamed."""
    run, verdicts = conclusions.run, conclusions.verdicts
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
        "refused": dict(run.refused),
        "gate": list(conclusions.outcomes),
        "verdicts": [of_verdict(verdict, conclusions) for verdict in verdicts],
        "thresholds": [of_judgement(judgement) for judgement in conclusions.judgements],
        "cards": [of_card(card) for card in conclusions.cards],
    }


def of_judgement(judgement: Judgement) -> dict[str, Any]:
    """A threshold for one arm in one cell; durations in milliseconds, as the threshold says them."""
    return {
        "threshold": judgement.threshold.text,
        "scenario": judgement.cell.scenario,
        "load": judgement.cell.load.model_dump(exclude_none=True),
        "arm": judgement.arm,
        "outcome": judgement.word,
        "value": judgement.value,
        "low": judgement.low,
        "high": judgement.high,
    }


def of_card(card: Card) -> dict[str, Any]:
    """A card; its verdict stands among the verdicts."""
    verdict = card.verdict
    return {
        "scenario": card.scenario,
        "arm": card.arm,
        "advice": card.advice,
        "load": verdict.cell.load.model_dump(exclude_none=True),
        "ratio": verdict.ratio,
        "low": verdict.low,
        "high": verdict.high,
        "n": verdict.n,
        "holds_from": card.lowest,
        "holds_to": card.highest,
        "crossover": list(card.crossover) if card.crossover else None,
        "reason": card.reason,
        "notes": list(card.notes),
        "neighbours": {name: asdict(one) if one else None for name, one in card.neighbours.items()},
        "costs": {name: asdict(one) for name, one in card.costs.items()},
    }


def of_verdict(verdict: Verdict, conclusions: Conclusions) -> dict[str, Any]:
    limits: dict[str, Any] = dict.fromkeys(verdict.values)
    bounds: dict[str, Any] = dict.fromkeys(verdict.values)
    if verdict.primary:
        for arm in verdict.values:
            limits[arm] = [asdict(limit) for limit in conclusions.explanations.of(verdict.cell, arm)[1]]
            bound = predicted(known(conclusions.run, verdict.cell, arm))
            bounds[arm] = asdict(bound) if bound else None
    return {
        "scenario": verdict.cell.scenario,
        "endpoint": verdict.endpoint,
        "load": verdict.cell.load.model_dump(exclude_none=True),
        "metric": verdict.metric,
        "primary": verdict.primary,
        "arm": verdict.arm,
        "reference": verdict.reference,
        "ratio": verdict.ratio,
        "low": verdict.low,
        "high": verdict.high,
        "n": verdict.n,
        "p": verdict.p,
        "verdict": verdict.verdict,
        "values": verdict.values,
        "bottlenecks": limits,
        "bounds": bounds,
        "warnings": list(verdict.warnings),
        "clients": verdict.clients,
    }
