"""What the parts of a reading need of one another."""

from __future__ import annotations

import ast
from pathlib import Path
from types import FunctionType
from typing import Any, Protocol

from .scope import Scope
from .values import Iterated, Local, Value


class Body(Protocol):
    """The body of a function that is being read."""

    scope: Scope

    def value(self, node: ast.AST | None) -> Value: ...

    def iterate(self, value: Value, node: ast.expr) -> Value: ...


class Memory:
    """What is known from readings of which nothing is noted, shared by them."""

    def __init__(self) -> None:
        self.done: dict[tuple[Any, ...], tuple[Value, Scope]] = {}
        self.assigned: dict[tuple[Any, ...], tuple[Value | None, Value]] = {}
        """What classes give their attributes, by class, attribute and what an object was made with."""
        self.cuts = 0
        """Functions that were not read because they are being read, or lie too deep."""


class Program(Protocol):
    """The program that is being read, from one entry on."""

    home: Path
    way: list[tuple[Any, ...]]

    @property
    def memory(self) -> Memory: ...

    tasks: int
    resolving: set[tuple[Any, str]]
    """Attributes whose values are being looked for: one may be assigned from itself."""

    def block(self, what: str, kind: str, node: ast.AST, scope: Scope) -> None: ...

    def miss(self, text: str, why: str, node: ast.AST, scope: Scope) -> None: ...

    def miss_function(self, function: FunctionType, why: str) -> None: ...

    def piece(self, what: str, node: ast.AST, scope: Scope) -> None: ...

    def judge(self, node: ast.AST, scope: Scope) -> None: ...

    def run(self, function: FunctionType, arguments: dict[str, Value]) -> Value: ...

    def run_local(self, local: Local, arguments: dict[str, Value]) -> Value: ...

    def filled(self, function: FunctionType, arguments: dict[str, Value]) -> dict[str, Value]: ...

    def injected(self, hint: Any, default: Any) -> Value | None: ...

    def aside(self) -> Program:
        """The same program, of which nothing is noted: what it does has happened, or is found elsewhere."""

    def waits(self, generator: Iterated) -> bool:
        """Whether something blocks when a generator runs, or is not known to do no such thing."""

    def value(self, node: ast.AST, scope: Scope) -> Value:
        """The value of an expression."""
