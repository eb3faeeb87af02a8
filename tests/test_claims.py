"""docs/claims.md and examples/claims/: the arms of a claim differ in nothing but what the claim is about."""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from benchmarks import claims
from benchmarks.claimed import CLAIMS, JUDGEMENTS, Claim
from benchmarks.claims import newest, page
from benchmarks.questions import Contradicted, anchor
from tests import scripted
from tests.conftest import Known
from tests.scripted import Scripted

LOAD = Path(__file__).parent.parent / "examples" / "claims" / "load.py"
COMMANDS = {one.run: one.command for one in CLAIMS}
OURS = {run: command for run, command in COMMANDS.items() if "examples.claims." in command}


def options(command: str, *names: str) -> list[str]:
    """The values of an option, in any of its spellings."""
    words = shlex.split(command)
    return [value for word, value in pairwise(words) if word in names]


def apps(command: str) -> Mapping[str, FastAPI]:
    """The apps of examples/claims/ among the arms of a command."""
    specs = [spec.partition(",")[0].partition("=") for spec in options(command, "--arm")]
    ours = {name: app.partition(":") for name, _, app in specs if app.startswith("examples.")}
    return {name: getattr(import_module(module), attribute) for name, (module, _, attribute) in ours.items()}


@pytest.mark.parametrize("command", OURS.values(), ids=OURS)
def test_the_arms_of_a_claim_answer_every_route_alike(command: str) -> None:
    async def answers(app: FastAPI) -> dict[str, tuple[int, str, bytes]]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://arm") as client:
            paths = [re.sub(r"\{\w+\}", "2", path) for path in app.openapi()["paths"]]
            got = {path: await client.get(path) for path in paths}
            return {
                path: (one.status_code, one.headers["content-type"], one.content) for path, one in got.items()
            }

    found = [asyncio.run(answers(app)) for app in apps(command).values()]
    assert all(one == found[0] for one in found)
    assert all(status == 200 for one in found for status, *_ in one.values())


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: anchor(claim.title))
def test_a_judgement_rests_on_arms_and_loads_that_its_command_measures(claim: Claim) -> None:
    (scenarios,), (users,) = options(claim.command, "-s"), options(claim.command, "-u")
    cells = {f"{one}@{load}" for one in scenarios.split(",") for load in users.split(",")}
    assert {cell for cell, _ in claim.rests_on} <= cells
    assert set(claim.within) <= set(claim.rests_on)
    assert {one for one in claim.scenarios if "@" in one} <= cells
    arms = {spec.partition("=")[0] for spec in options(claim.command, "--arm")}
    for spec in options(claim.command, "--sweep"):
        knob, _, values = spec.partition("=")
        arms |= {f"{arm}-{knob}-{value}" for arm in arms for value in values.split(",")}
    assert {arm for _, arm in claim.rests_on} <= arms
    if options(claim.command, "-f"):
        classes = [node for node in ast.parse(LOAD.read_text()).body if isinstance(node, ast.ClassDef)]
        assert set(scenarios.split(",")) <= {node.name for node in classes}


def test_claims_that_share_a_run_share_its_command() -> None:
    assert {(one.run, one.command) for one in CLAIMS} == set(COMMANDS.items())


def test_every_claim_has_an_address_of_its_own_and_a_judgement() -> None:
    assert len({anchor(one.title) for one in CLAIMS}) == len(CLAIMS)
    assert all(one.judgement.startswith(JUDGEMENTS) and one.source.startswith("https://") for one in CLAIMS)


MADE = Claim(
    title="It is faster",
    claimed="×9",
    author="they",
    source="https://claims.example/faster",
    published="2020",
    words="They asked it once.",
    run="seen",
    command="duel run -s ping",
    scenarios=("ping@64",),
    judgement="holds",
    answer="So it is.",
    unless="Never.",
    rests_on={("ping@64", "async"): ("faster",)},
)


def test_a_claim_is_printed_with_its_source_its_judgement_and_what_was_measured(known: Known) -> None:
    text = page([MADE], {"seen": known["one cell"]})
    assert re.search(
        r"^\| \[It is faster\]\(#it-is-faster\) \| 2020 \| ×9 \| ▲ ×1\.40 .*\| holds \|$", text, re.M
    )
    assert "They asked it once. ([they](https://claims.example/faster), 2020)" in text
    assert text.index("**It holds.** So it is.") < text.index("| ping at 64 users | async |")


def test_a_judgement_that_a_run_contradicts_is_not_printed(known: Known) -> None:
    wrong = replace(MADE, rests_on={("ping@64", "async"): ("slower",)})
    with pytest.raises(Contradicted, match="It is faster ping@64 against async is faster, not slower"):
        page([wrong], {"seen": known["one cell"]})


def test_a_judgement_that_a_run_leaves_open_is_replaced_by_that(known: Known) -> None:
    open = replace(MADE, rests_on={("python@64", "async"): ("faster",)}, scenarios=("python",))
    text = page([open], {"seen": known["all kinds of verdicts"]})
    assert "This run does not decide it." in text
    assert "| not decided |" in text
    assert "So it is." not in text


@pytest.mark.parametrize(
    ("limits", "said"), [((1.2, 2.0), "**It holds.**"), ((1.4, 2.0), "does not decide it")]
)
def test_a_judgement_about_size_needs_the_whole_interval(
    known: Known, limits: tuple[float, float], said: str
) -> None:
    assert said in page([replace(MADE, within={("ping@64", "async"): limits})], {"seen": known["one cell"]})


def test_a_judgement_about_size_that_a_run_contradicts_is_not_printed(known: Known) -> None:
    wrong = replace(MADE, within={("ping@64", "async"): (2.0, 3.0)})
    with pytest.raises(Contradicted, match=r"ping@64 against async is ▲ ×1\.40 \(.*\), not 2\.00–3\.00"):
        page([wrong], {"seen": known["one cell"]})


def test_a_claim_on_an_arm_that_was_not_measured_is_refused(known: Known) -> None:
    with pytest.raises(Contradicted, match="ping@1 against async was not measured"):
        page([replace(MADE, rests_on={("ping@1", "async"): ("faster",)})], {"seen": known["one cell"]})


def test_a_claim_whose_run_is_missing_is_not_judged() -> None:
    text = page([MADE], {})
    assert "| ×9 | – | – | not measured yet |" in text
    assert "They asked it once." in text
    assert "So it is." not in text


def test_an_interrupted_run_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RUNS", tmp_path)
    run, directory = scripted.run(tmp_path / "seen", scripted.plan(), lambda *_: Scripted(400), rounds=1)
    assert newest("seen") == directory.path
    directory.save(run.model_copy(update={"complete": False}))
    assert newest("seen") is None
