"""The source of the app's files."""

from __future__ import annotations

import ast
from functools import cache


@cache
def parsed(file: str) -> ast.Module | None:
    """The syntax tree of a file; None where there is none."""
    try:
        with open(file, encoding="utf-8") as source:
            return ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):
        return None
