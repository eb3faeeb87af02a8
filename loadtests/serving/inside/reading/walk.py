"""The body of a function: its statements in order, its expressions as values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager

from .calls import Calls
from .kinds import kind_asked_for, may_be
from .scope import Scope
from .values import (
    PLAIN,
    Instance,
    Iterated,
    Local,
    Thing,
    Unknown,
    Value,
    each,
    hinted,
    names,
    one_held,
    one_of,
)


class Walk(ast.NodeVisitor):
    """One call of a function."""

    def __init__(self, calls: Calls, scope: Scope) -> None:
        self.calls, self.scope = calls, scope

    def body(self) -> Value:
        """Read it; what it returns or yields."""
        node = self.scope.node
        if isinstance(node, ast.Lambda):
            return self.value(node.body)
        for statement in node.body:
            self.visit(statement)
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
        return left if "pathlib.PurePath" in names(left) else PLAIN

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

    def value_of_yield(self, node: ast.Yield) -> Value:
        self.scope.yields.append(self.value(node.value))
        return PLAIN

    def value_of_yieldfrom(self, node: ast.YieldFrom) -> Value:
        self.iterate(self.value(node.value), node)
        return PLAIN

    def value_of_starred(self, node: ast.Starred) -> Value:
        self.iterate(self.value(node.value), node)
        return PLAIN

    def value_of_generatorexp(self, node: ast.GeneratorExp) -> Value:
        # Its first iterable is evaluated at once, the rest when it is iterated, which is mostly soon.
        return self.comprehension(node)

    value_of_listcomp = value_of_setcomp = value_of_dictcomp = value_of_generatorexp

    def comprehension(self, node: ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp) -> Value:
        for one in node.generators:
            source = self.value(one.iter)
            self.assign(one.target, source if one.is_async else self.iterate(source, one.iter))
            for test in one.ifs:
                self.value(test)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for part in parts:
            self.value(part)
        return PLAIN

    def iterate(self, value: Value, node: ast.expr) -> Value:
        """Read what iterating a value runs; its items."""
        items = []
        for one in each(value):
            if isinstance(one, Iterated):
                items.append(self.calls.start(one))
            elif isinstance(one, Thing) and type(one.thing) in (list, tuple, set):
                items.append(one_held(one.thing, "an item of it") if one.thing else PLAIN)
            else:
                items.append(self.calls.iterating(one, node, self.scope))
        return one_of(items)

    def assign(self, target: ast.AST, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.scope.put(target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self.assign(one, PLAIN)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, PLAIN)
        else:
            self.value(target)

    def generic_visit(self, node: ast.AST) -> None:
        """A statement: its expressions first, then the statements in it."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child)
            else:
                self.visit(child)

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
                for statement in branch:
                    self.visit(statement)

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
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.assign(node.target, self.value(node.iter))
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            entered = self.calls.enter(self.value(item.context_expr), item.context_expr, self.scope)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, entered)
        for statement in node.body:
            self.visit(statement)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        for item in node.items:
            entered = self.calls.enter_async(self.value(item.context_expr), self.scope)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, entered)
        for statement in node.body:
            self.visit(statement)

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
        for statement in node.body:
            self.visit(statement)
