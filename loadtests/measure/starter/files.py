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
from loadtests.measure.answers.document import Login
from loadtests.measure.answers.login import PASSWORD, USERNAME
from loadtests.measure.starter.exploration import Exploration, Explored

HEAD = '''"""Users of {app}, written by `duel init` from its OpenAPI document: edit them as you like.

Each class is a scenario, which `duel run` measures by itself; several tasks in one class are a mixture, see
https://docs.locust.io/en/stable/writing-a-locustfile.html. An abstract class is not loaded: delete that line
once its request is right.
"""
{imports}
from locust import task

from loadtests.load.users import LeanUser  # plain HTTP, a tenth of the CPU time of Locust's own clients
'''

LOGIN_IMPORTS = """
import os

from gevent.lock import Semaphore"""

LOGIN = '''
# The account that users log in with: from the environment, so that no password is written here.
ACCOUNT = {{
    "grant_type": "password",
    "username": os.environ.get("{username}", "{username} is not set"),
    "password": os.environ.get("{password}", "{password} is not set"),{scope}
}}


class LoggedIn(LeanUser):
    """Sends the token that POST {title} gives. All users of a trial share one: hashing a password for each
    of them would be a load of its own."""

    abstract = True
    bearer = {{}}
    logging_in = Semaphore()

    def on_start(self) -> None:
        with self.logging_in:
            if not self.bearer:
                self.bearer["Authorization"] = f"Bearer {{self.token()}}"
        super().on_start()

    def token(self) -> str:
        answer = self.client.post({path}, data=ACCOUNT, name="log in")
        if not answer.ok:
            refused = f"the log-in was answered with {{answer.status_code}}"
            raise RuntimeError(f"{{refused}}: name an account in {username} and {password}")
        return answer.json()["access_token"]
'''

CLASS = '''

class {name}({base}):
    """{title}"""
{abstract}
    @task
    def {task}(self) -> None:
        self.client.{call}
'''


CREDENTIALS = "needs credentials: log in with on_start, or pass headers={…}"


def locustfile(app: str, found: Exploration) -> str:
    """A user class for each operation: those that answered, then those that need an eye on them."""
    ordered = sorted(found.operations, key=lambda one: not one.usable)
    login = found.login if any(one.login for one in ordered) else None
    taken = {"LoggedIn", "ACCOUNT", "Semaphore"}
    head = HEAD.format(app=harmless(app), imports=LOGIN_IMPORTS if login else "")
    return "".join([
        head,
        logged_in(login) if login else "",
        *(
            CLASS.format(
                name=class_name(one, taken),
                base="LoggedIn" if one.login else "LeanUser",
                title=harmless(f"{one.operation.method} {one.operation.path}"),
                abstract="" if one.usable else f"\n    abstract = True  # {harmless(doubt(one, login))}\n",
                task=task_name(one),
                call=call(one, login),
            )
            for one in ordered
        ),
    ])  # fmt: skip


def logged_in(login: Login) -> str:
    """The class of users who log in."""
    scope = f'\n    "scope": {literal(" ".join(login.scopes))},' if login.scopes else ""
    path, title = literal(login.path), harmless(login.path)
    return LOGIN.format(path=path, title=title, scope=scope, username=USERNAME, password=PASSWORD)


def harmless(text: str) -> str:
    """A text from the document that stays inside a docstring or a comment."""
    return "".join(sign for sign in text if sign.isprintable() and sign not in '\\"')


def doubt(one: Explored, login: Login | None) -> str:
    """Why an operation is not loaded as it is."""
    return unasked(one, login) if one.status is None else failed(one, one.status)


def unasked(one: Explored, login: Login | None) -> str:
    """Why one that writes is not."""
    if one.operation.secured and not one.login:
        return CREDENTIALS
    if is_login(one, login):
        return "logs in: load it by itself, since hashing passwords is meant to be slow"
    if one.question.body is None and one.operation.sends is not None:
        kind = one.operation.sends
        return f"writes, and takes a body of {kind}: pass data=b'…', headers={{'Content-Type': '{kind}'}}"
    return "writes: check its values, and what many of these do to the data"


def failed(one: Explored, status: int) -> str:
    """Why one that was answered so is not."""
    if one.locked:
        return f"needs a log-in: name an account in {USERNAME} and {PASSWORD}"
    if one.refused:
        return f"answered {status} to {USERNAME}: needs another account" if one.login else CREDENTIALS
    if not status:
        return "gave no answer in time"
    if not one.ended:
        return "answers without an end"
    return f"answered {status} ({phrase(status)}): choose values that exist"


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown"


OF_LOCUST = frozenset(
    {
        "abstract",
        "barrier",
        "bearer",
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
        "logging_in",
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
        "token",
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


def is_login(one: Explored, login: Login | None) -> bool:
    """Whether an operation is the log-in itself."""
    return login is not None and (one.operation.method, one.operation.path) == ("POST", login.path)


def call(one: Explored, login: Login | None) -> str:
    """`get("/articles/1", name="/articles/{article}")`."""
    question, operation = one.question, one.operation
    arguments = [literal(question.path)]
    if question.body is not None:
        # Through JSON: a number that is none there, such as NaN, has no name in Python either.
        arguments.append(f"json={json.loads(json.dumps(question.body), parse_constant=lambda _: None)!r}")
    if is_login(one, login):
        arguments.append("data=ACCOUNT")
    if one.login:
        arguments.append("headers=self.bearer")
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


def taken(path: Path) -> PlanError:
    """The error for a file that exists."""
    return PlanError(f"{path} exists already", hint="name another file with -f, or delete it")


def write_new(path: Path, text: str) -> None:
    """Write a file that must not exist. Raises PlanError where it does, CannotWrite."""
    try:
        content = text.encode("utf-8", "replace")
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise taken(path) from None
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
