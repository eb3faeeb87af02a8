"""One OpenAPI document of two."""

from __future__ import annotations

from typing import Any

from .known import shape

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
"""Keys of the operations of a path."""

SCHEMAS = "#/components/schemas/"

DEEPEST = 10
"""Apps that are wrapped in one another."""


def with_document(app: Any) -> Any:
    """The app itself, or the one that it wraps, where it makes an OpenAPI document; None without one."""
    for _ in range(DEEPEST):
        if callable(getattr(app, "openapi", None)) and getattr(app, "openapi_url", None):
            return app
        app = getattr(app, "app", None)
    return None


def union(ours: dict[str, Any], theirs: dict[str, Any], taken: set[tuple[str, str]]) -> dict[str, Any]:
    """Every operation in `taken`, by the shape of its path and its method, from `theirs`, and all others from
    `ours`, whose order is kept."""
    theirs = renamed(ours, theirs)
    left = {
        path: {key: value for key, value in item.items() if (shape(path), key) in taken}
        for path, item in theirs.get("paths", {}).items()
    }
    paths: dict[str, dict[str, Any]] = {}
    for path, item in ours.get("paths", {}).items():
        mine = left.pop(path, {})
        kept = {
            key: mine.get(key, value)
            for key, value in item.items()
            if key in mine or (shape(path), key) not in taken
        }
        paths |= {path: {**kept, **mine}} if kept or mine else {}
    paths |= {path: item for path, item in left.items() if item}
    components = {kind: {**several} for kind, several in ours.get("components", {}).items()}
    for kind, several in theirs.get("components", {}).items():
        known = components.setdefault(kind, {})
        known |= {name: one for name, one in several.items() if name not in known}
    return {**ours, "paths": paths, **({"components": components} if components else {})}


def renamed(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The second document. Schemas that the first one has under the same name, and defines otherwise, get
    names of their own."""
    known = ours.get("components", {}).get("schemas", {})
    other = theirs.get("components", {}).get("schemas", {})
    names = {name: f"{name}-2" for name, one in other.items() if name in known and known[name] != one}
    if not names:
        return theirs

    def moved(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: moved(value) for key, value in part.items()}
        if isinstance(part, list):
            return [moved(one) for one in part]
        if isinstance(part, str) and part.startswith(SCHEMAS):
            name = part.removeprefix(SCHEMAS)
            return SCHEMAS + names.get(name, name)
        return part

    document: dict[str, Any] = moved(theirs)
    schemas = document["components"]["schemas"]
    document["components"]["schemas"] = {names.get(name, name): one for name, one in schemas.items()}
    return document
