"""The names of the formats, which the command line needs before anything else."""

from __future__ import annotations

from enum import StrEnum

Format = StrEnum(
    "Format",
    "baseline markdown comment github-summary github-annotations github-outputs junit openmetrics "
    "benchmark-bigger benchmark-smaller bencher",
)

AdviceFormat = StrEnum("AdviceFormat", "text json github sarif")
"""Of `duel advise`."""
