"""What FastAPI calls before a route: its dependencies of every depth, or what an app puts in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .callables import name
from .found import Facts, Found

Overrides = Mapping[Any, Any]
"""An app's `dependency_overrides`: some apps fill in abstract dependencies by it, not only their tests."""


def dependencies(dependant: Any, found: Found, overrides: Overrides) -> list[Facts]:
    """Everything that is called before a route, in this order."""
    return [] if dependant is None else list(called(dependant, found, overrides, set()))


def called(dependant: Any, found: Found, overrides: Overrides, seen: set[Any]) -> Iterator[Facts]:
    """Each once where its result is used again."""
    for listed in dependant.dependencies:
        if listed.call is None:
            continue
        one = overridden(listed, overrides)
        yield from called(one, found, overrides, seen)
        key = (listed.call, getattr(listed, "scope", None))
        if getattr(listed, "use_cache", True) and key in seen:
            continue
        seen.add(key)
        yield {**found.called(one.call), "needs": needs(one, overrides)}


def overridden(dependant: Any, overrides: Overrides) -> Any:
    """What FastAPI resolves in a dependency's place."""
    if dependant.call not in overrides:
        return dependant
    from fastapi.dependencies.utils import get_dependant  # noqa: PLC0415  # the app may do without FastAPI

    return get_dependant(path=dependant.path or "", call=overrides[dependant.call])


def needs(dependant: Any, overrides: Overrides) -> list[str]:
    """The names of what a function depends on itself."""
    calls = () if dependant is None else (one.call for one in dependant.dependencies)
    return [name(overrides.get(call, call)) for call in calls if call is not None]
