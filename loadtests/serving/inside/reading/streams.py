"""What a streaming response iterates in threads: Starlette hands a plain iterator to one for every piece."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from types import FunctionType

from .program import Program
from .values import Instance, Iterated, Thing, Value, each, names

RESPONSE = "starlette.responses.StreamingResponse"

IN_MEMORY: Mapping[str, str] = {"_io.BytesIO": "io.BytesIO", "_io.StringIO": "io.StringIO"}
"""What iterates by lines, and waits for nothing."""


def streams(kind: type) -> bool:
    """Whether a class is a response that iterates what it is given."""
    return RESPONSE in names(Instance(kind))


def in_pieces(
    program: Program, node: ast.Call, positional: list[Value], keywords: Mapping[str, Value]
) -> Iterator[str]:
    """Of a streaming response that is made, what it takes piece by piece from threads although nothing in it
    seems to wait: a generator's name, or a class."""
    written = next((one.value for one in node.keywords if one.arg == "content"), None)
    expression = node.args[0] if node.args else written
    content = positional[0] if positional else keywords.get("content")
    if isinstance(expression, ast.GeneratorExp):
        if not any(one.is_async for one in expression.generators):
            yield "a generator expression"
        return
    for one in each(content) if content is not None else ():
        if isinstance(one, Iterated) and not program.waits(one):
            yield name_of(one)
        elif isinstance(one, Thing | Instance):
            yield from (IN_MEMORY[name] for name in names(one) if name in IN_MEMORY)


def name_of(generator: Iterated) -> str:
    """The name of its function."""
    function = generator.function
    if isinstance(function, FunctionType):
        return function.__name__
    return getattr(function.node, "name", "a generator")
