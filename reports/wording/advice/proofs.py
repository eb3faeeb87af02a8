"""Whether the advice holds, in words."""

from __future__ import annotations

from loadtests.records import Arm, Plan, Run
from reports.advice.proving.after import NothingToMix
from reports.advice.proving.proof import AgainstArm, CellProof, EndpointProof, Proof, ProofWord
from reports.advice.proving.table import RouteTable
from reports.analysis.catalogue import is_twin, style
from reports.wording import units
from reports.wording.plans import plan_text
from reports.wording.units import counted

WORDS: dict[ProofWord, str] = {
    "better": "better than either arm",
    "equal": "no better than the arms",
    "worse": "worse than an arm",
    "not-decided": "not decided whether it is better",
}


def table_text(table: RouteTable) -> str:
    """`the advice: sync answers 12 routes, async 8 and all others; contested: GET /users`."""
    one, default = table.arms
    mine, rest = (len(routes) for routes in table.routes)
    contested = f"; advised both ways: {units.listed(table.contested)}" if table.contested else ""
    return f"the advice: {one} answers {counted(mine, 'route')}, {default} {rest} and all others{contested}"


def following_text(table: RouteTable, plan: Plan) -> str:
    """What will be measured to see whether the advice holds, and how long it takes."""
    return f"{table_text(table)}\n{plan_text(plan)}"


def proof_title(proof: Proof, run: Run) -> str:
    """``follow the advice: 8 routes `def`, 12 `async def`: better than either arm; mixed at 64 users: serves
    ×1.21 (1.10–1.33) of all-async, ×1.10 (1.02–1.19) of all-sync; an `async def` neighbour waits 9.12 ms
    instead of 160 ms (all-async) and 31.0 ms (all-sync) (p95)``."""
    named = {arm.name: arm for arm in run.plan.arms}
    how = [written(named[name]) for name in proof.arms]
    mine, rest = proof.routes
    others = f"{rest} {how[1]}" if rest else f"all others {how[1]}"
    said = [f"follow the advice: {counted(mine, 'route')} {how[0]}, {others}: {WORDS[proof.word]}"]
    if proof.word in ("worse", "equal") and proof.misadvised:
        said.append(f"the advice failed for {units.listed(proof.misadvised)}")
    if proof.telling is not None:
        said.append(f"{proof.telling.cell}: {share_text(proof.telling)}")
        said += light_text(proof.telling, proof)
    return "; ".join(said)


def unmixed_text(found: NothingToMix, run: Run) -> str:
    """``follow the advice: all 4 advised routes are `async def`: that is async, already measured``."""
    named = {arm.name: arm for arm in run.plan.arms}
    if not found.routes:
        return "follow the advice: no card is decided yet, so there is nothing to follow"
    which = "the only advised route is" if found.routes == 1 else f"all {found.routes} advised routes are"
    how = written(named[found.arm])
    return f"follow the advice: {which} {how}: that is {found.arm}, already measured"


def written(arm: Arm) -> str:
    """How an arm's routes are written, or whose they are."""
    return f"`{style(arm)}`" if is_twin(arm) else f"as in {arm.name}"


def proof_lines(proof: Proof, run: Run) -> list[str]:
    """What each cell shows, then the routes whose advice failed, then what this does not rest on."""
    lines = [cell_line(one, proof) for one in proof.cells]
    lines += [failed_line(cell, one, proof, run) for cell, one in proof.failed]
    lines += [f"{cell}: no round counts" for cell in proof.not_measured]
    if proof.word in ("worse", "equal") and not proof.failed:
        lines.append(
            "no route is significantly slower than in the better arm: none of the advice failed by itself"
        )
    if not proof.complete:
        lines.append("this was interrupted: `duel resume` continues it")
    if proof.changed:
        routes = units.listed(proof.changed)
        lines.append(f"the advice for {routes} has changed since this was measured: run `duel prove` again")
    if proof.apart:
        lines.append(
            "rounds, warnings and charts of this: followed/report/report.html in the run's directory"
        )
    return lines


def cell_line(cell: CellProof, proof: Proof) -> str:
    """`mixed at 64 users: serves 1,210/s; ×1.21 (1.10–1.33) of the 1,000/s of all-async: better; …; a light
    request waits 9.12 ms instead of 160 ms (all-async) and 31.0 ms (all-sync)`."""
    said = [f"serves {units.rate(cell.served[proof.hybrid])}"]
    said += [beside_text(one, cell) for one in cell.beside]
    return f"{cell.cell}: {'; '.join([*said, *light_text(cell, proof)])}"


def share_text(cell: CellProof) -> str:
    """`serves ×1.21 (1.10–1.33) of all-async, ×1.10 (1.02–1.19) of all-sync`; of what is not known
    `throughput against all-sync: undecided`."""
    shares, undecided = [], []
    for one in cell.beside:
        metric = units.METRIC_NAMES[one.metric]
        if one.ratio is None:
            undecided.append(f"{metric} against all-{one.arm}: undecided")
        else:
            bounds = units.interval(one.ratio.low, one.ratio.high)
            of = f"all-{one.arm}" if one.metric == "throughput" else f"all-{one.arm}'s {metric}"
            shares.append(f"{units.ratio(one.ratio.ratio)} ({bounds}) of {of}")
    verb = "serves" if all(one.metric == "throughput" for one in cell.beside) else "has"
    return ", ".join([*([f"{verb} {', '.join(shares)}"] if shares else []), *undecided])


def light_text(cell: CellProof, proof: Proof) -> list[str]:
    """`an async def neighbour waits 9.12 ms instead of 160 ms (all-async) (p95)`, where that was measured."""
    known = [(one.arm, cell.waits[one.arm]) for one in cell.beside if cell.waits[one.arm] is not None]
    mine = cell.waits[proof.hybrid]
    if mine is None or not known or cell.light is None:
        return []
    kind, part = cell.light
    light = "an `async def` neighbour" if kind == "pulse" else "a light request"
    others = " and ".join(f"{units.duration(wait)} (all-{arm})" for arm, wait in known)
    return [f"{light} waits {units.duration(mine)} instead of {others} (p{part * 100:.0f})"]


def beside_text(one: AgainstArm, cell: CellProof) -> str:
    """`×1.21 (1.10–1.33) of the 1,000/s of all-async: better`."""
    than = f"the {units.rate(cell.served[one.arm])} of all-{one.arm}"
    if one.ratio is None:
        return f"not decided against {than}"
    bounds = f"{units.ratio(one.ratio.ratio)} ({units.interval(one.ratio.low, one.ratio.high)})"
    if one.metric != "throughput":
        than = f"all-{one.arm}'s {units.METRIC_NAMES[one.metric]}"
    return f"{bounds} of {than}: {one.word.replace('-', ' ')}"


def failed_line(cell: CellProof, one: EndpointProof, proof: Proof, run: Run) -> str:
    """``mixed, hash: its advice failed: p95 380 ms as `def`, 240 ms in all-async (×1.58, 1.31–1.90)``."""
    arm = next((arm for arm in run.plan.arms if arm.name == one.answered_by), None)
    if arm is None:
        said, how = "slower in the hybrid", "there"
    elif arm.name == one.better:
        said, how = "slower because of the hybrid's other routes, not its own style", "there"
    else:
        said, how = "its advice failed", f"as {written(arm)}" if is_twin(arm) else written(arm)
    mine, theirs = (units.duration(one.p95.get(name)) for name in (proof.hybrid, one.better or ""))
    where = f"{cell.cell.scenario}, {one.endpoint}"
    bounds = ""
    if one.ratio is not None:
        bounds = f" ({units.ratio(one.ratio.ratio)}, {units.interval(one.ratio.low, one.ratio.high)})"
    return f"{where}: {said}: p95 {mine} {how}, {theirs} in all-{one.better}{bounds}"


def proof_head(proof: Proof) -> list[str]:
    """Of the table of endpoints: see `proof_rows`."""
    return ["cell", "endpoint", "answered by", *(f"p95 {arm}" for arm in (proof.hybrid, *proof.arms))]


def proof_rows(proof: Proof) -> list[list[str]]:
    """The p95 of every endpoint in the hybrid and in both arms."""
    names = (proof.hybrid, *proof.arms)
    return [
        [
            str(cell.cell), one.endpoint, one.answered_by or units.NONE,
            *(units.duration(one.p95.get(name)) for name in names),
        ]
        for cell in proof.cells for one in cell.endpoints
    ]  # fmt: skip
