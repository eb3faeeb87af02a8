"""The files that `duel init` writes: a locustfile, and a table for pyproject.toml."""

from __future__ import annotations

import json
import keyword
import re
import tomllib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from loadtests.errors import CannotWrite, PlanError
from loadtests.measure.starter.exploration import Explored

HEAD = '''"""Users of {app}, written by `duel init` from its OpenAPI document: edit them as you like.

Each class is a scenario, which `duel run` measures by itself; several tasks in one class are a mixture, see
https://docs.locust.io/en/stable/writing-a-locustfile.html. An abstract class is not loaded: delete that line
once its request is right.
"""

from locust import task

from loadtests.load.users import LeanUser  # plain HTTP, a tenth of the CPU time of Locust's own clients
'''

CLASS = '''

class {name}(LeanUser):
    """{title}"""
{abstract}
    @task
    def {task}(self) -> None:
        self.client.{call}
'''


def locustfile(app: str, explored: Sequence[Explored]) -> str:
    """A user class for each operation: those that answered, then those that need an eye on them."""
    ordered = sorted(explored, key=lambda one: not one.usable)
    taken: set[str] = set()
    return HEAD.format(app=harmless(app)) + "".join(
        CLASS.format(
            name=class_name(one, taken),
            title=harmless(f"{one.operation.method} {one.operation.path}"),
            abstract="" if one.usable else f"\n    abstract = True  # {harmless(doubt(one))}\n",
            task=task_name(one),
            call=call(one),
        )
        for one in ordered
    )


def harmless(text: str) -> str:
    """A text from the document that stays inside a docstring or a comment."""
    return "".join(sign for sign in text if sign.isprintable() and sign not in '\\"')


def doubt(one: Explored) -> str:
    """Why an operation is not loaded as it is."""
    if one.operation.secured and (one.status is None or one.status in (401, 403)):
        return "needs credentials: log in with on_start, or pass headers={…}"
    if one.status is None and one.question.body is None and one.operation.sends is not None:
        kind = one.operation.sends
        return f"writes, and takes a body of {kind}: pass data=b'…', headers={{'Content-Type': '{kind}'}}"
    if one.status is None:
        return "writes: check its values, and what many of these do to the data"
    if not one.status:
        return "gave no answer in time"
    if not one.ended:
        return "answers without an end"
    return f"answered {one.status} ({phrase(one.status)}): choose values that exist"


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown"


OF_LOCUST = frozenset(
    {
        "abstract",
        "barrier",
        "client",
        "context",
        "environment",
        "fixed_count",
        "fullname",
        "greenlet",
        "group",
        "host",
        "id",
        "json",
        "max_wait",
        "min_wait",
        "on_start",
        "on_stop",
        "pause",
        "run",
        "scenario",
        "start",
        "stop",
        "tasks",
        "timeout",
        "wait",
        "wait_function",
        "wait_time",
        "weight",
        "writes",
    }
)
"""Names that a user class has already; a test holds them against Locust's and ours."""


def class_name(one: Explored, taken: set[str]) -> str:
    """`ReadArticle`, from the document's title or from method and path; adds it to `taken`."""
    words = words_of(one.operation.title) or words_of(f"{one.operation.method.lower()} {one.operation.path}")
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if not name.isidentifier() or keyword.iskeyword(name) or name == "LeanUser":
        name = f"Route{name}"
    number = 1
    while (unique := name if number == 1 else f"{name}{number}") in taken:
        number += 1
    taken.add(unique)
    return unique


def task_name(one: Explored) -> str:
    """`read_article`."""
    words = words_of(one.operation.title) or words_of(f"{one.operation.method} {one.operation.path}")
    name = "_".join(words).lower()
    usable = name.isidentifier() and not keyword.iskeyword(name) and name not in OF_LOCUST
    return name if usable else f"request_{name}"


def words_of(text: str) -> list[str]:
    """The parts of a text that a Python name may consist of."""
    return re.findall(r"[A-Za-z0-9]+", text)


def call(one: Explored) -> str:
    """`get("/articles/1", name="/articles/{article}")`."""
    question, operation = one.question, one.operation
    arguments = [literal(question.path)]
    if question.body is not None:
        # Through JSON: a number that is none there, such as NaN, has no name in Python either.
        arguments.append(f"json={json.loads(json.dumps(question.body), parse_constant=lambda _: None)!r}")
    if question.path != operation.path:
        arguments.append(f"name={literal(operation.path)}")
    return f"{operation.method.lower()}({', '.join(arguments)})"


def literal(text: str) -> str:
    """A text as Python writes it, in double quotes where that needs no escapes."""
    return f'"{text}"' if text.isprintable() and not set(text) & set('"\\') else repr(text)


def table(settings: Mapping[str, str | Sequence[str]]) -> str:
    """`[tool.duel]` with these settings."""
    return "[tool.duel]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in settings.items())


def toml(value: str | Sequence[str]) -> str:
    """A text or a list of texts, as TOML writes them: its basic strings are JSON's."""
    return json.dumps(value if isinstance(value, str) else list(value), ensure_ascii=False)


def write_new(path: Path, text: str) -> None:
    """Write a file that must not exist. Raises PlanError where it does, CannotWrite."""
    try:
        content = text.encode("utf-8", "replace")
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise PlanError(f"{path} exists already", hint="name another file with -f, or delete it") from None
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from None


def added(path: Path, text: str) -> bool:
    """Whether a table was appended to a pyproject.toml: not where there is none, it cannot be read as TOML,
    or has the table. Raises CannotWrite."""
    try:
        before = path.read_text(encoding="utf-8")
        tool = tomllib.loads(before).get("tool", {})
        if not isinstance(tool, dict) or "duel" in tool:
            return False
        more = f"{'' if before.endswith(chr(10)) or not before else chr(10)}\n{text}"
        tomllib.loads(before + more)  # an inline table cannot be added to
        with path.open("a", encoding="utf-8") as file:
            file.write(more)
    except (FileNotFoundError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from None
    return True
