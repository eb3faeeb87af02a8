"""The machine-readable summary, schema `duel/1`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reports.advice.cards import Card
from reports.advice.conversion import Conversion
from reports.advice.portraits import Portrait
from reports.advice.proving.proof import Proof
from reports.analysis.answers.differences import AnswersDiffer, SizesDiffer, StatusesDiffer
from reports.analysis.bottlenecks import Bottleneck, LoopLate
from reports.analysis.bounds import known, predicted
from reports.analysis.failures.kinds import FailureKind
from reports.analysis.mixtures.figures import ComparedEndpoint
from reports.analysis.thresholds import Judgement
from reports.analysis.verdicts import Outcome, Verdict
from reports.conclusions import Conclusions
from reports.wording.advice.cards import card_advice, card_reason, note_text
from reports.wording.advice.conversion import conversion_text
from reports.wording.advice.proofs import proof_lines, proof_title
from reports.wording.bottlenecks import evidence_text, holder_text
from reports.wording.gates.notes import gate_note_text
from reports.wording.refusals import refusal_text
from reports.wording.reservations import clients_text, reservation_text
from reports.wording.sentences import answers_text


def summary(conclusions: Conclusions) -> dict[str, Any]:
    """A run's verdicts as plain data. Fields may be added, never renamed."""
    run, verdicts = conclusions.run, conclusions.verdicts
    outcomes = {id(one): word for one, word in zip(conclusions.cases, conclusions.outcomes, strict=False)}
    return {
        "schema": "duel/1",
        "run": run.id,
        "failed_requests": [of_failure_kind(kind) for kind in conclusions.failure_kinds],
        "answers": of_answers(conclusions),
        "complete": run.complete,
        "valid": all(verdict.verdict != "invalid" for verdict in verdicts)
        and all(portrait.word != "invalid" for portrait in conclusions.portraits),
        "reference": run.plan.reference.name,
        "arms": [arm.name for arm in run.plan.arms],
        "origins": dict(run.origins),
        "margin": run.plan.margin,
        "alpha": run.plan.alpha,
        "in_force": {name: found.model_dump() for name, found in run.in_force.items()},
        "machine": run.machine.model_dump(mode="json"),
        "refused": {cell: refusal_text(refusal) for cell, refusal in run.refused.items()},
        "gate": list(conclusions.outcomes),
        "gate_notes": [list(map(gate_note_text, decision.notes)) for decision in conclusions.decisions],
        "verdicts": [of_verdict(one, conclusions, outcomes.get(id(one))) for one in verdicts],
        "endpoints": [of_endpoint(one) for one in conclusions.endpoints],
        "thresholds": [of_judgement(judgement) for judgement in conclusions.judgements],
        "cards": [of_card(card) for card in conclusions.cards],
        "proof": of_proof(conclusions.proof, conclusions) if conclusions.proof is not None else None,
        "conversions": [of_conversion(plan) for plan in conclusions.conversions],
        "portraits": [of_portrait(one, conclusions) for one in conclusions.portraits],
    }


def of_answers(conclusions: Conclusions) -> dict[str, Any]:
    """How the arms' answers were compared, and how they differ: what was asked before load, and per cell the
    samples of the load."""
    run = conclusions.run
    check = run.answers
    asked = [
        {"load": None, **one.model_dump(mode="json"), "text": reservation_text(AnswersDiffer(one))}
        for one in (check.differences if check else ())
    ]
    loaded = [
        {
            "load": verdict.cell.load.model_dump(exclude_none=True),
            "kind": "status" if isinstance(one, StatusesDiffer) else "size",
            "scenario": verdict.cell.scenario,
            **asdict(one),
            "text": reservation_text(one),
        }
        for verdict in conclusions.primaries
        for one in verdict.reservations
        if isinstance(one, StatusesDiffer | SizesDiffer)
    ]
    return {
        "accepted": run.plan.answers == "differ",
        "compared": answers_text(run),
        "endpoints": list(check.endpoints) if check else [],
        "not_compared": list(check.not_compared) if check else [],
        "differences": [*asked, *loaded],
    }


def of_failure_kind(kind: FailureKind) -> dict[str, Any]:
    """Requests of one arm and endpoint that failed alike; `status` is null where there was no answer,
    `exception` for arrivals that were never sent."""
    return {
        "scenario": kind.cell.scenario,
        "load": kind.cell.load.model_dump(exclude_none=True),
        "arm": kind.arm,
        "endpoint": kind.endpoint,
        "status": kind.status,
        "exception": kind.exception,
        "example": kind.example,
        "count": kind.count,
        "requests": kind.requests,
    }


def of_judgement(judgement: Judgement) -> dict[str, Any]:
    """A threshold for one arm in one cell; durations in milliseconds, as in the threshold."""
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


def of_endpoint(one: ComparedEndpoint) -> dict[str, Any]:
    """One endpoint of a mixture: the figures of its arms, and the ratio of their median response times."""
    return {
        "scenario": one.cell.scenario,
        "load": one.cell.load.model_dump(exclude_none=True),
        "endpoint": one.endpoint,
        "arm": one.arm,
        "reference": one.reference,
        "figures": {arm: asdict(figures) for arm, figures in one.figures.items()},
        "ratio": one.ratio,
        "low": one.low,
        "high": one.high,
        "n": one.n,
    }


def of_card(card: Card) -> dict[str, Any]:
    """A card; its verdict is in the list of verdicts."""
    verdict = card.verdict
    return {
        "scenario": card.scenario,
        "arm": card.arm,
        "advice": card_advice(card),
        "load": verdict.cell.load.model_dump(exclude_none=True),
        "ratio": verdict.ratio,
        "low": verdict.bounds[0],
        "high": verdict.bounds[1],
        "n": verdict.n,
        "holds_from": card.lowest,
        "holds_to": card.highest,
        "crossover": list(card.crossover) if card.crossover else None,
        "reason": card_reason(card),
        "notes": [note_text(note) for note in card.notes],
        "served": dict(card.served),
        "neighbours": {name: asdict(one) if one else None for name, one in card.neighbours.items()},
        "pulses": {name: asdict(one) if one else None for name, one in card.pulses.items()},
        "costs": {name: asdict(one) for name, one in card.costs.items()},
    }


def of_proof(proof: Proof, conclusions: Conclusions) -> dict[str, Any]:
    """Whether the hybrid of two arms is better than either. Ratios are the hybrid's value ÷ the arm's."""
    return {
        "hybrid": proof.hybrid,
        "arms": list(proof.arms),
        "routes": dict(zip(proof.arms, proof.routes, strict=True)),
        "outcome": proof.word,
        "complete": proof.complete,
        "misadvised": list(proof.misadvised),
        "changed": list(proof.changed),
        "text": [proof_title(proof, conclusions.run), *proof_lines(proof, conclusions.run)],
        "cells": [
            {
                "scenario": one.cell.scenario,
                "load": one.cell.load.model_dump(exclude_none=True),
                "served": dict(one.served),
                "light": one.light,
                "waits": dict(one.waits),
                "against": [asdict(beside) for beside in one.beside],
                "endpoints": [asdict(endpoint) for endpoint in one.endpoints],
            }
            for one in proof.cells
        ],
    }


def of_conversion(plan: Conversion) -> dict[str, Any]:
    """What to convert, in order of gain; pairs are of the reference and the other arm."""
    return {
        "reference": plan.reference,
        "arm": plan.arm,
        "text": conversion_text(plan),
        "steps": [
            {**asdict(step), "cell": step.cell.model_dump(mode="json"), "gain": step.gain}
            for step in plan.steps
        ],
    }


def of_portrait(portrait: Portrait, conclusions: Conclusions) -> dict[str, Any]:
    """What the only arm shows in one cell: all endpoints together first, then each."""
    _, limits = conclusions.explanations.of(portrait.cell, portrait.arm)
    canary, pulse = (portrait.signs.canary, portrait.signs.pulse) if portrait.signs else (None, None)
    return {
        "scenario": portrait.cell.scenario,
        "load": portrait.cell.load.model_dump(exclude_none=True),
        "arm": portrait.arm,
        "outcome": portrait.word,
        "metric": portrait.metric,
        "n": portrait.n,
        "endpoints": [
            {
                "endpoint": row.endpoint,
                "requests": row.requests,
                "failed": row.failed,
                **{
                    metric: {"value": known.value, "low": known.low, "high": known.high}
                    for metric, known in row.figures.items()
                },
            }
            for row in portrait.rows
        ],
        "bottlenecks": list(map(of_limit, limits)),
        "neighbours": asdict(canary) if canary else None,
        "pulse": asdict(pulse) if pulse else None,
        "costs": asdict(portrait.cost),
        "next": portrait.next_step,
        "warnings": [reservation_text(one) for one in portrait.reservations],
    }


def of_limit(limit: Bottleneck) -> dict[str, Any]:
    """What limits an arm; of an event loop also the line of code that holds it."""
    found: dict[str, Any] = {"name": limit.name, "evidence": evidence_text(limit.evidence)}
    if isinstance(limit.evidence, LoopLate):
        holder = limit.evidence.holder
        found["held_by"] = {**asdict(holder), "text": holder_text(holder)} if holder is not None else None
    return found


def of_verdict(verdict: Verdict, conclusions: Conclusions, outcome: Outcome | None) -> dict[str, Any]:
    """A verdict; `outcome` is a gate's, null where it is none of its cases."""
    limits: dict[str, Any] = dict.fromkeys(verdict.values)
    bounds: dict[str, Any] = dict.fromkeys(verdict.values)
    if verdict.primary:
        for arm in verdict.values:
            limits[arm] = list(map(of_limit, conclusions.explanations.of(verdict.cell, arm)[1]))
            bound = predicted(known(conclusions.run, verdict.cell, arm))
            bounds[arm] = asdict(bound) if bound else None
    return {
        "scenario": verdict.cell.scenario,
        "endpoint": verdict.endpoint,
        "load": verdict.cell.load.model_dump(exclude_none=True),
        "metric": verdict.metric,
        "primary": verdict.primary,
        "outcome": outcome,
        "arm": verdict.arm,
        "reference": verdict.reference,
        "ratio": verdict.ratio,
        "low": verdict.bounds[0],
        "high": verdict.bounds[1],
        "n": verdict.n,
        "p": verdict.p,
        "verdict": verdict.verdict,
        "failing": list(verdict.failing),
        "failed": verdict.failed,
        "requests": verdict.requests,
        "resent": verdict.resent,
        "values": verdict.values,
        "bottlenecks": limits,
        "bounds": bounds,
        "warnings": [reservation_text(one) for one in verdict.reservations],
        "clients": clients_text(verdict.clients) if verdict.clients else None,
        "server_cpus": list(verdict.cpus.numbers) if verdict.cpus else None,
        "cpus_shared": verdict.cpus.shared if verdict.cpus else None,
    }
