"""The slices of a trial as one: facts, resources, samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.measure.trials.underway import LoadedSlice
from loadtests.records.arrays import read_samples, write_samples
from loadtests.records.files import writing
from loadtests.records.heartbeats import LoopHolds
from loadtests.records.samples import Samples, joined
from loadtests.records.trial import (
    LIGHT,
    ArrayFile,
    JobsLeft,
    Resources,
    SampledKind,
    Settling,
    Slice,
    TrialFiles,
)

SUMS = ("warmup", "window", "drain", "left", "lost", "arrivals", "dropped", "resent")
"""Facts of which a trial has the sum of its slices'."""


@dataclass(frozen=True)
class Whole:
    """All slices of a trial together."""

    facts: dict[str, Any]
    resources: Resources
    slices: tuple[Slice, ...]
    """Empty where there is a single one."""
    held: LoopHolds | None = None
    """What held the server's event loops; None where that is not known."""


def whole(slices: Sequence[LoadedSlice], directory: Path, files: TrialFiles) -> Whole:
    """The slices as one; their samples are joined in the trial's `files` in the run's `directory`. Raises
    CannotWrite."""
    held = LoopHolds.of(*(one.held for one in slices))
    if len(slices) == 1 and slices[0].files["samples"] == str(directory / files.samples):
        return Whole(dict(slices[0].facts), slices[0].resources, (), held)
    every = [one.facts for one in slices]
    facts: dict[str, Any] = {
        **every[-1],
        **{name: total([facts.get(name) for facts in every]) for name in SUMS if name in every[-1]},
        "covering": sorted({name for facts in every for name in facts["covering"]}),
        "tail": min((facts["tail"] for facts in every if facts.get("tail") is not None), default=None),
        "thinks": any(facts["thinks"] for facts in every),
        "parallel": any(facts["parallel"] for facts in every),
        "names": max((facts["names"] for facts in every if facts["names"] is not None), default=None),
        "untimed": dict(sum((Counter(facts["untimed"]) for facts in every), Counter())),
    }
    samples, facts["endpoints"], facts["errors"] = together(slices, "samples", directory / files.samples)
    facts["arrays"] = {"samples": samples}
    for kind in LIGHT:
        if every[-1]["arrays"][kind] is not None:
            facts["arrays"][kind], _, _ = together(slices, kind, directory / getattr(files, kind))
    # A server that has ended gets no further slice.
    several = slices if len(slices) > 1 else ()
    first = slices[0].opened
    windows = tuple(Slice(opened=one.opened - first, window=one.facts["window"]) for one in several)
    resources = used([one.resources for one in slices], [one.facts["window"] for one in slices])
    return Whole(facts, resources, windows, held)


def together(
    slices: Sequence[LoadedSlice], kind: SampledKind, path: Path
) -> tuple[ArrayFile, list[str], list[str]]:
    """The samples of all slices in one file, and the endpoints and errors that they number."""
    parts = [(read(one, kind), one.facts["endpoints"], one.facts["errors"]) for one in slices]
    if kind != "samples":
        # Their endpoint and their errors have no names.
        parts = [(samples, ("",), [""] * int(samples.error.max(initial=0))) for samples, _, _ in parts]
    samples, endpoints, errors = joined(parts)
    if len(parts) > 1:
        lengths = [len(part) for part, _, _ in parts]
        samples = replace(samples, slice=np.repeat(np.arange(len(parts), dtype=np.uint8), lengths))
    with writing(path):
        return write_samples(path, samples), endpoints, errors


def read(one: LoadedSlice, kind: SampledKind) -> Samples:
    """The samples of a slice, whose file is removed."""
    path = Path(one.files[kind])
    samples = read_samples(path, ArrayFile.model_validate(one.facts["arrays"][kind]))
    path.unlink()
    return samples


def used(parts: Sequence[Resources], windows: Sequence[float]) -> Resources:
    """What the processes did in all windows. None where one of them does not show it."""
    settlings = [one.settling for one in parts if one.settling is not None]
    settled = len(settlings) == len(parts)
    return parts[-1].model_copy(
        update={
            "server_cpu": total([one.server_cpu for one in parts]),
            "worker_cpu": total([one.worker_cpu for one in parts]),
            "jobs": jobs_of([one.jobs for one in parts]),
            "before": parts[0].before,
            "settling": Settling(
                seconds=sum(one.seconds for one in settlings),
                cpu=sum(one.cpu for one in settlings),
                rested=all(one.rested for one in settlings),
            ) if settled else None,
            "generator_cpu": sum(one.generator_cpu for one in parts),
            "generator_lag": max((one.generator_lag for one in parts if one.generator_lag is not None),
                                 default=None),
            "host_steal": mean([one.host_steal for one in parts], windows),
            "host_foreign": mean([one.host_foreign for one in parts], windows),
        }
    )  # fmt: skip


def jobs_of(parts: Sequence[JobsLeft | None]) -> JobsLeft | None:
    known = [one for one in parts if one is not None]
    if len(known) < len(parts):
        return None
    return JobsLeft(opened=sum(one.opened for one in known), closed=sum(one.closed for one in known))


def total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """The weighted mean; None where a value is unknown."""
    known = [value for value in values if value is not None]
    return float(np.average(known, weights=weights)) if len(known) == len(values) else None
