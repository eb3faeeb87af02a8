"""Findings of `duel advise` in the formats of GitHub and of code scanning services, with their places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from reports.advice.anatomy import Startup
from reports.advice.app_advice import Finding, HoldsLoop
from reports.advice.driven import SeenLine
from reports.advice.seen import BY_ITSELF, AppAdvice
from reports.export import advice as exporting
from reports.export import sarif
from reports.export.located import located, repository
from reports.export.places import Place
from tests.commands import duel_here

ROOT = Path(__file__).parent.parent

BLOCKING = {"what": "time.sleep", "file": "shop/slow.py", "line": 12, "chain": [
    {"name": "look_up", "file": "shop/slow.py", "line": 10},
    {"name": "Client.get", "file": "/usr/lib/python3/site-packages/http/client.py", "line": 7},
]}  # fmt: skip


def advice(home: Path, line: int = 12, **changes: Any) -> AppAdvice:
    """An app with a route that blocks, one in which nothing waits, and code that could not be read."""
    route = {
        "name": "read", "style": "async def", "runs": "loop", "file": "shop/main.py", "line": 3,
        "path": "/notes", "methods": ["GET"], "looked_into": 3,
        "blocks": [{**BLOCKING, "line": line}, {"what": "requests.get", "file": None, "line": None}],
        "unread": [{"name": "Gateway.look_up", "why": "run-time"}],
    }  # fmt: skip
    idle = {
        "name": "ping", "style": "def", "runs": "thread", "file": "shop/main.py", "line": 30,
        "path": "/ping: 100%", "methods": ["GET"], "looked_into": 1,
    }  # fmt: skip
    return AppAdvice.of({"routes": [{**route, **changes}, idle]}, None, 64, home)


def test_each_line_is_an_annotation_at_its_file_in_the_repository(tmp_path: Path) -> None:
    """Of a call without a line, the route's function is annotated."""
    found = located(advice(tmp_path / "service"), tmp_path)
    lines = exporting.workflow_commands(found, ["looked into 4 of 5 calls"]).splitlines()
    assert [line.partition("::GET")[0] for line in lines] == [
        "::error file=service/shop/slow.py,line=12,title=blocks-loop",
        "::error file=service/shop/main.py,line=3,title=blocks-loop",
        "::notice file=service/shop/main.py,line=30,title=nothing-waits",
        "::notice title=duel advise::looked into 4 of 5 calls",
    ]
    assert "time.sleep" in lines[0]
    assert "requests.get" not in lines[0]
    assert "100%25" in lines[2]


def test_places_outside_of_the_repository_are_left_out(tmp_path: Path) -> None:
    (first, *_) = located(advice(tmp_path / "elsewhere"), tmp_path / "repository")
    assert first.place is None
    assert "file=" not in exporting.annotation(first)


def test_every_result_for_code_scanning_has_a_place_and_what_has_none_is_a_notification(
    tmp_path: Path,
) -> None:
    """GitHub refuses a whole file for one result without."""
    line = SeenLine("/lib/site-packages/pump.py", "pump.py", (7,), "time.sleep", True, False, 0.02, 5, 5, ())
    alone = Finding((BY_ITSELF,), HoldsLoop(line), evidence="seen", seen=(line,))
    app = advice(tmp_path)
    told = located(replace(app, found=[*app.found, alone]), tmp_path)
    (run,) = sarif.log(told, [])["runs"]
    assert len(run["results"]) == len(told) - 1
    assert all(result["locations"] for result in run["results"])
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "pump.py" in note["message"]["text"]
    assert note["level"] != "note"


def test_what_an_app_does_by_itself_is_at_the_function_that_starts_it(tmp_path: Path) -> None:
    line = SeenLine("/lib/site-packages/pump.py", "pump.py", (7,), "time.sleep", True, False, 0.02, 5, 5, ())
    alone = Finding((BY_ITSELF,), HoldsLoop(line), evidence="seen", seen=(line,))
    start = Startup(name="lifespan", style="async generator", runs="loop", file="shop/main.py", line=20)
    app = advice(tmp_path)
    started = app.anatomy.model_copy(update={"lifespan": (start,)})
    (found,) = located(replace(app, anatomy=started, found=[alone]), tmp_path)
    assert found.place == Place("shop/main.py", 20)


def test_sarif_names_the_line_the_way_to_it_and_what_was_not_read(tmp_path: Path) -> None:
    found = located(advice(tmp_path / "a b"), tmp_path)
    (run,) = sarif.log(found, ["looked into 4 of 5 calls"])["runs"]
    first = run["results"][0]
    (location,) = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b/shop/slow.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 12},
    }
    (step,) = first["relatedLocations"]
    assert step["message"]["text"] == "look_up"
    assert [one["level"] for one in run["results"]] == ["error", "error", "note"]
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "looked into 4 of 5 calls"


def test_a_fingerprint_stays_when_the_line_moves_and_differs_for_another_call(tmp_path: Path) -> None:
    def prints(one: AppAdvice) -> list[str]:
        results = sarif.log(located(one, tmp_path), [])["runs"][0]["results"]
        return [result["partialFingerprints"][sarif.FINGERPRINT] for result in results]

    before, moved = prints(advice(tmp_path)), prints(advice(tmp_path, line=90))
    assert before == moved
    assert len(set(before)) == len(before)
    twice = prints(advice(tmp_path, blocks=[BLOCKING, {**BLOCKING, "line": 14}]))
    assert len(set(twice)) == len(twice)


def test_files_are_named_from_the_root_of_the_repository_that_one_is_in(tmp_path: Path) -> None:
    service = tmp_path / "services" / "shop"
    service.mkdir(parents=True)
    assert repository(service) == service
    (tmp_path / ".git").mkdir()
    assert repository(service) == tmp_path


def test_json_and_another_format_do_not_share_stdout(tmp_path: Path) -> None:
    done = duel_here("advise", "sync", "--json", "-", "--format", "sarif", cwd=tmp_path)
    assert done.returncode == 2
    assert "--json - and --format sarif both write to stdout" in done.stderr


def test_the_pre_commit_hook_runs_a_command_that_is_installed() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, verb = hook["entry"].split()
    scripts = (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[2]
    assert hook["id"] == "duel-advise"
    assert f"{program} = " in scripts
    assert duel_here(verb, "--help", cwd=ROOT).returncode == 0
    assert hook["pass_filenames"] is False
