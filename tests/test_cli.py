"""The command line as users see it: output, errors, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

import cli
from loadtests.errors import Disturbed, Exit
from loadtests.measure.preflight import Fitness, check_quiet
from loadtests.plan.settings import DECLARED
from loadtests.records import Compared
from loadtests.system import suitability
from loadtests.system.processes import at_work
from tests import scripted
from tests.commands import DUEL, brisk_here, chartless_here, duel, duel_here
from tests.conftest import APPS
from tests.scripted import Scripted


def script(arm: str, cell: object, round: int) -> Scripted:
    return Scripted(requests=(800 if arm == "async" else 400) + round)


VERBS = [info.name or str(info.callback and info.callback.__name__) for info in cli.app.registered_commands]


def test_help_lists_every_verb_and_every_exit_code(tmp_path: Path) -> None:
    shown = duel_here("--help", cwd=tmp_path).stdout
    rows = [line.strip("│ ").split()[0] for line in shown.splitlines() if line.startswith("│ ")]
    assert {"run", "resume", "config"} < set(VERBS) <= set(rows)
    codes = " ".join(shown.partition("Exit codes:")[2].split())
    assert codes == " · ".join(f"{code.value} {code.meaning}" for code in Exit)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_page_of_help(tmp_path: Path, verb: str) -> None:
    done = duel_here(verb, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"Usage: duel {verb}" in done.stdout
    assert "--verbose" in done.stdout


def test_every_setting_is_a_flag_of_run_and_of_config(tmp_path: Path) -> None:
    for verb in ("run", "config"):
        shown = duel_here(verb, "--help", cwd=tmp_path).stdout
        flags = {word for line in shown.splitlines() for word in line.split() if word.startswith("--")}
        assert {f"--{key}" for key, declared in DECLARED.items() if not declared.only_in_file} <= flags


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    assert duel("--version", cwd=tmp_path).stdout == f"duel {version('fastapi-duel')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--nonsense"], "No such option"),
        (["run", "--quick", "--thorough"], "exclude each other"),
        (["config", "-s", "posts.red"], "did you mean posts.read"),
        (["run", "--quick", "--profile", "default"], "exclude each other"),
        (["run", "--profile", "quik"], "did you mean quick"),
        (["run", "-u", "0"], "users"),
        (["run", "-t", "soon"], "--window = 'soon': not a time"),
        (["config", "-t", "soon"], "--window = 'soon': not a time"),
        (["run", "-f", "nowhere.py"], "cannot read nowhere.py"),
        (["run", "--rounds", "21"], "--rounds = '21': not from 1 to 20"),
        (["run", "--arm", "a=b"], "names no app"),
        (["run", "--config", "nowhere.toml"], "cannot read"),
        (["run", "-s", "ping", "--out", "/dev/null/x"], "cannot create the run directory"),
        (["serve", "unknown"], "names no app"),
    ],
)
def test_bad_input_is_one_clear_error_with_exit_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = duel_here(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "runs").exists()


def test_a_run_is_resumed_with_its_own_plan_and_on_its_own_machine(tmp_path: Path) -> None:
    _, directory = scripted.run(tmp_path, scripted.plan(), script)
    for shaping in ("--scenario", "--users", "--base-ref", "--seed"):
        done = duel_here("resume", str(directory.path), shaping, "8", cwd=tmp_path)
        assert done.returncode == 2
        assert f"No such option: {shaping}" in done.stderr
    # Irrelevant to a run that has its plan: not even read.
    (tmp_path / "pyproject.toml").write_text("[tool.duel]\nscenario = ['nonsense']\nbase-ref = 'nowhere'\n")
    elsewhere = duel_here("resume", str(directory.path), cwd=tmp_path)
    assert elsewhere.returncode == 2
    assert "its cpu was A processor" in elsewhere.stderr
    nowhere = duel_here("resume", str(tmp_path / "nowhere"), cwd=tmp_path)
    assert nowhere.returncode == 6


def test_an_unknown_setting_in_the_environment_is_refused(tmp_path: Path) -> None:
    done = duel_here("run", "--dry-run", cwd=tmp_path, DUEL_USER="8")
    assert done.returncode == 2
    assert "DUEL_USER: unknown setting" in done.stderr
    assert "did you mean users" in done.stderr


def test_a_dry_run_prints_the_plan_and_measures_nothing(tmp_path: Path) -> None:
    done = duel_here("run", "--quick", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "7 cells" in done.stdout
    assert "demonstration" in done.stdout
    assert "upstream at 1, 64 users" in done.stdout
    as_json = duel_here("run", "--quick", "--dry-run", "--json", "-", cwd=tmp_path)
    assert len(json.loads(as_json.stdout)["cells"]) == 7
    assert not list(tmp_path.iterdir())


def test_config_shows_the_source_of_each_value(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.duel]\nmargin = 0.2\n")
    shown = duel_here("config", "-u", "1,8", "--quick", cwd=tmp_path, DUEL_SEED="7").stdout.splitlines()
    assert "margin = 0.2  (pyproject.toml; default: 0.1)" in shown
    assert "users = 1, 8  (flag; default: the profile's)" in shown
    assert "profile = quick  (flag; default: default)" in shown
    assert "seed = 7  (environment; default: random)" in shown
    assert "window = the profile's  (default)" in shown
    assert len(shown) == len(DECLARED)


def test_config_starts_no_generator_to_read_a_locustfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: object, *arguments: object, **options: object) -> None:
        raise AssertionError(f"{arguments} was started")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    assert duel_here("config", "-f", str(APPS / "own_load.py"), cwd=tmp_path).returncode == 0


def test_a_run_that_cannot_be_read_exits_6(tmp_path: Path) -> None:
    done = duel_here("report", "nowhere", cwd=tmp_path)
    assert done.returncode == 6
    assert done.stderr.startswith("error: cannot read nowhere/run.json")
    assert "hint:" in done.stderr


def test_report_rebuilds_every_output_from_the_records_to_the_byte(tmp_path: Path) -> None:
    def told(arm: str, cell: object, round: int) -> Scripted:
        return replace(script(arm, cell, round), server_cpu=0.5)

    _, directory = scripted.run(tmp_path, scripted.plan(cells=[("ping", 1), ("ping", 64)]), told)
    first = duel_here("report", str(directory.path), cwd=tmp_path)
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
    second = duel_here("report", str(directory.path), cwd=tmp_path)
    assert {path.name: path.read_bytes() for path in directory.report.iterdir()} == files
    assert second.stdout == first.stdout


def test_json_to_stdout_is_only_json_and_to_a_file_keeps_the_table(tmp_path: Path) -> None:
    _, directory = scripted.run(tmp_path, scripted.plan(), script)
    alone = chartless_here("report", str(directory.path), "--json", "-", cwd=tmp_path)
    content = json.loads(alone.stdout)
    assert content["schema"] == "duel/1"
    first = content["verdicts"][0]
    assert (first["scenario"], first["load"], first["verdict"]) == ("ping", {"users": 64}, "faster")
    assert first["bottlenecks"] == {"sync": [], "async": []}
    beside = chartless_here("report", str(directory.path), "--json", "out.json", cwd=tmp_path)
    assert json.loads((tmp_path / "out.json").read_text()) == content
    assert "async serves 2.00 times as much as sync" in beside.stdout


def test_an_invalid_measurement_exits_5_and_strict_makes_undecided_ones_exit_4(tmp_path: Path) -> None:
    def saturated(arm: str, cell: object, round: int) -> Scripted:
        return Scripted(generator_cpu=0.95)

    def noisy(arm: str, cell: object, round: int) -> Scripted:
        return Scripted(requests=400 + 170 * ((round + (arm == "async")) % 2))

    (tmp_path / "a").mkdir()
    _, directory = scripted.run(tmp_path / "a", scripted.plan(), saturated)
    assert chartless_here("report", str(directory.path), cwd=tmp_path).returncode == 5
    _, directory = scripted.run(tmp_path, scripted.plan(), noisy)
    assert chartless_here("report", str(directory.path), cwd=tmp_path).returncode == 0
    assert chartless_here("report", str(directory.path), "--strict", cwd=tmp_path).returncode == 4


def test_a_narrow_terminal_truncates_nothing(tmp_path: Path) -> None:
    for number, arms in enumerate((("sync", "async"), ("sync", "async", "more"))):
        parent = tmp_path / str(number)
        parent.mkdir()
        plan = scripted.plan(arms, [("session-dependency", 256)], rounds=6)
        _, directory = scripted.run(parent, plan, script)
        shown = chartless_here("report", str(directory.path), cwd=tmp_path, COLUMNS="80").stdout
        table = shown.partition("successful requests per second")[2]
        # Several arms stand below their scenario.
        first = ("session-dependency",) if number == 0 else ("  async", "  more")
        rows = [line.rstrip() for line in table.splitlines() if "×" in line and line.startswith(first)]
        assert [row.rpartition(" ")[2] for row in rows] == ["faster", "equivalent"][: len(rows)]
        assert len(rows) == len(arms) - 1
        assert max(map(len, rows)) <= 80
    assert "…" not in shown


def test_check_compares_the_answers_and_names_the_machine(tmp_path: Path) -> None:
    done = brisk_here("check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sync and async give the same answers" in done.stdout
    assert "processor" in done.stdout
    assert done.stdout.endswith("the machine is quiet enough\n")


def test_list_shows_arms_profiles_and_scenarios(tmp_path: Path) -> None:
    shown = duel_here("list", cwd=tmp_path).stdout
    for word in ("sync_app.main:create_app", "thorough", "io_bound", "session-dependency"):
        assert word in shown


def test_an_arm_that_does_not_start_ends_the_run_with_its_cause(tmp_path: Path, unseeded: None) -> None:
    arms = ["--arm", "good=odd:counting", "--arm", "bad=broken:app", "--app-dir", str(APPS)]
    done = brisk_here("run", "-s", "ping", "--rounds", "1", *arms, cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "arm 'bad' (broken:app) did not start" in done.stderr
    assert "No module named 'a_package_that_nobody_has'" in done.stderr
    assert "Traceback" not in done.stderr.partition("cause:")[0]


def test_serve_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """On a free port, which the first line on stdout names."""
    process = subprocess.Popen(
        [*DUEL, "serve", "async", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    server = psutil.Process(ready["pid"])
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    ends_in_time(server)


def test_serve_gives_an_app_what_a_run_gives_it_and_time_to_end(tmp_path: Path) -> None:
    """Where a signal comes to `duel` alone. The database of the environment is not a run's."""
    left = tmp_path / "left"
    env = {**os.environ, "LASTING": str(left), "DUEL_APP_DATABASE": "postgresql://127.0.0.1/mine"}
    process = subprocess.Popen(
        [*DUEL, "serve", "one=starting:lasting", "--app-dir", str(APPS), "--port", "0"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    server = psutil.Process(json.loads(process.stdout.readline())["pid"])
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    ends_in_time(server)
    assert left.read_text() == "in a file"


def ends_in_time(process: psutil.Process) -> None:
    deadline = time.monotonic() + 20
    while at_work(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not at_work(process)


def test_check_requests_what_a_foreign_pair_publishes_and_names_the_request_that_differs(
    tmp_path: Path, unseeded: None
) -> None:
    """Values that change with every response, such as the time, are no difference between arms."""
    arms = ("--app-dir", str(APPS), "--arm", "before=shop:before")
    same = brisk_here("check", *arms, "--arm", "again=shop:before", cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert "before and again give the same answers to 2 requests" in same.stdout
    differing = brisk_here("check", *arms, "--arm", "after=shop:after", cwd=tmp_path)
    assert differing.returncode == 5
    assert "arms 'before' and 'after' answer GET /items/999999 differently" in differing.stderr
    assert "after: 404" in differing.stderr


def test_a_busy_machine_is_refused_by_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suitability, "IDLE", 1.1)
    monkeypatch.setattr(suitability, "STEAL", 1.0)
    busy = suitability.disturbances(0.05)
    found = Fitness(scripted.MACHINE, (), busy, None, Compared(requests=0), {})
    with pytest.raises(Disturbed, match="busy before any load: a measurement would be invalid") as caught:
        check_quiet(found)
    assert caught.value.exit_code == Exit.INVALID
    check_quiet(replace(found, disturbances=()))


@pytest.mark.parametrize(
    ("arm", "why", "way"),
    [
        ("broken:app", "No module named 'a_package_that_nobody_has'", "install a_package_that_nobody_has"),
        ("nosuch:app", "there is no module 'nosuch'", "--app-dir PATH"),
        ("odd:counting,python=/nowhere/python", "there is no such program", "--python PATH"),
    ],
)
def test_check_says_what_an_arm_lacks_and_how_to_give_it(
    arm: str, why: str, way: str, tmp_path: Path, unseeded: None
) -> None:
    done = duel_here("check", "--app-dir", str(APPS), "--arm", f"a={arm}", cwd=tmp_path)
    assert done.returncode == Exit.USAGE, done.stderr
    assert why in done.stderr
    assert way in done.stderr
    # The logs of a check are not kept.
    assert ".log" not in done.stderr
    assert "duel check" not in done.stderr


def test_an_app_without_a_document_is_only_started(tmp_path: Path, unseeded: None) -> None:
    done = brisk_here(
        "check", "--app-dir", str(APPS), "--arm", "a=odd:counting", "--arm", "b=odd:counting", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "a and b start" in done.stdout


def test_a_run_under_nohup_outlives_its_terminal() -> None:
    code = (
        "import signal; from loadtests.system.signals import ENDING, end_in_order; "
        "signal.signal(signal.SIGHUP, signal.{}); end_in_order(); "
        "print([signal.getsignal(each) is signal.SIG_IGN for each in ENDING])"
    )
    for before, ignored in (("SIG_IGN", True), ("SIG_DFL", False)):
        command = [sys.executable, "-c", code.format(before)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() == str([False, False, ignored])


def test_serve_does_not_pass_on_the_exit_code_of_an_app_as_its_own(tmp_path: Path) -> None:
    """uvicorn's 3, an app that does not start, is a breached gate here."""
    done = duel_here(
        "serve", "one=starting:needs_variable_late", "--app-dir", str(APPS), "--port", "0", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "the server of one ended with exit code" in done.stderr
