"""The body of a function: its statements in order, its expressions as values."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .calls import Calls
from .kinds import kind_asked_for, leaves, may_be
from .scope import Scope
from .values import (
    PLAIN,
    Held,
    Instance,
    Iterated,
    Local,
    Thing,
    Unknown,
    Value,
    each,
    flattened,
    hinted,
    listed,
    names,
    one_held,
    one_of,
)

PATHS = frozenset({"pathlib.PurePath", "anyio.Path", "anyio._core._fileio.Path"})
"""Classes whose objects are joined with `/`."""

UNKNOWN_KEY = object()


class Walk(ast.NodeVisitor):
    """One call of a function."""

    def __init__(self, calls: Calls, scope: Scope) -> None:
        self.calls, self.scope = calls, scope

    def body(self) -> Value:
        """Read it; what it returns or yields."""
        node = self.scope.node
        if isinstance(node, ast.Lambda):
            return self.value(node.body)
        self.block(node.body)
        return one_of([*self.scope.yields, *self.scope.returns])

    def value(self, node: ast.AST | None) -> Value:
        """The value of an expression; reads the calls in it."""
        if node is None:
            return PLAIN
        method = getattr(self, f"value_of_{type(node).__name__.lower()}", None)
        if method is not None:
            found: Value = method(node)
            return found
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr | ast.keyword | ast.comprehension):
                self.value(child)
        return PLAIN

    def value_of_name(self, node: ast.Name) -> Value:
        return self.scope.look_up(node.id)

    def value_of_attribute(self, node: ast.Attribute) -> Value:
        return self.calls.attribute(self.value(node.value), node, self.scope)

    def value_of_call(self, node: ast.Call) -> Value:
        return self.calls.call(node, self)

    def value_of_await(self, node: ast.Await) -> Value:
        found = self.value(node.value)
        return PLAIN if isinstance(found, Unknown) else found

    def value_of_lambda(self, node: ast.Lambda) -> Value:
        return Local(node, self.scope)

    def value_of_ifexp(self, node: ast.IfExp) -> Value:
        self.value(node.test)
        found = []
        for branch, holds in ((node.body, True), (node.orelse, False)):
            with self.narrowed(node.test, holds):
                found.append(self.value(branch))
        return one_of(found)

    def value_of_binop(self, node: ast.BinOp) -> Value:
        left, _ = self.value(node.left), self.value(node.right)
        if not isinstance(node.op, ast.Div) or not isinstance(left, Thing | Instance):
            return PLAIN
        return left if PATHS.intersection(names(left)) else PLAIN

    def value_of_compare(self, node: ast.Compare) -> Value:
        self.value(node.left)
        for asked, one in zip(node.ops, map(self.value, node.comparators), strict=True):
            for holder in each(one) if isinstance(asked, ast.In | ast.NotIn) else ():
                if isinstance(holder, Thing | Instance):
                    self.calls.special(holder, "__contains__")
        return PLAIN

    def value_of_boolop(self, node: ast.BoolOp) -> Value:
        return one_of([self.value(one) for one in node.values])

    def value_of_namedexpr(self, node: ast.NamedExpr) -> Value:
        found = self.value(node.value)
        self.assign(node.target, found)
        return found

    def value_of_subscript(self, node: ast.Subscript) -> Value:
        base = self.value(node.value)
        self.value(node.slice)
        return self.calls.item(base, node)

    def value_of_tuple(self, node: ast.Tuple | ast.List | ast.Set) -> Value:
        found = [self.value(one) for one in node.elts]
        stars = [isinstance(one, ast.Starred) for one in node.elts]
        return self.held(flattened(found, stars)) if any(stars) else listed(found)

    value_of_list = value_of_set = value_of_tuple

    def value_of_dict(self, node: ast.Dict) -> Value:
        keys = [self.key(one) for one in node.keys]
        found = [self.value(one) for one in node.values]
        if UNKNOWN_KEY in keys:
            return self.held(flattened(found, [one is None for one in node.keys]), mapping=True)
        return PLAIN if one_of(found) is PLAIN else Held(tuple(found), tuple(keys), mapping=True)

    def key(self, node: ast.expr | None) -> Any:
        """The key of an item in a dict that is written out; `UNKNOWN_KEY` for all but constants."""
        self.value(node)
        return node.value if isinstance(node, ast.Constant) else UNKNOWN_KEY

    @staticmethod
    def held(values: list[Value], mapping: bool = False) -> Value:
        """A container of some of these values."""
        found = one_of(values)
        return PLAIN if found is PLAIN else Held((found,), mapping=mapping)

    def value_of_yield(self, node: ast.Yield) -> Value:
        self.scope.yields.append(self.value(node.value))
        return PLAIN

    def value_of_yieldfrom(self, node: ast.YieldFrom) -> Value:
        self.iterate(self.value(node.value), node)
        return PLAIN

    def value_of_starred(self, node: ast.Starred) -> Value:
        found = self.value(node.value)
        self.iterate(found, node)
        return found if isinstance(found, Held) and not found.mapping else PLAIN

    def value_of_generatorexp(self, node: ast.GeneratorExp) -> Value:
        # Its first iterable is evaluated at once, the rest when it is iterated, which is mostly soon.
        return self.comprehension(node)

    value_of_listcomp = value_of_setcomp = value_of_dictcomp = value_of_generatorexp

    def comprehension(self, node: ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp) -> Value:
        for one in node.generators:
            source = self.value(one.iter)
            self.assign(one.target, self.in_turn(source) if one.is_async else self.iterate(source, one.iter))
            for test in one.ifs:
                self.value(test)
        if isinstance(node, ast.DictComp):
            self.value(node.key)
            return self.held([self.value(node.value)], mapping=True)
        return self.held([self.value(node.elt)])

    def iterate(self, value: Value, node: ast.expr) -> Value:
        """Read what iterating a value runs; its items."""
        items = []
        for one in each(value):
            if isinstance(one, Iterated):
                items.append(self.calls.start(one))
            elif isinstance(one, Thing) and type(one.thing) in (list, tuple, set):
                # A list that is empty is filled while the app runs.
                filled = one.thing or type(one.thing) is not tuple
                items.append(one_held(one.thing, "an item of it") if filled else PLAIN)
            else:
                items.append(self.calls.iterating(one, node, self.scope))
        return one_of(items)

    def in_turn(self, value: Value) -> Value:
        """What is iterated asynchronously: its items where these are known."""
        return one_of([self.calls.iterating_async(one) for one in each(value)])

    def assign(self, target: ast.AST, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.scope.put(target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            for at, one in enumerate(target.elts):
                self.assign(one, self.unpacked(value, at, target.elts))
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)
        else:
            self.value(target)

    @staticmethod
    def unpacked(value: Value, at: int, targets: list[ast.expr]) -> Value:
        """What a container gives one of several targets."""
        stars = any(isinstance(one, ast.Starred) for one in targets)
        found: list[Value] = []
        for one in each(value):
            known: Value = one
            if isinstance(one, Thing) and type(one.thing) in (list, tuple):
                known = listed([*map(Thing, one.thing)])
            if isinstance(known, Held) and isinstance(targets[at], ast.Starred):
                found.append(Held((one_of(list(known.values)),)))
            elif isinstance(known, Held) and not known.mapping:
                found.append(known.at(None if stars or len(known.values) != len(targets) else at))
        return one_of(found)

    def generic_visit(self, node: ast.AST) -> None:
        """A statement: its expressions first, then the statements in it."""
        for _, part in ast.iter_fields(node):
            several = part if isinstance(part, list) else [part]
            if several and isinstance(several[0], ast.stmt):
                self.block(several)
                continue
            for child in several:
                if isinstance(child, ast.expr):
                    self.value(child)
                elif isinstance(child, ast.AST):
                    self.visit(child)

    def block(self, statements: Sequence[ast.stmt]) -> None:
        """Statements in order. Where one branch of an `if` returns, what follows belongs to the other."""
        for at, one in enumerate(statements):
            self.visit(one)
            left = [leaves(one.body), leaves(one.orelse)] if isinstance(one, ast.If) else []
            if isinstance(one, ast.If) and any(left) and kind_asked_for(one.test) is not None:
                with self.narrowed(one.test, not left[0]):
                    self.block(statements[at + 1 :])
                return

    def visit_Assign(self, node: ast.Assign) -> None:
        found = self.value(node.value)
        for target in node.targets:
            self.assign(target, found)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        found = self.value(node.value)
        if found is PLAIN and isinstance(node.annotation, ast.Name):
            kind = self.scope.look_up(node.annotation.id)
            found = hinted(kind.thing) if isinstance(kind, Thing) else PLAIN
        self.assign(node.target, found)

    def visit_Return(self, node: ast.Return) -> None:
        self.scope.returns.append(self.value(node.value))

    def visit_If(self, node: ast.If) -> None:
        self.value(node.test)
        for branch, holds in ((node.body, True), (node.orelse, False)):
            with self.narrowed(node.test, holds):
                self.block(branch)

    @contextmanager
    def narrowed(self, test: ast.expr, holds: bool) -> Iterator[None]:
        """Where a test asks whether a name's function is a coroutine function: the name is one of those only,
        or none of them."""
        asked = kind_asked_for(test)
        if asked is None:
            yield
            return
        name, coroutine = asked
        values = self.scope.values
        known = values.get(name, [])
        fitting = [one for one in each(self.scope.look_up(name)) if may_be(one, coroutine == holds)]
        values[name] = list(fitting)
        try:
            yield
        finally:
            values[name] = [*known, *values[name][len(fitting) :]]
            if not values[name]:
                del values[name]

    def visit_For(self, node: ast.For) -> None:
        self.assign(node.target, self.iterate(self.value(node.iter), node.iter))
        self.block(node.body)
        self.block(node.orelse)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.assign(node.target, self.in_turn(self.value(node.iter)))
        self.block(node.body)
        self.block(node.orelse)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            entered = self.calls.enter(self.value(item.context_expr), item.context_expr, self.scope)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, entered)
        self.block(node.body)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        for item in node.items:
            entered = self.calls.enter_async(self.value(item.context_expr))
            if item.optional_vars is not None:
                self.assign(item.optional_vars, entered)
        self.block(node.body)

    def visit_Match(self, node: ast.Match) -> None:
        subject = self.value(node.subject)
        for case in node.cases:
            for one in ast.walk(case.pattern):
                name = getattr(one, "rest", getattr(one, "name", None))
                if isinstance(name, str):
                    whole = subject if one is case.pattern else Unknown(name)
                    self.scope.put(name, self.captured(one, whole))
            self.value(case.guard)
            self.block(case.body)

    def captured(self, pattern: ast.AST, whole: Value) -> Value:
        """What a pattern gives a name: an object of the class that it asks for."""
        asked = getattr(pattern, "pattern", None)
        kind = self.value(asked.cls) if isinstance(asked, ast.MatchClass) else PLAIN
        return hinted(kind.thing) if isinstance(kind, Thing) else whole

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.value(decorator)
        self.scope.put(node.name, Local(node, self.scope))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.scope.put(node.name, PLAIN)

    def visit_Import(self, node: ast.Import) -> None:
        self.scope.bring_in(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.scope.bring_in(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name is not None:
            self.scope.put(node.name, PLAIN)
        self.block(node.body)
