"""What was seen while an app was asked, in words."""

from __future__ import annotations

from collections.abc import Mapping

from reports.advice.driven import Driven, Missed, SeenLine
from reports.wording.units import counted, duration, listed

LISTED = 4
"""Routes that were not reached for one reason, named in the terminal."""

SEEN_WHY = "no other request is answered meanwhile"

EVIDENCE: Mapping[str, str] = {"read": "read", "seen": "seen", "both": "read and seen"}

WHY_MISSED: Mapping[Missed, str] = {
    "writes": "not sent without --writes",
    "socket": "WebSocket",
    "pattern": "a pattern in place of a path: pass --path",
    "time": "no time was left",
    "not-requested": "not in the locustfile",
    "refused": "pass --path with values that exist",
    "no-answer": "no answer in time",
}


NEEDS_LOGIN = "set LOAD_USERNAME and LOAD_PASSWORD, or pass a locustfile whose users log in: -f FILE"


def seen_text(line: SeenLine, named: bool = False) -> str:
    """`time.sleep holds the event loop for at least 7.50 ms (5 of 5 requests), waiting`; with `which` where
    the call was `named` just before."""
    how = {True: ", computing", False: ", waiting", None: ""}[line.computes]
    often = f" ({line.requests} of {counted(line.of, 'request')})" if line.routes else ""
    what = "which" if named else line.what
    return f"{what} holds the event loop for at least {duration(line.seconds)}{often}{how}"


def seen_remedy(line: SeenLine) -> str:
    """What to do about it."""
    if line.computes:
        return "run it in a thread (`def`, or anyio.to_thread.run_sync); in a process if it takes long"
    return "await what waits (its asynchronous form, or anyio.to_thread.run_sync)"


def reach_text(driven: Driven) -> str:
    """Which routes were asked, and which were not reached, by reason."""
    missed = driven.missed
    whole = counted(len(driven.reached) + len(missed), "route")
    said = f"asked {len(driven.reached)} of {whole}, one request at a time"
    reasons: dict[str, list[str]] = {}
    for name, why, status in missed:
        remedy = NEEDS_LOGIN if status in (401, 403) else WHY_MISSED[why]
        reason = f"{status}: {remedy}" if why == "refused" else WHY_MISSED[why]
        reasons.setdefault(reason, []).append(name)
    told = "; ".join(f"{listed(names, LISTED)} ({reason})" for reason, names in reasons.items())
    return f"{said}; not reached: {told}" if missed else said
