"""Signatures and annotations of an app's functions, in any Python.

Python 3.14 evaluates annotations when they are asked for, and raises for one that names what its module
imports for type checkers only. They are then text here, as `from __future__ import annotations` makes them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any


def own_signature(function: Callable[..., Any]) -> inspect.Signature:
    """That of a function itself, not of what it wraps."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format  # noqa: PLC0415  # new in this version

        return inspect.signature(function, follow_wrapped=False, annotation_format=Format.STRING)
    return inspect.signature(function, follow_wrapped=False)


def written(owner: FunctionType | ModuleType | type) -> dict[str, Any]:
    """The annotations of a function, a module or a class."""
    try:
        return inspect.get_annotations(owner)
    except Exception:  # evaluating an app's annotations may raise anything
        if sys.version_info >= (3, 14):
            from annotationlib import Format  # noqa: PLC0415  # new in this version

            return inspect.get_annotations(owner, format=Format.STRING)
        raise
