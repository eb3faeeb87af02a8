"""What Django calls below ASGI: views, of which plain ones run in a thread; middleware by name."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from .callables import frameworks_own, library
from .found import Found


def read_django(app: Any, prefix: str, found: Found) -> None:
    """Adds what a project calls. They are in its settings, not in `app`."""
    del app
    conf = importlib.import_module("django.conf")
    urls, loading = map(importlib.import_module, ("django.urls", "django.utils.module_loading"))
    patterns(urls.get_resolver().url_patterns, prefix + "/", found)
    for dotted in conf.settings.MIDDLEWARE:
        # What is not made for coroutines runs in the thread of the view.
        if not dotted.startswith("django.") and getattr(
            loading.import_string(dotted), "async_capable", False
        ):
            found.unread.append({"name": dotted, "file": None, "line": None, "why": "run-time"})


def patterns(listed: Sequence[Any], prefix: str, found: Found) -> None:
    """Adds the views of a list of patterns, and of those included in it."""
    for one in listed:
        path = prefix + str(one.pattern)
        below = getattr(one, "url_patterns", None)
        if below is not None:
            patterns(below, path, found)
            continue
        view = one.callback
        kind = getattr(view, "view_class", None)
        if kind is not None and not library(kind):
            found.routes += [{**one, "path": path} for one in found.methods(kind)]
        elif not frameworks_own(view):
            found.routes.append({**found.called(view), "path": path, "methods": []})
