"""What Quart calls: views, and what runs before and after them; plain functions run in threads."""

from __future__ import annotations

from typing import Any

from .callables import frameworks_own, library
from .found import Found, pattern

AUTOMATIC = {"HEAD", "OPTIONS"}

HOOKS = ("before_request_funcs", "after_request_funcs", "teardown_request_funcs", "before_websocket_funcs")


def read_quart(app: Any, prefix: str, found: Found) -> None:
    """Adds what an app and its blueprints call."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        if view is None:
            continue
        socket = bool(getattr(rule, "websocket", False))
        methods = ["WEBSOCKET"] if socket else sorted(set(rule.methods or ()) - AUTOMATIC)
        kind = getattr(view, "view_class", None)
        if kind is not None and not library(kind):
            found.routes += [{**one, "path": prefix + str(rule.rule)} for one in found.methods(kind)]
        elif not frameworks_own(view):
            found.routes.append({**found.called(view), "path": prefix + str(rule.rule), "methods": methods})
    for hook in HOOKS:
        for blueprint, functions in getattr(app, hook, {}).items():
            before = pattern(prefix) if blueprint is None else f"blueprint {blueprint}"
            found.middleware += [
                {**found.called(one), "before": before} for one in functions if not library(one)
            ]
    for by_code in getattr(app, "error_handler_spec", {}).values():
        for handlers in by_code.values():
            for caught, handler in handlers.items():
                if not library(handler):
                    found.handlers.append(
                        {**found.called(handler), "catches": caught.__name__, "before": pattern(prefix)}
                    )
