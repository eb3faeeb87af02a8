"""Why a cell was not measured, in words, each reason with its remedy."""

from __future__ import annotations

import math

from loadtests.records import ENOUGH_FOR_P50, Refusal


def refusal_text(refusal: Refusal) -> str:
    """What the cell needs, what is available, and what to do; the cell is named by the caller."""
    needed, limit = refusal.needed, refusal.limit
    match refusal.kind:
        case "window-too-long":
            return (
                f"needs windows of about {needed:.0f} s for {refusal.turns} requests per user (maximum "
                f"{limit:.0f} s): use fewer users (-u), or -t {math.ceil(needed)}"
            )
        case "too-few-requests":
            users_wait = refusal.pause is not None
            why = f", since its users wait about {refusal.pause:.0f} s between two" if users_wait else ""
            return (
                f"makes about {refusal.requests or 0.0:.0f} requests in a window of {limit:.0f} s{why}; a "
                f"median needs {ENOUGH_FOR_P50}: use -t {math.ceil(needed)}, or "
                f"{'more users (-u)' if users_wait else 'a higher --rate'}"
            )
        case "trials-too-long":
            return (
                f"needs {refusal.trials} windows of about {needed:.0f} s, more than the {limit:.0f} s "
                "available: use fewer users (-u), or a longer --max-time"
            )
