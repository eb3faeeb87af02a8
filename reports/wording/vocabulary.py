"""The one vocabulary of verdicts, outcomes, thresholds and findings: their marks, and the words of those that
are not shown by their own names."""

from __future__ import annotations

from collections.abc import Mapping

from reports.advice.app_advice import Weight
from reports.advice.portraits import PortraitWord
from reports.analysis.thresholds import ThresholdWord
from reports.analysis.verdicts import Outcome, VerdictWord

VERDICT_MARKS: Mapping[VerdictWord, str] = {
    "faster": "▲", "slower": "▼", "equivalent": "=", "inconclusive": "~", "different": "≠", "failing": "✗",
    "invalid": "!",
}  # fmt: skip

OUTCOMES: Mapping[Outcome, str] = {
    "regression": "worse", "invalid": "invalid", "inconclusive": "not decided", "pass": "not worse",
}  # fmt: skip

OUTCOME_MARKS: Mapping[Outcome, str] = {"regression": "✗", "invalid": "!", "inconclusive": "~", "pass": "✓"}

GATES: Mapping[Outcome, str] = {
    "regression": "breached", "invalid": "invalid", "inconclusive": "not decided", "pass": "passed",
}  # fmt: skip
"""The result of a whole gate."""

THRESHOLDS: Mapping[ThresholdWord, str] = {"missed": "missed", "inconclusive": "not decided", "met": "met"}
"""The worst first."""

THRESHOLD_MARKS: Mapping[ThresholdWord, str] = {"met": "✓", "missed": "✗", "inconclusive": "~"}

PORTRAIT_MARKS: Mapping[PortraitWord, str] = {
    "measured": "✓", "inconclusive": "~", "failing": "✗", "invalid": "!",
}  # fmt: skip

WEIGHT_MARKS: Mapping[Weight, str] = {"wrong": "✗", "mind": "!", "consider": "·"}
"""Of findings for an app that was not loaded."""
