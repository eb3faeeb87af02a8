"""Any text in any input: a plan or one clear error, never anything else."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loadtests.errors import PlanError
from loadtests.plan.addresses import check_target
from loadtests.plan.arms import parse_arm, swept
from loadtests.plan.building import build_plan
from loadtests.plan.settings import DECLARED, settle
from reports.analysis.thresholds import ThresholdError, check, parse
from tests import scripted
from tests.generated import TEXTABLE

ROOT = Path(__file__).parent.parent
NOWHERE = Path("/dev/null")
WORDS = st.sampled_from(
    ["sync", "async", "a=sync", "a=m:app", ",threads=", "40", ",env.A=b", "=", ",", ":", "http://",
     "127.0.0.1", "[::1]", "\x00", "\n", "-1", "1e9", "nan", "∞", "posts.read", "users",
     "{", "}", "p(95)<", "<", "rate"]
)  # fmt: skip
TEXTS = st.one_of(st.text(TEXTABLE, max_size=60), st.lists(WORDS, max_size=8).map("".join))
VALUES: st.SearchStrategy[Any] = st.one_of(
    TEXTS, st.integers(), st.floats(), st.booleans(), st.lists(TEXTS, max_size=3), st.none(),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
)  # fmt: skip
QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(st.dictionaries(st.one_of(st.sampled_from([*DECLARED]), TEXTS), VALUES, max_size=4))
@example({"users": float("nan")})
@example({"rounds": float("inf")})
@example({"database": "postgresql://[::1"})
@example({"arm": ["a=http://127.0.0.1:99999", "b=sync"]})
@example({"thresholds": {"": "x"}})
@example({"seed": 2**70})
@example({"locust-arg": 0})
@example({"locust-arg": ""})
def test_any_configuration_is_a_plan_or_one_clear_error(flags: dict[str, Any]) -> None:
    for name in ("base-ref", "base_ref"):
        flags.pop(name, None)
    with contextlib.suppress(PlanError):
        made = build_plan(settle(flags, {}, NOWHERE).settings)
        assert made.cells
        with contextlib.suppress(ThresholdError):
            check(parse(made.thresholds), made)


@QUICK
@given(TEXTS)
@example("a=")
@example("=")
@example("a=m:app,env.=")
@example("a=m:app,cwd=\x00")
def test_any_arm_is_an_arm_or_one_clear_error(text: str) -> None:
    with contextlib.suppress(PlanError):
        arm = parse_arm(text, ".")
        assert arm.name
        with contextlib.suppress(PlanError):
            swept([arm], [text])


@QUICK
@given(TEXTS.map(lambda text: f"http://{text}"))
@example("http://[")
@example("http://127.0.0.1:port")
@example("http://127.0.0.1\x00.example")
@example("http://" + "a" * 300)
def test_any_address_is_refused_or_on_this_machine(text: str) -> None:
    with contextlib.suppress(PlanError):
        check_target(text.replace("\n", "%"))


@QUICK
@given(TEXTS, st.lists(TEXTS, max_size=2))
def test_any_threshold_is_valid_or_one_clear_error(key: str, expressions: list[str]) -> None:
    with contextlib.suppress(ThresholdError):
        check(parse({key: tuple(expressions)}), scripted.plan())


def test_any_bytes_that_a_server_sends_are_an_answer_or_one_failure_at_any_fragmentation() -> None:
    """In a child process, since Locust patches sockets."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzzed_client"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
