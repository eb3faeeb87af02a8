"""The names of a function and their values."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import sys
import textwrap
from collections.abc import Mapping
from functools import cache
from types import FunctionType
from typing import Any

from .hints import annotated, parsed
from .values import PLAIN, Plain, Thing, Unknown, Value, hinted, listed, one_of

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

MISSING = object()


@cache
def definition(function: FunctionType) -> Definition | None:
    """Where a function is written; None where its source is not there."""
    code = function.__code__
    found = written_at(code.co_filename)
    if found is None:
        return written(function)
    return found.get((code.co_name, code.co_firstlineno))


@cache
def written_at(file: str) -> dict[tuple[str, int], Definition] | None:
    """The functions of a file by name and line, with and without their decorators; None without a source."""
    tree = parsed(file)
    if tree is None:
        return None
    found: dict[tuple[str, int], Definition] = {}
    for node in ast.walk(tree):
        if isinstance(node, Definition):
            name = getattr(node, "name", "<lambda>")
            for line in (node.lineno, first_line(node)):
                found.setdefault((name, line), node)
    return found


def first_line(node: Definition) -> int:
    """With its decorators."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(one.lineno for one in decorators)])


def written(function: FunctionType) -> Definition | None:
    """The same from what `inspect` finds, as in a notebook."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    ast.increment_lineno(tree, first - 1)
    found = tree.body[0]
    return found if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef) else None


class Scope:
    """The names that one call of a function sees."""

    def __init__(
        self, node: Definition, function: FunctionType, outer: Scope | None, arguments: Mapping[str, Value]
    ) -> None:
        """`function`: the one whose globals are seen; `outer`: of the function that `node` is written in."""
        self.node, self.function, self.outer = node, function, outer
        self.values: dict[str, list[Value]] = {name: [value] for name, value in arguments.items()}
        self.returns: list[Value] = []
        self.yields: list[Value] = []

    @property
    def file(self) -> str:
        return self.function.__code__.co_filename

    def put(self, name: str, value: Value) -> None:
        known = self.values.setdefault(name, [])
        if value is not PLAIN or not known:
            known.append(value)

    def look_up(self, name: str) -> Value:
        """The value of a name."""
        if name in self.values:
            return one_of(self.values[name])
        if self.outer is not None:
            return self.outer.look_up(name)
        free = self.function.__code__.co_freevars
        if name in free and self.function.__closure__:
            try:
                return Thing(self.function.__closure__[free.index(name)].cell_contents)
            except ValueError:  # not assigned yet
                return Unknown(name)
        found = self.function.__globals__.get(name, getattr(builtins, name, MISSING))
        if found is MISSING or (found is None and rebound(self.file, name)):
            return filled_later(sys.modules.get(str(self.function.__globals__.get("__name__"))), name, name)
        return Thing(found)

    def bring_in(self, node: ast.Import | ast.ImportFrom) -> None:
        """An import inside a function: the app would do the same when it runs. What cannot be imported is
        not known, rather than harmless."""
        for alias in node.names:
            if isinstance(node, ast.Import):
                top = alias.name.partition(".")[0]
                self.put(alias.asname or top, self.imported(alias.name, bool(alias.asname)))
            else:
                self.put(alias.asname or alias.name, self.imported_from(node, alias.name))

    @staticmethod
    def imported(name: str, whole: bool) -> Value:
        """What `import a.b` gives: the package, or the module that is given a name of its own."""
        found = module(name)
        top = name.partition(".")[0]
        return Unknown(name) if found is PLAIN else found if whole else module(top)

    def imported_from(self, node: ast.ImportFrom, name: str) -> Value:
        """What `from a import b` gives: an attribute, or a module."""
        package = self.function.__globals__.get("__package__") or ""
        source = "." * node.level + (node.module or "")
        parent = module(source, package if node.level else None)
        known = getattr(parent.thing, name, MISSING) if isinstance(parent, Thing) else MISSING
        if known is not MISSING:
            return Thing(known)
        found = module(f"{source}.{name}" if node.module else f"{source}{name}", package)
        return Unknown(name) if found is PLAIN else found


@cache
def rebound(file: str, name: str) -> bool:
    """Whether functions of a file assign one of its globals, as apps do when they start."""
    tree = parsed(file)
    return tree is not None and any(
        isinstance(one, ast.Global) and name in one.names for one in ast.walk(tree)
    )


def filled_later(owner: Any, name: str, shown: str) -> Value:
    """A module's global that is filled while the app runs: as it is annotated."""
    told = hinted(annotated(owner).get(name)) if inspect.ismodule(owner) else PLAIN
    return Unknown(shown) if isinstance(told, Plain | Unknown) else told


def module(name: str, package: str | None = None) -> Value:
    """A module by name, imported if need be; Plain where it cannot be."""
    if name in sys.modules:
        return Thing(sys.modules[name])
    try:
        return Thing(importlib.import_module(name, package))
    except Exception:  # what an app would import may raise anything
        return PLAIN


def parameters(node: Definition) -> list[ast.arg]:
    """In the order in which positional arguments fill them, those by keyword last."""
    arguments = node.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def bound(node: Definition, positional: list[Value], keywords: Mapping[str, Value]) -> dict[str, Value]:
    """The values of a call's arguments by parameter."""
    names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    rest = listed(positional[len(names) :]) if node.args.vararg is not None else PLAIN
    more = {} if node.args.vararg is None or rest is PLAIN else {node.args.vararg.arg: rest}
    return {**dict(zip(names, positional, strict=False)), **more, **keywords}


def returned(function: Any) -> Value:
    """What a library's function says that it returns; its callables are its own, as decorators are."""
    found = hinted(annotated(function).get("return")) if isinstance(function, FunctionType) else PLAIN
    return PLAIN if isinstance(found, Unknown) else found
