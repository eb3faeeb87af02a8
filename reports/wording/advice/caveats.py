"""Warnings about a whole run, in words, each with its remedy."""

from __future__ import annotations

from collections.abc import Mapping

from loadtests.plan.database_url import SERVERS, Backend
from loadtests.records import Apart
from reports.advice.caveats import (
    AheadUnobserved,
    AnswersByOrder,
    AnswersCutOff,
    Caveat,
    DatabaseUsed,
    ExternalServers,
    FewRounds,
    GeneratorHeldUp,
    HandsWorkOn,
    HeavyClient,
    LoadFromElsewhere,
    LoadsNotHeeded,
    ManyNames,
    NoProcessFigures,
    OneByOne,
    PreparationDisturbed,
    RowsApart,
    RunInterrupted,
    SharedCpus,
    ThreadsOverruled,
    ThresholdsSkipped,
    WorkersBeside,
)
from reports.wording import units
from reports.wording.faults import faults_text
from reports.wording.plans import ignored_text, overruled_text
from reports.wording.units import counted, listed

APART: Mapping[Apart, str] = {
    "hooks": "--before-trial or --after-trial may reset what they share",
    "memory": "their servers together would take more than half of the memory available",
    "conflict": "a server does not start beside another one",
    "restless": "a server works on without requests",
    "earlier": "the version of duel that recorded this run always did so",
}
"""Why the arms of a cell are not measured beside one another."""

NAMED = 3
"""Groups of requests that are shown."""


def caveat_text(caveat: Caveat) -> str:
    """A caveat as a sentence without its full stop."""
    match caveat:
        case RunInterrupted():
            return "this run was interrupted: the results rest on the rounds that were finished"
        case ExternalServers():
            return external_text(caveat)
        case LoadFromElsewhere():
            return elsewhere_text(caveat)
        case HandsWorkOn(packages):
            names = " and ".join(f"{arm} ({package})" for arm, package in packages)
            return (
                f"{names}: jobs handed to other processes were not observed; if they pile up there, the "
                "throughput would not last: watch the length of the queue"
            )
        case WorkersBeside(cpus):
            used = " and ".join(f"{arm}'s {units.figures(share)}" for arm, share in cpus)
            return (
                f"jobs were done by workers beside the servers, on other CPUs where there are any: {used} of "
                "a CPU; it is in no figure of an arm's cost"
            )
        case ThresholdsSkipped(keys):
            return f"not judged, since this run does not measure it: {listed([f'`{key}`' for key in keys])}"
        case AheadUnobserved(arm, factor):
            return (
                f"{arm} is {units.figures(factor)} times ahead, and its processes could not be observed: "
                "work may pile up after its responses: check a sustainable rate (--rate)"
            )
        case HeavyClient(scenario, client, cost, share):
            return (
                f"{scenario}: its {client} costs {cost * 1e6:.0f} µs per request, {share:.0%} of the "
                "generator's core, which inflates latencies and makes the arms look more alike: use LeanUser "
                "of loadtests.load.users"
            )
        case FewRounds(rounds, unseen, enough):
            return (
                f"{rounds} rounds cannot show what happens in one launch of five: with a probability of "
                f"{unseen:.0%} it happened in none of them: use --rounds {enough} or more"
            )
        case OneByOne():
            return one_by_one_text(caveat)
        case ManyNames():
            return names_text(caveat)
        case LoadsNotHeeded(ignored):
            return ignored_text(ignored)
        case RowsApart():
            return rows_text(caveat)
        case DatabaseUsed(database):
            return database_text(database)
        case NoProcessFigures():
            return (
                "this platform does not show its processes (/proc, on Linux): CPU time and memory of the "
                "servers are unknown, fewer bottlenecks can be identified, and whether the machine was quiet "
                "was not checked"
            )
        case PreparationDisturbed() | ThreadsOverruled() | AnswersCutOff() | AnswersByOrder():
            return preparation_text(caveat)
        case SharedCpus() | GeneratorHeldUp():
            return cpus_caveat_text(caveat)


def cpus_caveat_text(caveat: SharedCpus | GeneratorHeldUp) -> str:
    """What servers and generator did to each other's CPUs."""
    match caveat:
        case SharedCpus():
            return (
                "server and generator shared their CPUs, since processes cannot be bound to CPUs here: "
                "use a Linux machine with at least two cores"
            )
        case GeneratorHeldUp(cells):
            return (
                f"{listed([str(cell) for cell in cells])}: servers on all CPUs starved the load generator, "
                "so these cells were measured again with separate CPUs for each; with more CPUs, threads "
                "could gain"
            )


def elsewhere_text(caveat: LoadFromElsewhere) -> str:
    """What generators on other machines mean for the figures."""
    hosts = listed([host if number == 1 else f"{host} (×{number})" for host, number in caveat.workers])
    return (
        f"the load came from {hosts}: response times include the network, other work was watched for on the "
        "run's own machine only, and the generators' maximum rate is not known (docs/scale.md)"
    )


def external_text(caveat: ExternalServers) -> str:
    """What is not known of servers that others have started."""
    names = " and ".join(f"{arm} ({host})" for arm, host in caveat.hosts)
    return (
        f"{names}: external servers, the same process in every round, on CPUs of their own choice: the "
        "intervals do not cover differences between two starts of a server, so two equal servers may seem to "
        "differ; what an `async def` neighbour waits is not known either (no pulse), only what the canary's "
        "route does; name the app (NAME=module:attribute) to restart it for every trial"
    )


def one_by_one_text(caveat: OneByOne) -> str:
    """Why arms were not measured beside one another, and what that means."""
    return (
        f"{listed([str(cell) for cell in caveat.cells])}: the arms were measured one after another, each "
        f"with its server alone, since {APART[caveat.why]}: what changed on this machine meanwhile widens "
        "the intervals"
    )


def names_text(caveat: ManyNames) -> str:
    """How many names a scenario's requests have, and how they were grouped."""
    shown = ", ".join(caveat.endpoints[:NAMED]) + (", …" if len(caveat.endpoints) > NAMED else "")
    return (
        f"{caveat.scenario}: its requests have {caveat.names:,} different names, grouped as {shown}: to "
        "group them otherwise, pass name= with each request"
    )


def rows_text(caveat: RowsApart) -> str:
    """Which rows are no requests, and what was done with them."""
    parts, one = [], len(caveat.covering) == 1
    if caveat.covering:
        parts.append(
            f"{listed(caveat.covering)} {'covers' if one else 'cover'} several requests each: "
            f"{'it has' if one else 'they have'} response times of {'its' if one else 'their'} own, and "
            f"{'counts' if one else 'count'} neither as requests nor in the times of all"
        )
    if caveat.untimed:
        counts = (f"{name} ({number:,})" for name, number in caveat.untimed)
        parts.append(f"rows without a response time were counted and left out: {', '.join(counts)}")
    return f"{caveat.scenario}: {'; '.join(parts)}"


def database_text(database: Backend) -> str:
    """To which databases the verdicts do not carry over."""
    if database == "sqlite":
        return (
            "the database was SQLite, whose asynchronous driver is a thread per connection: verdicts on "
            "database endpoints do not carry over to PostgreSQL or MySQL (see --database)"
        )
    return (
        f"{SERVERS[database].title} ran on this machine beside the load generator: a separate server, "
        "farther away, would make both styles wait longer"
    )


def preparation_text(
    caveat: PreparationDisturbed | ThreadsOverruled | AnswersCutOff | AnswersByOrder,
) -> str:
    """What was found before the rounds."""
    match caveat:
        case ThreadsOverruled(arms):
            return overruled_text(arms)
        case AnswersCutOff(scenarios):
            return (
                f"{', '.join(scenarios)}: not all answers were compared before load: some are slow, huge "
                "or endless and were cut off: check that the arms answer them alike"
            )
        case AnswersByOrder(endpoints):
            return (
                f"{listed(endpoints)}: the arm that is asked first answers one way, the arms after it "
                "another, whichever it is: they share state, such as a database, so these answers were not "
                "compared: give each arm its own (copy=PATH), or undo the changes before every trial "
                "(--before-trial)"
            )
        case PreparationDisturbed():
            return disturbed_text(caveat)


def disturbed_text(caveat: PreparationDisturbed) -> str:
    """What was disturbed before the rounds, what depends on it, and why."""
    parts = []
    if caveat.calibrations:
        parts.append(f"{counted(caveat.calibrations, 'calibration')} (predicted throughputs may be off)")
    if caveat.ceilings:
        parts.append(f"the generator's maximum rate in {', '.join(caveat.ceilings)} (may be too low)")
    why = faults_text(caveat.faults)
    return f"disturbed before the rounds in every attempt: {' and '.join(parts)}: {why}"
