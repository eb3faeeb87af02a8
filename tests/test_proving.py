"""Following the advice of a run: the routes that its cards name, the plan that measures them, the outcome."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.errors import PlanError
from loadtests.load import __file__ as load_package
from loadtests.measure.proving import proof_plan, proof_settings
from loadtests.measure.runs import limited
from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.plan.cells import Cell, Load
from loadtests.plan.hybrids.parsing import joined
from loadtests.plan.hybrids.proofs import time_left
from loadtests.plan.plan import LocustFile
from loadtests.plan.settings import DEFAULTS
from loadtests.records import AnswerCheck, AnsweringRoute
from loadtests.records.run import Run
from reports.advice.cards import Advice, Card
from reports.advice.proving.after import NothingToMix, nothing_to_mix
from reports.advice.proving.proof import Proof, ProofWord, doubted, judged, proof
from reports.advice.proving.table import route_table
from reports.advice.rule import Bounds
from reports.analysis.bottlenecks import Bottleneck, LoopLate
from reports.analysis.catalogue import ROUTES, http_client
from reports.analysis.readings import Readings
from reports.analysis.statistics import Interval
from reports.analysis.verdicts import VerdictWord
from reports.conclusions import Conclusions, conclude
from reports.render import markdown, terminal
from reports.render.report_directory import write
from reports.render.summary import summary
from reports.wording.advice.proofs import proof_lines, proof_title, share_text
from tests import scripted
from tests.scripted import Scripted

TWINS = (BUILT_IN["sync"], BUILT_IN["async"])
HYBRID = joined("hybrid", TWINS, (("GET /python", "GET /hash"), ("GET /ping",)))


def test_each_endpoint_of_the_catalogue_names_the_route_that_its_users_request() -> None:
    tree = ast.parse(Path(load_package).with_name("endpoints.py").read_text())
    requested = {}
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        source = ast.unparse(function)
        called = re.search(r"client\.(\w+)\((.+?), name='([^']+)'", source)
        assert called is not None, function.name
        method, path, name = called.groups()
        text = source.partition("path = ")[2] if path == "path" else path
        written = re.match(r"f?'([^']+)'", text)
        assert written is not None, function.name
        requested[name] = f"{method.upper()} {re.sub(r'{[^}]*}', '{}', written[1])}"
    assert {name: re.sub(r"{[^}]*}", "{}", route) for name, route in ROUTES.items()} == requested


def concluded(tmp_path: Path, scripts: Mapping[str, tuple[int, int]]) -> Conclusions:
    """A run with these requests of sync and async, by scenario."""
    plan = scripted.plan(cells=[(name, 64) for name in scripts])

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        served = scripts[cell.scenario]
        return Scripted(requests=served[arm == "async"] + round)

    run, directory = scripted.run(tmp_path, plan, script)
    return conclude(run, Readings(directory))


def test_the_table_has_the_routes_of_every_card_that_prefers_an_arm(tmp_path: Path) -> None:
    found = concluded(
        tmp_path, {"python": (800, 400), "users.create": (700, 400), "ping": (400, 800), "file": (400, 401),
                   "mixed": (400, 800)},
    )  # fmt: skip
    table = route_table(found.run, found.cards)
    assert table.arms == ("sync", "async")
    assert table.routes == (("GET /python", "POST /users"), ("GET /ping",))


def test_advice_that_names_no_style_is_followed_where_it_says_which_arm_does_it(tmp_path: Path) -> None:
    """What to off-load is given to the arm whose event loop does not wait for it."""
    found = concluded(tmp_path, {"blocking": (400, 800), "ping": (400, 800)})
    stalls = {"sync": (), "async": (Bottleneck("event-loop", LoopLate(True, 0.1, None)),)}
    first, second = found.cards
    offload = replace(first, advice=Advice("offload"), limits=stalls)
    either = replace(second, advice=Advice("either"))
    assert route_table(found.run, [offload, either]).routes == (("GET /pitfalls/blocking",), ())


def test_a_run_without_advice_for_both_arms_proves_nothing(tmp_path: Path) -> None:
    found = concluded(tmp_path, {"ping": (400, 800)})
    with pytest.raises(PlanError, match="advises sync for no route"):
        route_table(found.run, found.cards)
    alone = found.run.model_copy(update={"plan": scripted.plan(arms=("sync",))})
    with pytest.raises(PlanError, match="does not compare two apps"):
        route_table(alone, ())


def test_only_cards_of_the_two_arms_that_would_be_mixed_decide_whether_there_is_a_mixture(
    tmp_path: Path,
) -> None:
    """A third arm loses to the first one: that leaves nothing to mix, and the report says so."""
    found = concluded(tmp_path, {"ping": (400, 800)})
    run = found.run.model_copy(update={"plan": found.run.plan.model_copy(update={"proof_time": 60.0})})
    (card,) = found.cards
    third = replace(card_for(card, "python", "sync"), arm="third")
    assert nothing_to_mix(run, [card, third]) == NothingToMix("async", 1)
    assert nothing_to_mix(run, [card, replace(third, arm="async")]) is None


def own_run(found: Conclusions, routes: Sequence[tuple[str, str, str, str]]) -> Run:
    """The run as one of own users: arm, scenario, method and path of the routes that answered them."""
    told = tuple(
        AnsweringRoute(
            arm=arm, scenario=scenario, endpoint=path, path=path, method=method, file="/a.py", line=1
        )
        for arm, scenario, method, path in routes
    )
    users = LocustFile(file="/users.py", digest="0")
    plan = found.run.plan.model_copy(update={"locustfile": users})
    check = AnswerCheck(requests=1, endpoints=(), routes=told)
    return found.run.model_copy(update={"plan": plan, "answers": check})


def card_for(card: Card, scenario: str, arm: str) -> Card:
    return replace(card, scenario=scenario, advice=Advice("arm", arm))


def test_own_scenarios_name_the_routes_that_answered_them(tmp_path: Path) -> None:
    found = concluded(tmp_path, {"ping": (400, 800)})
    run = own_run(found, [
        ("sync", "Reader", "GET", "/items/{id}"), ("sync", "Reader", "GET", "/both"),
        ("async", "Writer", "POST", "/items"), ("async", "Writer", "GET", "/both"),
    ])  # fmt: skip
    (card,) = found.cards
    table = route_table(run, [card_for(card, "Reader", "sync"), card_for(card, "Writer", "async")])
    assert table.routes == (("GET /items/{id}",), ("POST /items",))
    assert table.contested == ("GET /both",)


def test_the_proof_measures_the_hybrid_beside_both_arms_on_the_mixtures(tmp_path: Path) -> None:
    found = concluded(tmp_path, {"python": (800, 400), "ping": (400, 800)})
    twins = found.run.plan.model_copy(update={"arms": TWINS})
    run = found.run.model_copy(update={"plan": twins})
    plan = proof_plan(run, ("sync", "async"), (("GET /python",), ("GET /ping",)), DEFAULTS)
    assert [arm.name for arm in plan.arms] == ["hybrid", "sync", "async"]
    assert [cell.key for cell in plan.cells] == ["io_bound@64", "cpu_bound@64", "mixed@64"]
    assert (plan.reference.app, plan.reference.hybrid and plan.reference.hybrid.routes) == (
        BUILT_IN["async"].app, ("GET /python",),
    )  # fmt: skip
    assert plan.max_time is not None


def test_a_proof_of_own_users_measures_their_scenarios_at_the_highest_load(tmp_path: Path) -> None:
    found = concluded(tmp_path, {"ping": (400, 800)})
    run = own_run(found, [])
    loads = [("Reader", users) for users in (8, 64, 1)]
    cells = tuple(Cell(scenario=name, load=Load(users=users)) for name, users in (*loads, ("Single", 8)))
    arms = tuple(Arm(name=name, app=f"shop:{name}") for name in ("before", "after"))
    plan = run.plan.model_copy(update={"cells": cells, "arms": arms})
    # Of two scenarios one requests several endpoints.
    several = scripted.trial(Scripted(endpoints=("a", "b")), 1, 0, 0, cells[0], "before")
    single = scripted.trial(Scripted(), 2, 0, 0, Cell(scenario="Single", load=Load(users=8)), "before")
    run = run.model_copy(update={"trials": (several, single)})
    # The file of its users is gone.
    with pytest.raises(PlanError, match=r"other code: /users\.py"):
        proof_plan(run.model_copy(update={"plan": plan}), ("before", "after"), (("/a",), ()), DEFAULTS)
    (tmp_path / "users.py").write_text("")
    users = LocustFile(file=str(tmp_path / "users.py"), digest=EMPTY)
    plan = plan.model_copy(update={"locustfile": users})
    run = run.model_copy(update={"plan": plan})
    made = proof_plan(run, ("before", "after"), (("/a",), ()), DEFAULTS)
    assert [cell.key for cell in made.cells] == ["Reader@64"]
    with pytest.raises(PlanError, match="no scenario of run scripted requests several endpoints"):
        proof_plan(run.model_copy(update={"trials": (single,)}), ("before", "after"), (("/a",), ()), DEFAULTS)


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of an empty file."""


def interval(low: float, high: float) -> Interval:
    return Interval((low * high) ** 0.5, low, high, 6)


GAINED, LOST = (1.2, 1.4), (0.6, 0.9)
"""What the hybrid serves ÷ what the arm serves: both ends."""

SAME, SHORTER, LONGER = interval(0.9, 1.1), interval(0.1, 0.4), interval(2.5, 9.0)


@pytest.mark.parametrize(
    ("gain", "speed", "waits", "seconds", "word"),
    [
        # What is served decides where light requests wait alike.
        (GAINED, "better", SAME, (0.1, 0.1), "better"),
        (LOST, "worse", SAME, (0.1, 0.1), "worse"),
        ((0.97, 1.04), "equal", SAME, (0.1, 0.1), "equal"),
        ((0.8, 1.3), "not-decided", SAME, (0.1, 0.1), "not-decided"),
        # They wait much less: worth a loss, unless less than half is left, or may be.
        (LOST, "worse", SHORTER, (0.009, 0.160), "better"),
        ((0.3, 0.45), "worse", SHORTER, (0.009, 0.160), "worse"),
        ((0.42, 0.58), "worse", SHORTER, (0.035, 0.255), "not-decided"),
        # The same, but no one notices it.
        (LOST, "worse", SHORTER, (0.001, 0.005), "worse"),
        # They wait much longer: not worth a gain, unless it more than doubles, or may.
        (GAINED, "better", LONGER, (0.160, 0.030), "worse"),
        ((2.2, 2.4), "better", LONGER, (0.160, 0.030), "better"),
        ((1.7, 2.3), "better", LONGER, (0.160, 0.030), "not-decided"),
        # Nothing is known of them, or of one side of what is served.
        (GAINED, "better", None, (None, None), "better"),
        ((None, None), "not-decided", SHORTER, (0.009, 0.160), "not-decided"),
        ((None, 0.9), "worse", SHORTER, (0.009, 0.160), "not-decided"),
        ((1.7, None), "better", LONGER, (0.160, 0.030), "not-decided"),
    ],
)
def test_the_hybrid_is_judged_by_what_it_serves_and_by_what_others_wait(
    gain: Bounds,
    speed: ProofWord,
    waits: Interval | None,
    seconds: tuple[float | None, float | None],
    word: str,
) -> None:
    assert judged(gain, waits, seconds, speed) == word


TWO_ENDPOINTS = ("ping", "hash")


def proved(tmp_path: Path, **scripts: Scripted) -> tuple[Conclusions, Proof]:
    """A run of the hybrid, `sync` and `async` on one mixture."""
    return proof_of(tmp_path, scripts)


def proof_of(
    tmp_path: Path,
    scripts: Mapping[str, Scripted],
    arms: Sequence[Arm] = (HYBRID, *TWINS),
    endpoints: tuple[str, ...] = TWO_ENDPOINTS,
    busy: Sequence[int] = (),
) -> tuple[Conclusions, Proof]:
    """The same, with these arms and endpoints; in the rounds `busy`, the generator is."""
    plan = scripted.plan(cells=[("mixed", 64)], rounds=6).model_copy(update={"arms": tuple(arms)})

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        told = scripts[arm.replace("async", "other")]
        used = 1.0 if round in busy else told.generator_cpu
        return replace(told, requests=told.requests + 3 * round, endpoints=endpoints, generator_cpu=used)

    run, directory = scripted.run(tmp_path, plan, script)
    concluded = conclude(run, Readings(directory))
    assert concluded.proof is not None
    return concluded, concluded.proof


BETTER = {
    "hybrid": Scripted(requests=1200, canary=0.009),
    "sync": Scripted(requests=1000, canary=0.030),
    "other": Scripted(requests=1000, canary=0.160),
}


def test_a_hybrid_that_serves_more_and_lets_others_wait_less_is_better(tmp_path: Path) -> None:
    concluded, found = proved(tmp_path, **BETTER)
    assert found.word == "better"
    title = (
        "follow the advice: 2 routes `def`, 1 `async def`: better than either arm; mixed at 64 users: "
        "serves ×1.20 (1.20–1.20) of all-sync, ×1.20 (1.20–1.20) of all-async; a light request waits 9.46 ms "
    )
    (line,) = proof_lines(found, concluded.run)
    assert proof_title(found, concluded.run).startswith(title)
    assert line.startswith(
        "mixed at 64 users: serves 1,208/s; ×1.20 (1.20–1.20) of the 1,008/s of all-sync: better; "
    )
    assert "a light request waits 9.46 ms instead of 31.5 ms (all-sync) and 168 ms (all-async) (p75)" in line


def test_a_share_that_is_not_known_is_undecided(tmp_path: Path) -> None:
    _, found = proved(tmp_path, **BETTER)
    assert found.telling is not None
    known, unknown = found.telling.beside
    half = replace(found.telling, beside=(known, replace(unknown, ratio=None)))
    assert share_text(half) == "serves ×1.20 (1.20–1.20) of all-sync, throughput against all-async: undecided"
    none = replace(found.telling, beside=(replace(unknown, ratio=None),))
    assert share_text(none) == "throughput against all-async: undecided"


def test_the_outcome_is_the_first_thing_that_a_report_says(tmp_path: Path) -> None:
    concluded, found = proved(tmp_path, **BETTER)
    title = proof_title(found, concluded.run)
    text = markdown.report(concluded)
    assert text.startswith("# The advice, followed")
    assert title.replace("`", "") in text.replace("`", "")
    console = Console(width=140, record=True, file=StringIO())
    terminal.show(console, concluded)
    assert " ".join(console.export_text().split()).startswith(title)
    told = summary(concluded)["proof"]
    assert (told["outcome"], told["routes"]) == ("better", {"sync": 2, "async": 1})
    assert {one["endpoint"] for one in told["cells"][0]["endpoints"]} == {"ping", "hash"}
    write(concluded)
    page = (concluded.readings.directory.report / "report.html").read_text()
    assert page.index("The advice, followed") < page.index("What to write, and why")


def test_a_hybrid_that_is_not_better_names_the_route_whose_advice_failed(tmp_path: Path) -> None:
    """`hash` is answered as `def`, and is slower than in the async arm."""
    concluded, found = proved(
        tmp_path,
        hybrid=Scripted(requests=1000, slower=(1.0, 4.0)),
        sync=Scripted(requests=1000, slower=(1.0, 4.0)),
        other=Scripted(requests=1400, slower=(1.0, 2.0)),
    )
    assert found.word == "worse"
    _, failed = proof_lines(found, concluded.run)
    assert failed.startswith("mixed, hash: its advice failed: p95 40.0 ms as `def`, 20.0 ms in all-async (×2")
    assert "worse than an arm; the advice failed for hash; mixed" in proof_title(found, concluded.run)
    assert found.misadvised == ("hash",)


def test_a_hybrid_calls_the_slow_service_with_the_clients_of_its_routes() -> None:
    moved = joined("moved", TWINS, (("/upstream",), ()))
    named = {arm.name: http_client(arm, "upstream") for arm in (HYBRID, moved)}
    assert named == {"hybrid": "httpx.AsyncClient on aiohttp", "moved": "httpx.Client"}
    assert http_client(moved, "mixed") == "httpx.AsyncClient on aiohttp and httpx.Client"


def test_a_hybrid_without_its_arms_beside_it_proves_nothing(tmp_path: Path) -> None:
    plan = scripted.plan().model_copy(update={"arms": (TWINS[0], HYBRID)})
    run, directory = scripted.run(tmp_path, plan, lambda *_: Scripted())
    assert proof(run, Readings(directory), ()) is None


def test_a_hybrid_whose_requests_fail_is_not_better_for_its_speed(tmp_path: Path) -> None:
    concluded, found = proved(tmp_path, **{**BETTER, "hybrid": replace(BETTER["hybrid"], failures=40)})
    assert found.word == "worse"
    verdict = concluded.primaries[0]
    names = ("hybrid", verdict.arm)
    cases: Sequence[tuple[VerdictWord, tuple[str, ...], str]] = (
        ("failing", (verdict.arm,), "better"),
        ("failing", names, "not-decided"),
        ("different", (), "not-decided"),
    )
    for word, failing, expected in cases:
        assert (
            doubted("better", replace(verdict, verdict=word, failing=failing, blemished=()), names)
            == expected
        )
    blemished = replace(verdict, verdict="slower", failing=(), blemished=("hybrid",))
    assert doubted("better", blemished, names) == "not-decided"


def test_a_hybrid_after_its_arms_is_judged_as_carefully_as_one_before_them(tmp_path: Path) -> None:
    """The documented `--arm sync --arm async --arm hybrid=…` has no verdict on hybrid and async: an arm that
    answered a tenth of its requests with quick errors, and served more, was better than the hybrid."""
    failing = replace(BETTER["other"], requests=1500, failures=150, canary=0.009)
    _, found = proof_of(tmp_path, {**BETTER, "other": failing}, (*TWINS, HYBRID))
    assert {one.arm: one.word for one in found.cells[0].beside} == {"sync": "better", "async": "better"}


def test_a_mixture_of_twelve_endpoints_has_a_proof(tmp_path: Path) -> None:
    """There was no boundary for a twelfth of 5%, and no report."""
    names = tuple(f"route-{number}" for number in range(12))
    told = {name: replace(one, requests=12 * one.requests) for name, one in BETTER.items()}
    _, found = proof_of(tmp_path, told, endpoints=names)
    assert {one.endpoint for one in found.cells[0].endpoints} == {*names}


def test_no_route_is_called_misadvised_where_too_many_rounds_are_lost(tmp_path: Path) -> None:
    slow, fast = Scripted(requests=1000, slower=(1.0, 4.0)), Scripted(requests=1400, slower=(1.0, 2.0))
    concluded, found = proof_of(tmp_path, {"hybrid": slow, "sync": slow, "other": fast}, busy=(0, 1))
    assert {one.verdict for one in concluded.primaries} == {"invalid"}
    assert (found.word, found.failed) == ("not-decided", ())


def test_a_run_without_a_round_that_counts_decides_nothing(tmp_path: Path) -> None:
    busy = {name: replace(told, generator_cpu=1.0) for name, told in BETTER.items()}
    concluded, found = proved(tmp_path, **busy)
    assert (found.word, found.cells) == ("not-decided", ())
    assert proof_lines(found, concluded.run) == ["mixed at 64 users: no round counts"]


def test_a_run_and_its_proof_share_one_limit_of_time(tmp_path: Path) -> None:
    """`duel run --max-time 10m` gave the rounds eight minutes, and the proof ten."""
    found = concluded(tmp_path, {"python": (800, 400), "ping": (400, 800)})
    settings = replace(DEFAULTS, max_time=600.0)
    plan = found.run.plan.model_copy(
        update={"arms": TWINS, "proof_time": 120.0, "max_time": 480.0, "deadline": 480.0}
    )
    run = found.run.model_copy(update={"plan": plan})
    routes = (("GET /python",), ("GET /ping",))
    ends = proof_plan(run, ("sync", "async"), routes, proof_settings(settings, found.readings.directory))
    assert (ends.max_time, ends.deadline) == (120.0, 120.0)
    # By itself it has the limit that it is given.
    assert proof_plan(run, ("sync", "async"), routes, settings).deadline == 600.0


def test_a_resumed_run_leaves_time_for_its_proof() -> None:
    plan = scripted.plan().model_copy(update={"proof_time": 360.0})
    resumed = limited(plan, 600.0, proved=False)
    assert resumed.deadline == 480.0
    assert time_left(resumed) == pytest.approx(120.0)
    assert limited(plan, 600.0, proved=True).deadline == 600.0
    assert time_left(limited(plan, None, proved=False)) == 360.0
