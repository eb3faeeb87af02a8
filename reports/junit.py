"""Cases as JUnit XML, as GitLab and others read it: `failure` is a regression, `skipped` not decided, `error`
an invalid measurement."""

from __future__ import annotations

import re
from xml.etree import ElementTree as tree  # noqa: N813  # as its own page has it; nothing is parsed here

from reports.cases import Gate

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not."""
TAGS = {"regression": "failure", "invalid": "error", "inconclusive": "skipped"}


def text(gate: Gate) -> str:
    """The document; classname and name together are unique."""
    counts = {tag: sum(TAGS.get(case.outcome) == tag for case in gate.cases) for tag in TAGS.values()}
    whole = tree.Element("testsuites", name="fastapi-duel")
    suite = tree.SubElement(
        whole, "testsuite", name=clean(f"duel {gate.run}"), tests=str(len(gate.cases)),
        failures=str(counts["failure"]), errors=str(counts["error"]), skipped=str(counts["skipped"]),
    )  # fmt: skip
    for case in gate.cases:
        one = tree.SubElement(suite, "testcase", classname=clean(f"duel.{case.group}"), name=clean(case.name))
        if case.outcome in TAGS:
            tag = tree.SubElement(one, TAGS[case.outcome], message=clean(case.message))
            tag.text = clean(case.message)
    tree.indent(whole)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tree.tostring(whole, encoding="unicode") + "\n"


def clean(words: str) -> str:
    return FORBIDDEN.sub("�", words)
