"""Whether the advice holds, in words."""

from __future__ import annotations

from loadtests.records import Arm, Run
from reports.advice.proving.proof import AgainstArm, CellProof, EndpointProof, Proof, ProofWord
from reports.advice.proving.table import RouteTable
from reports.analysis.catalogue import is_twin, style
from reports.wording import units
from reports.wording.units import counted

WORDS: dict[ProofWord, str] = {
    "better": "better than either arm, and worse in no cell that is decided",
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


def proof_title(proof: Proof, run: Run) -> str:
    """``follow the advice: 8 routes `def`, 12 `async def`: better than either arm``."""
    named = {arm.name: arm for arm in run.plan.arms}
    how = [written(named[name]) for name in proof.arms]
    mine, rest = proof.routes
    others = f"{rest} {how[1]}" if rest else f"all others {how[1]}"
    return f"follow the advice: {counted(mine, 'route')} {how[0]}, {others}: {WORDS[proof.word]}"


def written(arm: Arm) -> str:
    """How an arm's routes are written, or whose they are."""
    return f"`{style(arm)}`" if is_twin(arm) else f"as in {arm.name}"


def proof_lines(proof: Proof, run: Run) -> list[str]:
    """What each cell shows, then the routes whose advice failed."""
    lines = [cell_line(one, proof) for one in proof.cells]
    failed = [(cell, one) for cell in proof.cells for one in cell.endpoints if one.better is not None]
    lines += [failed_line(cell, one, proof, run) for cell, one in failed]
    lines += [f"{cell}: no round counts" for cell in proof.not_measured]
    if proof.word in ("worse", "equal") and not failed:
        lines.append(
            "no route is significantly slower than in the better arm: none of the advice failed by itself"
        )
    return lines


def cell_line(cell: CellProof, proof: Proof) -> str:
    """`mixed at 64 users: serves 1,210/s; ×1.21 (1.10–1.33) of the 1,000/s of all-async: better; …; a light
    request waits 9.12 ms instead of 160 ms (all-async) and 31.0 ms (all-sync)`."""
    said = [f"serves {units.rate(cell.served[proof.hybrid])}"]
    said += [beside_text(one, cell) for one in cell.beside]
    known = [(one.arm, cell.waits[one.arm]) for one in cell.beside if cell.waits[one.arm] is not None]
    mine = cell.waits[proof.hybrid]
    if mine is not None and known and cell.light is not None:
        kind, part = cell.light
        light = "an `async def` neighbour" if kind == "pulse" else "a light request"
        others = " and ".join(f"{units.duration(wait)} (all-{arm})" for arm, wait in known)
        said.append(f"{light} waits {units.duration(mine)} instead of {others} (p{part * 100:.0f})")
    return f"{cell.cell}: {'; '.join(said)}"


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
        said, how = "slower beside the other routes of the hybrid, and not by its own style", "there"
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
