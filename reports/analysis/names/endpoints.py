"""The names of endpoints in reports: those of their requests, except for the words that mean all endpoints.

A locustfile may call its requests anything, also `all`. Records keep such names as they are; reports put them
in quotation marks, from where they are read to the last table.
"""

from __future__ import annotations

ALL = "all"
"""Stands for all endpoints of a mixed scenario together."""

TOGETHER = ""
"""Stands for all endpoints of an arm whose names are requested a few times each."""

MARK = '"'


def endpoint_name(request: str) -> str:
    """The endpoint of the requests that are called `request`. Different names stay different: one that is
    in quotation marks already gets further ones."""
    return MARK + request + MARK if request.strip(MARK) in (ALL, TOGETHER) else request


def request_name(endpoint: str) -> str:
    """What the requests of an endpoint are called in the records."""
    marked = endpoint.strip(MARK) in (ALL, TOGETHER) and endpoint.startswith(MARK)
    return endpoint[1:-1] if marked else endpoint
