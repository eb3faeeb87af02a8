"""Where servers and generator ran, and what more CPUs would show, in words."""

from __future__ import annotations

from loadtests.records import Cell, Run, ServerCpus
from reports.analysis.cores import CrowdedWorkers, OneCore
from reports.wording.units import counted, listed

UNBOUND = "processes not bound to CPUs"


def cpus_text(cpus: ServerCpus) -> str:
    """`server on 1 CPU`; `server on 2 CPUs, shared with a light generator`."""
    if not cpus.numbers:
        return UNBOUND
    shared = ", shared with a light generator" if cpus.shared else ""
    return f"server on {counted(len(cpus.numbers), 'CPU')}{shared}"


def by_cells(run: Run) -> dict[ServerCpus, list[Cell]]:
    """The cells that were measured, by where their servers ran."""
    found: dict[ServerCpus, list[Cell]] = {}
    for cell in run.plan.cells:
        if any(run.of(cell, arm.name) for arm in run.plan.arms):
            found.setdefault(run.server_cpus(cell), []).append(cell)
    return found


def all_external(run: Run) -> bool:
    """Whether others started all servers."""
    return all(arm.url is not None for arm in run.plan.arms)


def servers_text(run: Run) -> str:
    """`server on 1 of them`; where its place differs by cell: `server on 1 of them; on 2 of them in hash`. Of
    external servers that is not known."""
    if all_external(run):
        return "external servers"
    found = by_cells(run)
    own = run.machine.placement.get("server", ())
    if not own:
        return UNBOUND
    counts: dict[int, list[str]] = {}
    for cpus, cells in found.items():
        counts.setdefault(len(cpus.numbers), []).extend(cell.scenario for cell in cells)
    if len(counts) <= 1:
        return f"server on {next(iter(counts), len(own))} of them"
    parts = [f"on {number} of them in {listed([*dict.fromkeys(names)])}" for number, names in counts.items()]
    return f"server {'; '.join(parts)}"


def placement_rows(run: Run) -> list[tuple[str, str]]:
    """Which CPUs each process had, by number, without external servers; a second line for cells whose servers
    had others."""
    own = {
        who: cpus for who, cpus in run.machine.placement.items() if who != "server" or not all_external(run)
    }
    placed = ", ".join(f"{who} on CPU {', '.join(map(str, cpus))}" for who, cpus in own.items())
    rows = [("placement", placed or "none: processes cannot be bound to CPUs on that machine")]
    for cpus, cells in by_cells(run).items():
        if cpus.shared:
            where = f"server on CPU {', '.join(map(str, cpus.numbers))}, beside a light generator"
            rows.append(("placement in some cells", f"{where}: {', '.join(map(str, cells))}"))
    return rows


def cores_text(one: OneCore | CrowdedWorkers) -> str:
    """What more CPUs would show."""
    match one:
        case OneCore():
            return "this work releases the GIL and the server had one core: with more, threads could gain"
        case CrowdedWorkers(arm, workers, cpus):
            return (
                f"{arm} has {workers} workers on {counted(cpus, 'CPU')}: what they would gain on more "
                "CPUs is not measured here"
            )
