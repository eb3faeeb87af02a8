"""Locust, imported with the metadata of what is installed read once.

Its import has gevent replace what blocks in the standard library. For each of two dozen modules, gevent looks
for plugins in the metadata of every installed package, which is a third of what the import takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module, metadata
from typing import Any


@contextmanager
def entry_points_read_once() -> Iterator[None]:
    """Answer every search for plugins from one reading of the metadata."""
    asked, known = metadata.entry_points, cache(metadata.entry_points)

    def entry_points(**wanted: Any) -> Any:
        return known().select(**wanted)

    metadata.entry_points = entry_points
    try:
        yield
    finally:
        metadata.entry_points = asked


with entry_points_read_once():
    import_module("locust")
