"""How text becomes the value of a setting, and how a value is shown.

A reader takes what a flag, a variable or a TOML file holds, and raises ValueError; numbers are left to the
setting's type. What is shown holds no secrets, whether it has been read or not.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from loadtests.errors import did_you_mean
from loadtests.plan.database_url import without_secrets

UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}

QUOTED = r""""[^"]*"|'[^']*'"""
"""A quoted value, as a regular expression."""


def as_given(value: Any) -> Any:
    """The value itself: its type says what it may be."""
    return value


def seconds(value: Any) -> float:
    """`90`, `90s`, `15m` or `2h`."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h)?\s*", str(value))
    if not found:
        raise ValueError("not a time such as 90s, 15m or 2h")
    given = float(found[1]) * UNITS[found[2] or ""]
    if not given:
        raise ValueError("not longer than 0 s")
    return given


def lasting(most: float) -> Callable[[Any], float]:
    """A reader of times of at most `most` seconds."""

    def read(value: Any) -> float:
        if seconds(value) > most:
            raise ValueError(f"longer than {span(most)}")
        return seconds(value)

    return read


def whole(least: int, most: int) -> Callable[[Any], int]:
    """A reader of integers from `least` to `most`."""

    def read(value: Any) -> int:
        if isinstance(value, bool | float) or not re.fullmatch(r"\s*-?\d{1,19}\s*", str(value)):
            raise ValueError("not an integer")
        if not least <= int(value) <= most:
            raise ValueError(f"not from {least:,} to {most:,}")
        return int(value)

    return read


def between(least: float, most: float) -> Callable[[Any], float]:
    """A reader of numbers above `least` and below `most`."""

    def read(value: Any) -> float:
        try:
            number = float("nan" if isinstance(value, bool) else value)
        except (TypeError, ValueError):
            raise ValueError("not a number") from None
        if not least < number < most:
            raise ValueError(f"not between {least:,} and {most:,}")
        return number

    return read


def each(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A reader of several values, each read by `read`."""
    return lambda value: tuple(map(read, commas(value)))


def switch(value: Any) -> bool:
    """`true`, `yes`, `on` or 1, and their opposites."""
    words = {"true": True, "yes": True, "on": True, "1": True,
             "false": False, "no": False, "off": False, "0": False}  # fmt: skip
    found = words.get(str(value).strip().lower())
    if found is None:
        raise ValueError("neither true nor false")
    return found


def yes_or_no(value: Any) -> str:
    """A switch, or the text itself."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def url_path(value: Any) -> str:
    """`/health`."""
    if not re.fullmatch(r"/[!-~]{0,999}", str(value)):
        raise ValueError("not the path of a URL, such as /health, of printable ASCII characters")
    return str(value)


def commas(value: Any) -> tuple[Any, ...]:
    """`1,8,64`, a list, or one value alone."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return tuple(part for one in value for part in commas(one))
    return (value,)


def lines(value: Any) -> tuple[str, ...]:
    """A list whose members may hold commas; in one string, semicolons outside of quotes separate them."""
    if isinstance(value, str):
        return tuple(parts(value, ";"))
    return tuple(str(one) for one in members(value))


def parts(text: str, separator: str) -> list[str]:
    """The parts between the separators. A quote counts where a value begins: at the start of a part and
    after `=`; elsewhere it is a character like any other."""
    part = re.compile(rf"(?:(?<![^=,;])(?:{QUOTED})|[^{separator}])*")
    found, at = [], 0
    while at <= len(text):
        match = part.match(text, at)
        # `part` matches the empty text, too.
        found.append(match[0] if match else "")
        at += len(found[-1]) + 1
    return found


def unquoted(value: str) -> str:
    """A value without its quotes. Raises ValueError for a quote that is not closed at its end."""
    if value[:1] not in ("'", '"'):
        return value
    if not re.fullmatch(QUOTED, value):
        raise ValueError("a quote is not closed at the value's end")
    return value[1:-1]


def words(value: Any) -> tuple[str, ...]:
    """A command, as one line that is split like a shell does or as a list of its words."""
    found = tuple(shlex.split(value)) if isinstance(value, str) else tuple(str(one) for one in members(value))
    if not found:
        raise ValueError("no command")
    return found


def each_words(value: Any) -> tuple[str, ...]:
    """Several lists of words in one; a string is split like a shell does."""
    several = [value] if isinstance(value, str) else members(value)
    return tuple(word for one in several for word in words(one))


def table(value: Any) -> dict[str, tuple[str, ...]]:
    """Expressions by key, one or several each."""
    example = '"http_req_failed" = ["rate<0.01"]'
    if not isinstance(value, Mapping):
        raise ValueError(f"not a table such as {example}")
    if not value:
        raise ValueError(f"an empty table, with which nothing is judged: remove it, or write {example}")
    return {str(key): expressions(str(key), one) for key, one in value.items()}


def keyed(*keys: str) -> Callable[[Any], dict[str, Any]]:
    """A table with some of these keys."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError(f"not a table with {', '.join(keys)}")
        unknown = next((key for key in value if key not in keys), None)
        if unknown is not None:
            raise ValueError(f"unknown key {unknown!r}; {did_you_mean(str(unknown), keys)}")
        return dict(value)

    return read


def expressions(key: str, value: Any) -> tuple[str, ...]:
    """The expressions of one key. Raises ValueError where there are none, or one is there twice."""
    listed = value if isinstance(value, list | tuple) else (value,)
    found = tuple(expression(key, one) for one in listed)
    if not found:
        raise ValueError(f"{key}: an empty list, with which nothing is judged: remove it")
    twice = next((one for one in found if found.count(one) > 1), None)
    if twice is not None:
        raise ValueError(f"{key}: duplicate expression {twice!r}")
    return found


def expression(key: str, value: Any) -> str:
    """One threshold's expression. Raises ValueError for the objects that k6 takes besides."""
    if isinstance(value, str):
        return value
    said = value.get("threshold") if isinstance(value, Mapping) else None
    written = said if isinstance(said, str) else "p(95)<50"
    objects = (
        "; objects with `threshold` and `abortOnFail` are not supported, since a run is judged as a whole"
        if isinstance(value, Mapping)
        else ""
    )
    raise ValueError(f'{key}: {plain(value)} is not an expression: write the string "{written}"{objects}')


def members(value: Any) -> Iterable[Any]:
    """The members of a list. Raises ValueError."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise ValueError("not a list")
    return value


def plain(value: Any) -> str:
    """`1, 8, 64`, `0.1`, or the text itself."""
    if isinstance(value, tuple | list):
        return ", ".join(map(plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def span(value: Any) -> str:
    """Seconds as they may be written: `1.5s`."""
    return f"{value:g}s" if isinstance(value, int | float) else str(value)


def database_without_secrets(value: Any) -> str:
    """A database's URL without user, password and options."""
    return without_secrets(plain(value))


def arms_without_secrets(value: Any) -> str:
    """`a=shop:app,env.KEY=…`: arms without the values of their environments or the users of their URLs."""
    # An unclosed quote hides all that follows it.
    hidden = rf"(?:(?:{QUOTED})[^,;]*|[\"'][\s\S]*|[^,;]*)"
    shown = re.sub(rf"(,\s*env\.[^=,;]*=){hidden}", r"\1…", plain(value))
    return re.sub(r"://[^/,;]*@", "://…@", shown)


def option_names(value: Any) -> str:
    """The options among the words of a command line; their values may be passwords."""
    try:
        names = [word.partition("=")[0] for word in each_words(value) if word.startswith("-")]
    except ValueError:
        return "…"
    return ", ".join(f"{name} …" for name in names) or "…"


def program(value: Any) -> str:
    """A command's first word; the others may hold a password."""
    first, *others = plain(value).replace(",", " ").split() or [""]
    return f"{first} …" if others else first
