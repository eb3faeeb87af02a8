"""Cases as JUnit XML for GitLab, Jenkins and others: `failure` is a regression, `skipped` is undecided,
`error` is an invalid measurement.

Follows junit-10.xsd of Jenkins' xUnit plugin. Names hold nothing that changes from run to run, such as an id:
readers find the history of a case by suite, class name and name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as tree  # noqa: N813  # the spelling of its documentation; nothing is parsed here

from reports.export.cases import Case, Gate

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot contain, even escaped."""

TAGS = {"regression": "failure", "invalid": "error", "inconclusive": "skipped"}


def text(gate: Gate) -> str:
    """The document: a suite per group, by name; within a suite, each case has a name of its own."""
    counted = counts(gate.cases)
    # The schema knows no number of skipped cases of all suites.
    whole = tree.Element("testsuites", {"name": "fastapi-duel", **{key: counted[key] for key in OF_ALL}})
    for group in sorted({case.group for case in gate.cases}):
        whole.append(suite(gate.run, group, [case for case in gate.cases if case.group == group]))
    tree.indent(whole)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tree.tostring(whole, encoding="unicode") + "\n"


OF_ALL = ("tests", "failures", "errors", "time")


def counts(cases: Sequence[Case]) -> dict[str, str]:
    """The attributes that sum up cases."""
    found = {tag: sum(TAGS.get(case.outcome) == tag for case in cases) for tag in TAGS.values()}
    return {
        "tests": str(len(cases)), "failures": str(found["failure"]), "errors": str(found["error"]),
        "skipped": str(found["skipped"]), "time": seconds(sum(case.seconds for case in cases)),
    }  # fmt: skip


def suite(run: str, group: str, cases: Sequence[Case]) -> tree.Element:
    """The cases of a group. `run`: the run, or both runs, as a property."""
    made = tree.Element("testsuite", {"name": clean(group), **counts(cases)})
    properties = tree.SubElement(made, "properties")
    tree.SubElement(properties, "property", name="records", value=clean(run))
    for case in cases:
        one = tree.SubElement(
            made, "testcase", classname=clean(f"duel.{group}"), name=clean(case.name),
            time=seconds(case.seconds),
        )  # fmt: skip
        whole = clean("\n".join((case.message, *case.failed)))
        if case.outcome in TAGS:
            # Readers skip a failure that has neither.
            said = {"type": case.outcome, "message": clean(case.message)}
            tree.SubElement(one, TAGS[case.outcome], said).text = whole
        else:
            tree.SubElement(one, "system-out").text = whole
    return made


def seconds(number: float) -> str:
    """Without an exponent, which the schema does not read."""
    return f"{number:.3f}"


def clean(words: str) -> str:
    return FORBIDDEN.sub("�", words)
