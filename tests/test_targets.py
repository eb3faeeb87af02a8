"""Targets in k6's grammar, and the share of a trial's requests that miss one."""

from __future__ import annotations

import pytest

from loadtests.errors import PlanError
from loadtests.plan.capacity.target import CapacityTarget, target


@pytest.mark.parametrize(
    ("text", "share", "limit"),
    [
        ("p(99)<50", 0.01, 0.05),
        (" p( 95 ) <= 1.5e2 ", 0.05, 0.15),
        ("med<20", 0.5, 0.02),
        ("http_req_duration: p(99.9)<50", 0.001, 0.05),
        ("rate<0.01", 0.01, None),
        ("http_req_failed: rate<0.05", 0.05, None),
    ],
)
def test_a_target_is_the_share_of_requests_that_may_miss_it(
    text: str, share: float, limit: float | None
) -> None:
    found = target(text)
    assert found == CapacityTarget(share=share, limit=limit)
    assert target(str(found)) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("p99<50", "cannot read"),
        ("p(99)>50", "cannot read"),
        ("p(99)==50", "cannot read"),
        ("avg<50", "not supported"),
        ("p<50", "not supported"),
        ("rate(99)<50", "not supported"),
        ("http_req_failed: p(99)<50", "not supported"),
        ("http_reqs: rate<5", "no metric"),
        ("p(10)<50", "allows 90%"),
        ("p(100)<50", "allows 0%"),
        ("rate<0", "allows 0%"),
        ("p(99)<-1", "less than -1 ms"),
        ("", "cannot read"),
    ],
)
def test_a_target_that_cannot_be_searched_for_is_refused_with_a_way_out(text: str, says: str) -> None:
    with pytest.raises(PlanError, match=says.replace("(", r"\(")) as raised:
        target(text)
    assert raised.value.hint
