"""The command line as a user meets it: output, errors, exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests import scripted
from tests.conftest import APPS
from tests.scripted import Told

DUEL = [str(Path(sys.executable).with_name("duel"))]
PLAIN = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120"}


def duel(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DUEL_")}
    return subprocess.run(
        [*DUEL, *arguments],
        cwd=cwd,
        env={**clean, **PLAIN, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def carried_out(code: int | None, said: str) -> None:
    """A run went through, whether or not this host was quiet enough for it to count; a fault of the harness,
    which ends with 5 as well, says "error"."""
    assert code in (0, 5), said
    assert not re.search(r"^error: ", said, flags=re.MULTILINE), said


def measured(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`duel run` in a directory without runs, again where the host was too noisy for it to count: how that is
    found out is tested elsewhere, and a neighbour's noise passes."""
    for _ in range(TRIES):
        shutil.rmtree(cwd / "runs", ignore_errors=True)
        done = duel("run", *arguments, cwd=cwd, **environment)
        if not spoilt(done.returncode, done.stderr):
            break
    assert done.returncode == 0, done.stderr
    return done


TRIES = 4


def spoilt(code: int, said: str) -> bool:
    """Whether trials of a run did not count, and nothing else is wrong."""
    return code == 5 and "does not count" in said and "error: " not in said


def script(arm: str, cell: object, round: int) -> Told:
    return Told(requests=(800 if arm == "async" else 400) + round)


def test_help_names_every_verb_and_every_exit_code(tmp_path: Path) -> None:
    shown = duel("--help", cwd=tmp_path).stdout
    for word in ("run", "report", "serve", "list", "check", "Exit codes", "130 interrupted"):
        assert word in shown


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    assert duel("--version", cwd=tmp_path).stdout.startswith("duel 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--nonsense"], "No such option"),
        (["run", "--quick", "--thorough"], "exclude each other"),
        (["run", "-s", "posts.red"], "did you mean posts.read"),
        (["run", "-u", "0"], "users"),
        (["run", "-t", "soon"], "not a time"),
        (["run", "--rounds", "21"], "max_rounds"),
        (["run", "--arm", "a=b"], "names no app"),
        (["run", "--config", "nowhere.toml"], "cannot read"),
        (["run", "-s", "ping", "--out", "/dev/null/x"], "cannot create the run directory"),
        (["serve", "nobody"], "names no app"),
    ],
)
def test_bad_input_is_one_clear_error_with_exit_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = duel(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "runs").exists()


def test_a_run_is_resumed_with_its_own_plan_and_on_its_own_machine(tmp_path: Path) -> None:
    _, directory = scripted.run(tmp_path, scripted.plan(), script)
    done = duel("run", "--resume", str(directory.path), "-s", "ping", "-u", "8", cwd=tmp_path)
    assert done.returncode == 2
    assert "leave out --scenario, --users" in done.stderr
    elsewhere = duel("run", "--resume", str(directory.path), cwd=tmp_path)
    assert elsewhere.returncode == 2
    assert "its cpu was A processor" in elsewhere.stderr
    nowhere = duel("run", "--resume", str(tmp_path / "nowhere"), cwd=tmp_path)
    assert nowhere.returncode == 6
    assert "Traceback" not in done.stderr + elsewhere.stderr + nowhere.stderr


def test_an_unknown_setting_in_the_environment_is_refused(tmp_path: Path) -> None:
    done = duel("run", "--dry-run", cwd=tmp_path, DUEL_USER="8")
    assert done.returncode == 2
    assert "did you mean users" in done.stderr


def test_a_dry_run_prints_the_plan_and_measures_nothing(tmp_path: Path) -> None:
    done = duel("run", "--quick", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "7 cells" in done.stdout
    assert "demonstration" in done.stdout
    assert "upstream at 1, 8, 64 users" in done.stdout
    assert not list(tmp_path.iterdir())


def test_show_config_tells_where_each_value_came_from(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.duel]\nmargin = 0.2\n")
    shown = duel("run", "--show-config", "-u", "1,8", cwd=tmp_path, DUEL_SEED="7").stdout
    assert "margin = 0.2  (pyproject.toml)" in shown
    assert "users = (1, 8)  (flag)" in shown
    assert "seed = 7  (environment)" in shown
    assert "window = not set" in shown


def test_a_run_that_cannot_be_read_exits_6(tmp_path: Path) -> None:
    done = duel("report", "nowhere", cwd=tmp_path)
    assert done.returncode == 6
    assert done.stderr.startswith("error: cannot read nowhere/run.json")
    assert "hint:" in done.stderr


def test_report_rebuilds_every_output_from_the_records_to_the_byte(tmp_path: Path) -> None:
    def told(arm: str, cell: object, round: int) -> Told:
        return replace(script(arm, cell, round), server_cpu=0.5)

    _, directory = scripted.run(tmp_path, scripted.plan(cells=[("ping", 1), ("ping", 64)]), told)
    first = duel("report", str(directory.path), cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    files = {path.name: path.read_bytes() for path in directory.report.iterdir()}
    pictures = {
        f"{stem}-{scheme}.{kind}"
        for stem in ("verdicts", "throughput", "latency", "tails", "heat", "costs")
        for scheme in ("light", "dark")
        for kind in ("svg", "png")
    }
    assert set(files) == {"summary.json", "report.md", "report.html"} | pictures
    for path in directory.report.iterdir():
        path.unlink()
    second = duel("report", str(directory.path), cwd=tmp_path)
    assert {path.name: path.read_bytes() for path in directory.report.iterdir()} == files
    assert second.stdout == first.stdout


def test_json_to_stdout_is_json_alone_and_to_a_file_comes_beside_the_table(tmp_path: Path) -> None:
    _, directory = scripted.run(tmp_path, scripted.plan(), script)
    alone = duel("report", str(directory.path), "--json", "-", cwd=tmp_path)
    content = json.loads(alone.stdout)
    assert content["schema"] == "duel/1"
    first = content["verdicts"][0]
    assert (first["scenario"], first["load"], first["verdict"]) == ("ping", {"users": 64}, "faster")
    assert first["bottlenecks"] == {"sync": [], "async": []}
    beside = duel("report", str(directory.path), "--json", "out.json", cwd=tmp_path)
    assert json.loads((tmp_path / "out.json").read_text()) == content
    assert "async serves 2.00 times as much as sync" in beside.stdout


def test_an_invalid_measurement_exits_5_and_strict_makes_undecided_ones_exit_4(tmp_path: Path) -> None:
    def saturated(arm: str, cell: object, round: int) -> Told:
        return Told(generator_cpu=0.95)

    def noisy(arm: str, cell: object, round: int) -> Told:
        return Told(requests=400 + 170 * ((round + (arm == "async")) % 2))

    (tmp_path / "a").mkdir()
    _, directory = scripted.run(tmp_path / "a", scripted.plan(), saturated)
    assert duel("report", str(directory.path), cwd=tmp_path).returncode == 5
    _, directory = scripted.run(tmp_path, scripted.plan(), noisy)
    assert duel("report", str(directory.path), cwd=tmp_path).returncode == 0
    assert duel("report", str(directory.path), "--strict", cwd=tmp_path).returncode == 4


def test_a_narrow_terminal_cuts_nothing_off(tmp_path: Path) -> None:
    for number, arms in enumerate((("sync", "async"), ("sync", "async", "more"))):
        parent = tmp_path / str(number)
        parent.mkdir()
        plan = scripted.plan(arms, [("session-dependency", 256)], rounds=6)
        _, directory = scripted.run(parent, plan, script)
        shown = duel("report", str(directory.path), cwd=tmp_path, COLUMNS="80").stdout
        table = shown.partition("successful requests per second")[2]
        rows = [line.rstrip() for line in table.splitlines() if "×" in line and line.startswith("session")]
        assert [row.rpartition(" ")[2] for row in rows] == ["faster", "equivalent"][: len(rows)]
        assert len(rows) == len(arms) - 1
        assert max(map(len, rows)) <= 80
    assert "…" not in shown


def test_check_compares_the_answers_and_names_the_machine(tmp_path: Path) -> None:
    done = duel("check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sync and async answer" in done.stdout
    assert "processor" in done.stdout


def test_list_shows_arms_profiles_and_scenarios(tmp_path: Path) -> None:
    shown = duel("list", cwd=tmp_path).stdout
    for word in ("sync_app.main:create_app", "thorough", "io_bound", "session-dependency"):
        assert word in shown


def test_an_arm_that_does_not_start_ends_the_run_with_its_cause(tmp_path: Path) -> None:
    arms = ["--arm", "good=odd:counting", "--arm", "bad=broken:app", "--app-dir", str(APPS)]
    done = duel("run", "-s", "ping", "--rounds", "1", *arms, cwd=tmp_path)
    assert done.returncode == 5
    assert "arm 'bad' (broken:app) did not start" in done.stderr
    assert "No module named 'a_package_that_nobody_has'" in done.stderr
    assert "Traceback" not in done.stderr.partition("cause:")[0]


def test_serve_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """On a port of its own choice, which its first line on stdout names."""
    process = subprocess.Popen(
        [*DUEL, "serve", "async", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert psutil.pid_exists(ready["pid"])
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    gone_in_time(ready["pid"])


def gone_in_time(pid: int) -> None:
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_check_asks_a_foreign_pair_what_it_publishes_and_names_the_request_that_differs(
    tmp_path: Path,
) -> None:
    """What an app answers otherwise each time, such as the time, is no difference between arms."""
    arms = ("--app-dir", str(APPS), "--arm", "before=shop:before")
    same = duel("check", *arms, "--arm", "again=shop:before", cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert "before and again answer 2 requests alike" in same.stdout
    differing = duel("check", *arms, "--arm", "after=shop:after", cwd=tmp_path)
    assert differing.returncode == 5
    assert "arms 'before' and 'after' answer GET /items/999999 differently" in differing.stderr
    assert "after: 404" in differing.stderr


def test_an_app_without_a_document_is_only_started(tmp_path: Path) -> None:
    done = duel(
        "check", "--app-dir", str(APPS), "--arm", "a=odd:counting", "--arm", "b=odd:counting", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "a and b start" in done.stdout
