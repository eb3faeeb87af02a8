"""Requests generated from an OpenAPI document: mostly valid, often boundary values, sometimes invalid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

Document = Mapping[str, Any]
Values = st.SearchStrategy[Any]

NEWEST = "<newest>"
"""Path placeholder: the id of the most recently created item of the same kind."""
DEAR = {"iterations": 300, "rows": 300, "width": 64, "seconds": 0.003, "calls": 3}
"""Upper limit of valid values for parameters that cost time; larger ones are generated only if invalid."""
EDGES = (-1, 0, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30)
EMAILS = ("ada@example.org", "author1@example.org", "author2@example.org", "ä@exämple.org")
STRANGE: Values = st.sampled_from(
    [
        None,
        True,
        "",
        "seven",
        " ",
        "\x00",
        "a\x00b",
        "\ud800",
        "é",
        "🜁" * 30,
        1.5,
        -0.0,
        1e400,
        float("nan"),
        [],
        {},
    ]
)
TEXTABLE = st.characters(exclude_categories=["Cs"])
"""What `st.text` takes by default, without a second in each process for a table of what UTF-8 encodes."""
GARBAGE: Values = st.sampled_from(
    [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b'{"name": "A", "name": "B"}', b"[" * 2000]
)


@dataclass(frozen=True)
class Request:
    """One request; NEWEST in its path stands for the id of an item created before."""

    method: str
    path: str
    kind: str
    """The collection that NEWEST belongs to, such as `posts`."""
    body: bytes | None = None
    content_type: str | None = None

    def at(self, newest: Mapping[str, int]) -> str:
        """The path with NEWEST replaced by the newest id."""
        return self.path.replace(quote(NEWEST), str(newest.get(self.kind, 1)))


def requests(document: Document) -> st.SearchStrategy[Request]:
    """Requests to every operation of `document`, and some to unknown paths. The one that starts a process
    pool is left out: it takes half a second in every fresh app, and the fixed requests cover it.
    """
    known = [
        operation(document, path, method, about)
        for path, methods in document["paths"].items()
        if path != "/pitfalls/process"
        for method, about in methods.items()
    ]
    nowhere = st.builds(
        Request,
        method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]),
        path=st.sampled_from(
            ["/", "/ping", "/users", "/posts/1", "/pages", "/nowhere", "/users/1/posts/", "//"]
        ),
        kind=st.just(""),
    )
    return st.one_of(*known, nowhere)


def operation(document: Document, path: str, method: str, about: Document) -> st.SearchStrategy[Request]:
    """Requests to one operation."""
    kind = path.strip("/").split("/")[0]
    parameters = about.get("parameters", [])
    places = {p["name"]: identifier(p["schema"]) for p in parameters if p["in"] == "path"}
    query = {p["name"]: values(document, p["name"], p["schema"]) for p in parameters if p["in"] == "query"}
    schema = about.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")

    @st.composite
    def build(draw: st.DrawFn) -> Request:
        filled = path
        for name, strategy in places.items():
            filled = filled.replace(
                f"{{{name}}}", quote(str(draw(strategy)).encode("utf-8", "surrogatepass"))
            )
        asked = {name: draw(strategy) for name, strategy in query.items() if draw(st.booleans())}
        if asked:
            filled += "?" + urlencode(asked, errors="surrogatepass")
        if schema is None:
            return Request(method.upper(), filled, kind)
        body = draw(seldom(GARBAGE, values(document, "", schema).map(to_json)))
        content_type = draw(seldom(st.sampled_from(["text/plain", None]), st.just("application/json")))
        return Request(method.upper(), filled, kind, body, content_type)

    return build()


def seldom(rare: Values, usual: Values) -> Values:
    """The usual value with a probability of 90%."""
    return st.integers(0, 9).flatmap(lambda n: rare if n == 9 else usual)


def identifier(schema: Document) -> Values:
    """Ids that exist, were just created, were deleted, or are invalid."""
    there = st.one_of(st.just(NEWEST), st.integers(1, 12), st.integers(195, 206))
    return seldom(st.one_of(st.sampled_from(EDGES), STRANGE), there)


def values(document: Document, name: str, schema: Document) -> Values:
    """Values of a JSON schema as pydantic writes it, occasionally invalid ones."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema.get("type") == "object":
        return an_object(document, schema)
    return seldom(STRANGE, right(name, schema))


def right(name: str, schema: Document) -> Values:
    """Values that the schema allows, including its bounds, and values just outside them."""
    low, high = schema.get("minimum"), schema.get("maximum")
    match schema.get("type"), schema.get("format"):
        case "integer", _:
            top = min(high or 10**6, DEAR.get(name, 250))
            beyond = [
                edge
                for edge in (low - 1 if low is not None else None, high + 1 if high else None)
                if edge is not None
            ]
            inside = st.integers(low or 0, int(top))
            return seldom(st.sampled_from(beyond or [0]), inside)
        case "number", _:
            return seldom(st.sampled_from([-0.001, 5.001]), st.floats(0.0, DEAR.get(name, 1.0)))
        case "string", "date":
            return seldom(st.sampled_from(["2026-02-30", "0000-01-01", "26-1-1"]), st.dates().map(str))
        case "string", _:
            if "@" in schema.get("pattern", ""):
                return st.sampled_from(EMAILS) | st.integers(1, 300).map("author{}@example.org".format)
            return st.text(TEXTABLE, min_size=1, max_size=min(schema.get("maxLength", 30), 30))
    return STRANGE


def an_object(document: Document, schema: Document) -> Values:
    """Objects with their fields; occasionally one is missing, unknown or null."""
    fields = {key: values(document, key, of) for key, of in schema["properties"].items()}
    whole = st.fixed_dictionaries(fields)
    part = st.fixed_dictionaries({}, optional=fields)
    more = st.fixed_dictionaries({**fields, "admin": st.just(True)})
    return seldom(STRANGE, seldom(more, whole | part if not schema.get("required") else seldom(part, whole)))


def to_json(value: Any) -> bytes:
    """JSON as a careless client writes it, including NaN, infinities and lone surrogates."""
    return json.dumps(value).encode("utf-8", "surrogatepass")
