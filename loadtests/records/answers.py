"""What the arms answered before any load, as far as it differs, as data: `reports/wording` makes the
sentences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from loadtests.plan.fields import Frozen, Line
from loadtests.records.names.routes import is_path, matcher, without_query

DifferenceKind = Literal["status", "redirect", "content-type", "encoding", "shape", "value", "body", "size"]

SIZE_FACTOR, SIZE_SLACK = 2.0, 8
"""Bodies are of one class of sizes within this factor and these bytes, before load and under it."""

Part = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class AnswerDifference(Frozen):
    """One property in which an arm's answers to an endpoint's requests differ from its opponent's."""

    kind: DifferenceKind
    """status: HTTP status, 0 for no answer; redirect: where an answer leads; content-type, encoding: the
    header; shape: a field of a JSON body, with its type; value: what a field always holds; body: a body that
    is not JSON, always the same; size: bytes of the body."""
    scenario: Line
    endpoint: Line
    request: Line
    """One that shows it: method and path."""
    reference: Line
    arm: Line
    field: Line = ""
    """value: its place in the body, such as `items[0].name`; "" for the other kinds."""
    reference_has: tuple[Line, ...] = ()
    """What tells the reference's answers apart, such as `307`, or `items[].name: text` for a shape."""
    arm_has: tuple[Line, ...] = ()
    users: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Who asked at once: one alone, or a crowd as large as the load."""
    reference_part: Part = 1.0
    """Fraction of the reference's answers that have it, or, where that is nothing, that lack the other's."""
    arm_part: Part = 1.0


class AnsweringRoute(Frozen):
    """Which route of an arm answered an endpoint's requests, and where its function is."""

    arm: Line
    scenario: Line
    endpoint: Line
    """Of requests without a name, the task that makes them."""
    path: Line
    """The route's, such as `/items/{item_id}`."""
    method: Line = ""
    """Of the requests; "" in runs of earlier versions."""
    file: Line
    line: Annotated[int, Field(ge=1)]
    """Of its first decorator."""


class AnswerCheck(Frozen):
    """How the arms' answers to what the scenarios request were compared before any load."""

    requests: int
    """Requests that each arm answered: the fewest of any arm."""
    endpoints: tuple[Line, ...]
    """`scenario: endpoint` of those that were compared."""
    not_compared: tuple[Line, ...] = ()
    """Of those for which an arm has no answer to be compared, or whose values differ in the answers of one
    server of an arm, and have none of its other server."""
    by_order: tuple[Line, ...] = ()
    """`scenario: endpoint` of those, not compared, that answer by what other arms were asked before: the arms
    share state, such as a database."""
    cut: tuple[Line, ...] = ()
    """Scenarios whose user was cut off before all was answered, by answers that are slow, huge or endless."""
    differences: tuple[AnswerDifference, ...] = ()
    routes: tuple[AnsweringRoute, ...] = ()
    """Of the arms that are no base's; none in runs of earlier versions."""

    def route(self, arm: str, scenario: str, name: str) -> AnsweringRoute | None:
        """The one that answers the requests called `name`; None where that is not known, or not one alone."""
        mine = [one for one in self.routes if (one.arm, one.scenario) == (arm, scenario)]
        path = matcher(one.path for one in mine)(without_query(name)) if is_path(name) else None
        found = {
            (one.file, one.line): one for one in mine if name in (one.endpoint, one.path) or path == one.path
        }
        return next(iter(found.values())) if len(found) == 1 else None


class Compared(Frozen):
    """How the arms' answers to fixed requests were compared, all of them alike."""

    requests: int
    heads: tuple[Line, ...] = ()
    """Requests whose body had no end in time: status and headers were compared."""
    beginnings: tuple[Line, ...] = ()
    """Requests of whose body the first bytes were compared: it is larger."""
    unanswered: tuple[Line, ...] = ()
    """Requests that an arm did not answer in time: left out."""
    unsteady: tuple[Line, ...] = ()
    """Requests that two servers of the first arm answer differently, such as a time of day: left out."""
