"""What several generators report, as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from loadtests.load.trial_load import regrouped
from loadtests.plan.request import TrialRequest
from loadtests.records.arrays import columns, unpacked
from loadtests.records.names.grouping import grouped
from loadtests.records.samples import SAMPLE_ROW, Samples, joined


def merged_facts(parts: Sequence[Mapping[str, Any]], request: TrialRequest) -> dict[str, Any]:
    """The facts of a trial that are neither its moments nor its names."""
    lags = [part["generator_lag"] for part in parts if part["generator_lag"] is not None]
    facts = {
        # Each has its own core: the busiest may have measured itself.
        "generator_cpu": max((part["generator_cpu"] for part in parts), default=0.0),
        "generator_lag": max(lags, default=None),
        "untimed": dict(sum((Counter(part["untimed"]) for part in parts), Counter())),
        "parallel": any(part["parallel"] for part in parts),
        "left": sum(part["left"] for part in parts),
        "thinks": any(part["thinks"] for part in parts),
        "client": next((part["client"] for part in parts), None),
        "resent": added([part["resent"] for part in parts]),
    }
    if request.rate is None:
        return facts | {"tail": min((part["tail"] for part in parts), default=None)}
    return facts | {key: sum(part[key] for part in parts) for key in ("arrivals", "dropped")}


def added(counts: Sequence[int | None]) -> int | None:
    """The sum of what the workers counted; None where any did not count."""
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def named(
    samples: Samples, endpoints: Sequence[str], request: TrialRequest, parts: Sequence[Mapping[str, Any]]
) -> tuple[Samples, dict[str, Any]]:
    """The samples, and what a trial's facts say of names: a worker may have grouped those that another one
    had few of."""
    learned = list(dict.fromkeys(route for part in parts for route in part["learned"]))
    several = [part["names"] for part in parts if part["names"] is not None]
    names = grouped(endpoints, [*request.routes, *learned], request.grouped or bool(several))
    samples = replace(samples, endpoint=names.numbers[samples.endpoint].astype(np.uint16))
    numbers = {name: number for number, name in enumerate(endpoints)}
    covering = {name for part in parts for name in part["covering"]}
    return samples, {
        "endpoints": list(names.names),
        "covering": regrouped(covering, numbers, names),
        "names": max([*several, *([names.original] if names.original else [])], default=None),
        "learned": [*learned, *names.learned],
    }


def merged(parts: Sequence[Mapping[str, Any]]) -> tuple[Samples, list[str], list[str]]:
    """The samples of all workers in the order of their ends, and the names that they number."""
    made = [
        (
            Samples(**columns(unpacked(part["samples"], [SAMPLE_ROW], part["rows"]))),
            part["endpoints"],
            part["errors"],
        )
        for part in parts
    ]
    whole, endpoints, errors = joined(made)
    order = np.argsort(whole.end, kind="stable")
    ordered = {name: getattr(whole, name)[order] for name in SAMPLE_ROW.names or ()}
    return Samples(**ordered), endpoints, errors
