"""An app's routes and what to change: for the terminal, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from json import dumps
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.advice.anatomy import Anatomy
from reports.advice.app_advice import Finding, coverage
from reports.advice.driven import Driven
from reports.render.streams import say
from reports.wording.advice.app_advice import closing, coverage_text, finding_text, problem_text
from reports.wording.advice.driven import EVIDENCE, reach_text
from reports.wording.units import counted
from reports.wording.vocabulary import WEIGHT_MARKS


def show(console: Console, anatomy: Anatomy, found: Sequence[Finding], driven: Driven | None = None) -> None:
    """Every route, then what to do, the most severe first."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("route", "style", "hops", "dependencies", "answer"):
        table.add_column(name, justify="right" if name == "hops" else "left", overflow="fold")
    for route in anatomy.routes:
        said = ", ".join(f"{one.name} ({one.style})" for one in route.dependencies)
        table.add_row(
            escape(str(route)), route.style, str(route.hops), escape(said) or "–",
            escape(route.response_model or "–"),
        )  # fmt: skip
    for called in (*anatomy.middleware, *anatomy.handlers):
        said = f"{called.role} {called.name}"
        table.add_row(escape(said), called.style, str(called.own_hops), escape(str(called)), "–")
    console.print(table, highlight=False)
    console.print()
    for pool in anatomy.pools:
        limit = "any number of connections" if pool.most is None else counted(pool.most, "connection")
        say(console, f"database pool {pool.kind}: {limit}")
    for one in found:
        mark = f"{WEIGHT_MARKS[one.weight]} " + (f"({EVIDENCE[one.evidence]}) " if driven is not None else "")
        say(console, f"{mark}{finding_text(one)}")
    if found:
        console.print()
    covered = coverage(anatomy)
    if covered.unread:
        say(console, coverage_text(covered))
    if driven is not None:
        say(console, reach_text(driven))
    say(console, closing(found, covered))


def as_json(anatomy: Anatomy, found: Sequence[Finding], driven: Driven | None = None) -> str:
    """The findings, as JSON text."""
    return dumps(data(anatomy, found, driven), indent=2) + "\n"


def data(anatomy: Anatomy, found: Sequence[Finding], driven: Driven | None = None) -> dict[str, Any]:
    """As plain data, schema `duel-advice/1`."""
    covered = coverage(anatomy)
    parts = {
        name: [one.model_dump(mode="json") for one in listed]
        for name, listed in (
            ("middleware", anatomy.middleware), ("handlers", anatomy.handlers),
            ("lifespan", anatomy.lifespan),
                        ("pools", anatomy.pools), ("unread", covered.unread),
        )
    }  # fmt: skip
    return {
        "schema": "duel-advice/1",
        "frameworks": list(anatomy.frameworks),
        "routes": [{**route.model_dump(mode="json"), "hops": route.hops} for route in anatomy.routes],
        **parts,
        "looked_into": covered.looked_into,
        "findings": [
            {
                "weight": one.weight,
                "evidence": one.evidence,
                "where": ", ".join(one.routes),
                **asdict(problem_text(one.problem)),
                "seen": [asdict(line) for line in one.seen],
            }
            for one in found
        ],
        "driven": None if driven is None else as_driven(driven),
    }


def as_driven(driven: Driven) -> dict[str, Any]:
    """What was asked, and what was not reached."""
    return {
        "asked": [
            {
                "route": one.name,
                "request": one.request,
                "status": one.status,
                "requests": len(one.visits),
                "cpu": one.cpu,
                "beside": None if one.beside is None else one.beside.model_dump(),
            }
            for one in driven.asked
        ],
        "missed": [{"route": name, "why": why, "status": status} for name, why, status in driven.missed],
    }
