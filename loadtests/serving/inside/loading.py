"""The ASGI app that an import string names.

Loaded by serve.py and describe_app.py from their own directory: only the standard library, none of our
packages.
"""

from __future__ import annotations

import difflib
import functools
import gc
import importlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any, Literal

ASGI = ("scope", "receive", "send")
"""What an ASGI app is called with."""

FUNCTIONS = (FunctionType, MethodType, functools.partial)

IMPORTING = (200_000, 10, 10)
"""The thresholds of the garbage collector while an app is imported."""

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class UnusableApp(Exception):
    """The import string names nothing that can be served; `hint` says what to name instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def lines(self) -> str:
        """The error as the last lines of a log."""
        return f"UnusableApp: {self}" + (f"\nhint: {self.hint}" if self.hint else "")


@contextmanager
def few_collections() -> Iterator[None]:
    """Collect garbage rarely: what an import makes stays, and looking through it again and again takes a
    tenth of the time until a server is ready. An app that sets thresholds of its own keeps them."""
    usual = gc.get_threshold()
    gc.set_threshold(*IMPORTING)
    try:
        yield
    finally:
        if gc.get_threshold() == IMPORTING:
            gc.set_threshold(*usual)


@few_collections()
def load(target: str) -> Any:
    """The ASGI app at `module:attribute`; what needs no argument and is no app is called to make it. Raises
    UnusableApp, and whatever the module or the factory raises."""
    found = named(target)
    if not (isinstance(found, FUNCTIONS) or inspect.isclass(found)):
        return checked(found, f"{target} is")
    if serves(found):
        return found
    missing = required(found)
    if missing:
        raise UnusableApp(
            f"{target} needs {'arguments' if len(missing) > 1 else 'an argument'}: {', '.join(missing)}",
            wsgi_hint(missing) or wrapper_hint(target, missing),
        )
    if inspect.iscoroutinefunction(found):
        raise UnusableApp(
            f"{target} is an `async def` without scope, receive and send: it is neither an app nor a factory",
            "name a plain function that returns the app; what it awaits belongs into the app's lifespan",
        )
    return checked(found(), f"{target} returned")


def named(target: str) -> Any:
    """The object at `module:attribute`. Raises UnusableApp, and whatever the module raises."""
    module_name, _, attribute = target.partition(":")
    if not attribute:
        raise UnusableApp(f"{target!r} is not of the form module:attribute")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # What the module itself imports may be missing as well.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UnusableApp(
            f"there is no module {error.name!r}",
            "name the directory that has it: --app-dir PATH, or app-dir=PATH in an arm",
        ) from None
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            close = difflib.get_close_matches(name, dir(found), n=1)
            raise UnusableApp(
                f"module {module_name!r} has no attribute {attribute!r}",
                f"did you mean {close[0]!r}?" if close else "name the app, or a function that returns it",
            ) from None
    return found


def checked(app: Any, what: str) -> Any:
    """The app, if it can be called as one. Raises UnusableApp."""
    kind = "None" if app is None else f"an object of type {type(app).__name__}"
    if inspect.iscoroutine(app):
        app.close()
    if not callable(app):
        raise UnusableApp(
            f"{what} {kind}, not an ASGI app", "name the app itself, or a function that returns it"
        )
    hint = wsgi_hint(required(app))
    if hint:
        raise UnusableApp(f"{what} {kind}, a WSGI app and not an ASGI app", hint)
    return app


def serves(found: Any) -> bool:
    """Whether a function or class is an app itself, and no factory: it takes what an ASGI app is called with,
    or is awaited and takes as much."""
    missing = required(found)
    if missing[:1] == ASGI[:1]:
        return True
    if inspect.isclass(found):
        return hasattr(found, "__await__")
    return inspect.iscoroutinefunction(found) and (len(missing) == len(ASGI) or takes_any(found))


def interface(app: Any) -> Literal["asgi2", "asgi3"]:
    """How an app is called: with the scope alone for a second callable, or with everything at once."""
    alone = len(required(app)) == 1 and not inspect.iscoroutinefunction(app)
    return "asgi2" if alone else "asgi3"


def required(function: Any) -> tuple[str, ...]:
    """The parameters without a default; none where Python does not know them, as for some of C."""
    return tuple(
        one.name
        for one in parameters(function)
        if one.default is one.empty and one.kind in (*POSITIONAL, one.KEYWORD_ONLY)
    )


def takes_any(function: Any) -> bool:
    """Whether a function takes any number of arguments, as a decorator's does."""
    return any(one.kind is one.VAR_POSITIONAL for one in parameters(function))


def parameters(function: Any) -> Sequence[inspect.Parameter]:
    try:
        if sys.version_info >= (3, 14):
            # Unevaluated: they may name what a module imports for type checkers only.
            from annotationlib import Format  # noqa: PLC0415  # new in this version

            found = inspect.signature(function, annotation_format=Format.STRING)
        else:
            found = inspect.signature(function)
        return tuple(found.parameters.values())
    except (TypeError, ValueError):
        return ()


def wsgi_hint(missing: Sequence[str]) -> str:
    """What to do with an app that is called as WSGI has it; "" for any other."""
    if tuple(missing[:1]) not in (("environ",), ("env",)) or len(missing) != 2:
        return ""
    return "this is how a WSGI app is called: wrap it, as in a2wsgi.WSGIMiddleware(app), and name that"


def wrapper_hint(target: str, missing: Sequence[str]) -> str:
    """A factory without arguments in place of one that needs some."""
    module, _, attribute = target.partition(":")
    given = ", ".join(f"{name}=…" for name in missing)
    return (
        f"name a factory without arguments: `def create_app(): return {attribute}({given})` "
        f"in a module beside {module}, as NAME=that_module:create_app"
    )
