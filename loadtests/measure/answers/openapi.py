"""The operations of an OpenAPI document, with values that fit their schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")

DEEPEST = 6
"""Levels of a schema for which values are made: one may contain itself."""

LONGEST = 1_000
"""Characters of a text and items of an array, whatever a schema asks for."""

VALUES: Mapping[str, tuple[Any, Any]] = {
    "integer": (1, 999_999), "number": (0.5, -1), "boolean": (True, False), "string": ("a", "1"),
    "null": (None, None),
}  # fmt: skip
"""By type, a value that may exist and one that may not."""

FORMATS: Mapping[str, str] = {
    "date": "2026-01-02", "date-time": "2026-01-02T03:04:05Z", "time": "03:04:05Z",
    "email": "ada@example.org", "uuid": "00000000-0000-4000-8000-000000000001",
    "uri": "https://example.org/", "ipv4": "192.0.2.1",
}  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    """As in the document: `/articles/{article}`."""
    title: str
    """The document's own name for it, in words; "" without one."""
    parameters: tuple[Mapping[str, Any], ...]
    body: Mapping[str, Any] | None
    """The schema of its JSON body; None where it takes none."""
    sends: str | None
    """The type of its body, where that is required; None where it is not."""
    security: tuple[frozenset[str], ...] = ()
    """Names of the schemes that it needs credentials of: all of any one set. None where it needs none."""

    @property
    def secured(self) -> bool:
        """Whether the document says that it needs credentials."""
        return bool(self.security) and frozenset() not in self.security

    def target(self, which: int = 0) -> str:
        """The path with the parameters that it needs: the first or the second value of each."""
        path, query = self.path, []
        for parameter in self.parameters:
            name, value = str(parameter.get("name")), example(parameter.get("schema"), which, parameter)
            if parameter.get("in") == "path":
                path = path.replace(f"{{{name}}}", quote(text(value), safe=""))
            elif parameter.get("in") == "query" and parameter.get("required"):
                query.append((name, text(value)))
        return path + (f"?{urlencode(query)}" if query else "")


def operations(body: bytes) -> list[Operation]:
    """What a document lists, in its order; empty where `body` is no such document."""
    try:
        document = json.loads(body)
        paths = document["paths"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    found: list[Operation] = []
    for path, item in paths:
        for method in METHODS:
            # One that cannot be read does not hide the others.
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                if method in item:
                    found.append(operation(document, path, method, item[method], item.get("parameters", ())))
    return found


def operation(
    document: Mapping[str, Any], path: str, method: str, listed: Mapping[str, Any], shared: Sequence[Any]
) -> Operation:
    """One operation, with all references resolved."""
    own = [resolved(document, one) for one in listed.get("parameters", ())]
    named = {(one.get("name"), one.get("in")) for one in own}
    above = [resolved(document, one) for one in shared]
    parameters = [*(one for one in above if (one.get("name"), one.get("in")) not in named), *own]
    request = resolved(document, listed.get("requestBody", {}))
    content = request.get("content", {}) if isinstance(request.get("content"), dict) else {}
    kinds = list(content)
    as_json = next((kind for kind in kinds if kind.split(";")[0].endswith("json")), None)
    return Operation(
        method=method.upper(),
        path=str(path),
        title=str(listed.get("summary") or listed.get("operationId") or ""),
        parameters=tuple(parameters),
        body=content[as_json].get("schema", {}) if as_json else None,
        sends=as_json or (kinds[0] if kinds and request.get("required") else None),
        security=tuple(map(frozenset, listed.get("security", document.get("security", ())))),
    )


def resolved(document: Mapping[str, Any], part: Any, depth: int = DEEPEST) -> dict[str, Any]:
    """A part of the document with what it refers to in place of every reference; empty below `depth`, and for
    what is no object."""
    if not isinstance(part, dict) or depth == 0:
        return {}
    if isinstance(part.get("$ref"), str):
        return resolved(document, referred(document, part["$ref"]), depth)
    return {key: inside(document, value, depth - 1) for key, value in part.items()}


def inside(document: Mapping[str, Any], value: Any, depth: int) -> Any:
    """The value of a key of the document, resolved."""
    if isinstance(value, dict):
        return resolved(document, value, depth)
    if isinstance(value, list):
        return [inside(document, one, depth) for one in value]
    return value


def referred(document: Mapping[str, Any], reference: str) -> Any:
    """What `#/components/schemas/Article` stands for; None where the document does not hold it."""
    found: Any = document
    for key in reference.removeprefix("#/").split("/"):
        found = found.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def example(schema: Any, which: int = 0, beside: Mapping[str, Any] | None = None) -> Any:
    """A value that fits a schema: the document's own example, else the first or the second value of its type.
    `beside`: what else may hold an example, as a parameter does. A schema that is none gets a text."""
    try:
        return fitting(schema, which, beside)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ("a", "1")[which]


def fitting(schema: Any, which: int, beside: Mapping[str, Any] | None) -> Any:
    """The value of `example`; raises where the schema breaks the rules of its own language."""
    schema = schema if isinstance(schema, dict) else {}
    given = next(own_examples(beside or {}, schema), None)
    if which == 0 and given is not None:
        return given[0]
    if schema.get("enum"):
        return schema["enum"][min(which, len(schema["enum"]) - 1)]
    for key in ("anyOf", "oneOf"):
        choices = [one for one in schema.get(key, ()) if isinstance(one, dict) and one.get("type") != "null"]
        if choices:
            return example(choices[0], which)
    if schema.get("allOf"):
        parts = [example(one, which) for one in schema["allOf"]]
        if not isinstance(parts[0], dict):
            return parts[0]
        parts.append(of_type(schema, which) if "properties" in schema else {})
        return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
    return of_type(schema, which)


def own_examples(*parts: Mapping[str, Any]) -> Iterator[tuple[Any]]:
    """The examples and defaults that a document gives, in one-tuples, since one may be None."""
    for part in parts:
        if "example" in part:
            yield (part["example"],)
        examples = part.get("examples")
        if isinstance(examples, list) and examples:
            yield (examples[0],)
        if isinstance(examples, dict):
            named = [one for one in examples.values() if isinstance(one, dict)]
            yield from ((one["value"],) for one in named if "value" in one)
        for key in ("const", "default"):
            if key in part:
                yield (part[key],)


def of_type(schema: Mapping[str, Any], which: int) -> Any:
    """A value by the type of a schema, within its bounds."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        needed = [name for name in properties if name in schema.get("required", ())]
        return {name: example(properties[name], which) for name in needed}
    if kind == "array":
        count = min(max(1, int(schema.get("minItems", 1))), LONGEST)
        return [example(schema.get("items"), which) for _ in range(count)]
    if kind == "string":
        return word(schema, which)
    value = VALUES.get(kind, VALUES["string"])[which]
    return number(schema, value, which) if kind in ("integer", "number") else value


def number(schema: Mapping[str, Any], value: float, which: int) -> Any:
    """A number within the bounds of a schema, if it may exist."""
    if which:
        return value
    step = 1 if schema.get("type") == "integer" else 0.5
    above, below = (bound(schema, end) for end in ("Minimum", "Maximum"))
    value = max(value, schema.get("minimum", value))
    value = above + step if above is not None and value <= above else value
    value = min(value, schema.get("maximum", value))
    return below - step if below is not None and value >= below else value


def bound(schema: Mapping[str, Any], end: str) -> Any:
    """An exclusive bound; up to OpenAPI 3.0 a boolean says whether the inclusive one is meant so."""
    found = schema.get(f"exclusive{end}")
    return (schema.get(end.lower()) if found else None) if isinstance(found, bool) else found


def word(schema: Mapping[str, Any], which: int) -> str:
    """A string of the format and length of a schema."""
    value = FORMATS.get(schema.get("format", ""), ("a", "1")[which])
    return value + "a" * (min(int(schema.get("minLength", 0)), LONGEST) - len(value))


def text(value: Any) -> str:
    """A value as it stands in a URL."""
    return json.dumps(value) if isinstance(value, bool | None) else str(value)
