"""Findings as SARIF 2.1.0, which code scanning services read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from reports.advice.app_advice import Weight
from reports.export.located import Located
from reports.export.places import Place
from reports.wording.advice.rules import RULES, Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

ABOUT = "https://github.com/fastapi-duel/fastapi-duel"

LEVELS: Mapping[Weight, str] = {"wrong": "error", "mind": "warning", "consider": "note"}

FINGERPRINT = "duelFinding/v1"


def text(found: Sequence[Located], notes: Sequence[str]) -> str:
    """A SARIF log. `notes`: what limits the result, such as code that was not read."""
    return json.dumps(log(found, notes), indent=2, ensure_ascii=False) + "\n"


def log(found: Sequence[Located], notes: Sequence[str]) -> dict[str, Any]:
    """One run, as plain data; findings that are at no place of the repository are notifications."""
    invocation: dict[str, Any] = {"executionSuccessful": True}
    # GitHub refuses a whole file in which one result has no place.
    told = [(LEVELS[one.finding.weight], one.message) for one in found if one.place is None]
    told += [("note", note) for note in notes]
    if told:
        invocation["toolExecutionNotifications"] = [
            {"level": level, "message": {"text": text}} for level, text in told
        ]
    driver = {
        "name": "fastapi-duel",
        "semanticVersion": version("fastapi-duel"),
        "informationUri": ABOUT,
        "rules": [described(rule) for rule in RULES],
    }
    earlier: Counter[str] = Counter()
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "invocations": [invocation],
                "columnKind": "utf16CodeUnits",
                "results": [result(one, one.place, earlier) for one in found if one.place is not None],
            }
        ],
    }


def described(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.about},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": LEVELS[rule.weight]},
    }


def result(one: Located, place: Place, earlier: Counter[str]) -> dict[str, Any]:
    """One finding at its place. `earlier`: how many had the same fingerprint."""
    print_of = fingerprint(one)
    number = earlier[print_of]
    earlier[print_of] += 1
    found: dict[str, Any] = {
        "ruleId": one.rule.id,
        "ruleIndex": RULES.index(one.rule),
        "level": LEVELS[one.finding.weight],
        "message": {"text": one.message},
        "locations": [location(place)],
        "partialFingerprints": {FINGERPRINT: f"{print_of}:{number}"},
        "properties": {"evidence": one.finding.evidence, "routes": list(one.finding.routes)},
    }
    if one.chain:
        found["relatedLocations"] = [
            {**location(step), "id": at, "message": {"text": name}}
            for at, (name, step) in enumerate(one.chain)
        ]
    return found


def location(place: Place) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(place.file), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": place.line},
        }
    }


def fingerprint(one: Located) -> str:
    """The same for a finding whose line has moved."""
    file = one.place.file if one.place is not None else ""
    return sha256("\n".join((one.rule.id, file, one.about)).encode()).hexdigest()[:32]
