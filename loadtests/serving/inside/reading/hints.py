"""The source of the app's files, and annotations: each evaluated by itself, with the names that a module
imports for type checkers only."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, get_type_hints


@cache
def parsed(file: str) -> ast.Module | None:
    """The syntax tree of a file; None where there is none."""
    try:
        with open(file, encoding="utf-8") as source:
            return ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):
        return None


def own_signature(function: Callable[..., Any]) -> inspect.Signature:
    """That of a function itself, not of what it wraps."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format  # noqa: PLC0415  # new in this version

        found = inspect.signature(function, follow_wrapped=False, annotation_format=Format.STRING)
    else:
        found = inspect.signature(function, follow_wrapped=False)
    return found


def written(owner: FunctionType | ModuleType | type) -> dict[str, Any]:
    """The annotations of a function, a module or a class. Python 3.14 evaluates them when they are asked for,
    and raises for one that names what its module imports for type checkers only: they are then text, as
    `from __future__ import annotations` makes them."""
    try:
        return inspect.get_annotations(owner)
    except Exception:  # evaluating an app's annotations may raise anything
        if sys.version_info >= (3, 14):
            from annotationlib import Format  # noqa: PLC0415  # new in this version

            return inspect.get_annotations(owner, format=Format.STRING)
        raise


@cache
def annotated(owner: FunctionType | ModuleType | type) -> dict[str, Any]:
    """The annotations of a function, a module or a class, without those that cannot be evaluated."""
    module = owner if isinstance(owner, ModuleType) else sys.modules.get(owner.__module__ or "")
    known = owner.__globals__ if isinstance(owner, FunctionType) else vars(module) if module else {}
    names = Checked(known)
    found = {}
    for name, hint in written(owner).items():
        # Evaluating an app's annotations may raise anything.
        with contextlib.suppress(Exception):
            found[name] = unaliased(evaluated(name, hint, known, names) if isinstance(hint, str) else hint)
    return found


def evaluated(name: str, hint: str, known: dict[str, Any], names: Mapping[str, Any]) -> Any:
    """An annotation that is text, with what `Annotated` adds, such as a `Depends`."""
    one = SimpleNamespace(__annotations__={name: hint})
    return get_type_hints(one, known, names, include_extras=True)[name]


def unaliased(hint: Any) -> Any:
    """What `type Name = …` stands for, as FastAPI resolves it. Raises whatever that raises."""
    while type(hint).__name__ == "TypeAliasType":
        hint = hint.__value__
    return hint


class Checked(Mapping[str, Any]):
    """The names that a module imports for type checkers only, as far as others have imported them."""

    def __init__(self, module: Mapping[str, Any]) -> None:
        self.module = module
        self.imports = checked_imports(str(module.get("__file__") or ""))

    def __getitem__(self, name: str) -> Any:
        if name in self.module or name not in self.imports:
            raise KeyError(name)
        source, attribute = self.imports[name]
        package = str(self.module.get("__package__") or "")
        found = sys.modules.get(importlib.util.resolve_name(source, package))
        if found is None or (attribute is not None and not hasattr(found, attribute)):
            raise KeyError(name)
        return found if attribute is None else getattr(found, attribute)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.imports if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


TOP_IF = re.compile(r"^if\b.*\n(?:[ \t)].*\n|[ \t]*\n|#.*\n)*", re.MULTILINE)
"""An `if` of a module with its body, up to the next line that begins a statement."""


def checked_blocks(file: str) -> Sequence[ast.stmt]:
    """The statements of a file's top-level blocks for type checkers, found in its text: parsing all of a
    large library's modules takes a second."""
    try:
        with open(file, encoding="utf-8") as source:
            text = source.read() + "\n"
        return ast.parse("".join(one for one in TOP_IF.findall(text) if "TYPE_CHECKING" in one)).body
    except (OSError, SyntaxError, ValueError):
        tree = parsed(file)
        return tree.body if tree is not None else ()


@cache
def checked_imports(file: str) -> dict[str, tuple[str, str | None]]:
    """By name: the module, with its dots, and what is taken from it."""
    found: dict[str, tuple[str, str | None]] = {}
    for block in checked_blocks(file):
        if not isinstance(block, ast.If) or "TYPE_CHECKING" not in ast.unparse(block.test):
            continue
        for node in block.body:
            for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
                if isinstance(node, ast.ImportFrom):
                    source = "." * node.level + (node.module or "")
                    found[alias.asname or alias.name] = (source, alias.name)
                elif alias.asname or "." not in alias.name:
                    found[alias.asname or alias.name] = (alias.name, None)
    return found
