"""`duel init`: from an app's OpenAPI document to a locustfile that can be run and edited."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtests.errors import Exit, PlanError
from loadtests.measure.answers.document import Login, login_of
from loadtests.measure.answers.login import bearer
from loadtests.measure.answers.openapi import Operation, example, operations
from loadtests.measure.answers.questions import Question
from loadtests.measure.starter.exploration import Exploration, Explored, canary_of, explored
from loadtests.measure.starter.files import OF_LOCUST, added, locustfile, table, write_new
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from reports.wording.plans import started_text
from tests.commands import brisk_here, carried_out, duel_here
from tests.serving import app

FORM = {"required": True, "content": {"multipart/form-data": {}}}

TOKEN: dict[str, list[str]] = {"oauth2": []}

LOGIN = Login("oauth2", "/token")

APPS = Path(__file__).parent / "apps"

EXAMPLES = Path(__file__).parent.parent / "examples"


def document(path: str, method: str = "get", **operation: Any) -> bytes:
    listed = {"summary": "Read Article", **operation}
    parts = {"Tree": {"type": "object", "required": ["child"],
                      "properties": {"child": {"$ref": "#/components/schemas/Tree"}}}}  # fmt: skip
    return json.dumps({"paths": {path: {method: listed}}, "components": {"schemas": parts}}).encode()


def only(path: str, method: str = "get", **operation: Any) -> Operation:
    (found,) = operations(document(path, method, **operation))
    return found


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 10}, 10),
        ({"type": "integer", "exclusiveMinimum": 10}, 11),
        ({"type": "number", "maximum": 0.1}, 0.1),
        ({"type": "boolean"}, True),
        ({"type": "string", "minLength": 3}, "aaa"),
        ({"type": "string", "format": "date"}, "2026-01-02"),
        ({"type": ["null", "integer"]}, 1),
        ({"enum": ["red", "green"]}, "red"),
        ({"const": 7}, 7),
        ({"type": "integer", "default": 20}, 20),
        ({"type": "string", "examples": ["Ada"]}, "Ada"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}]}, {"a": 1, "b": True}),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 1}),
        ({"allOf": [{"type": "string", "enum": ["red"]}]}, "red"),
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": False, "maximum": 9}, 1),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 4),
        ({"type": "string", "minLength": 10**11}, "a" * 1000),
        ({"type": "integer", "minimum": "1"}, "a"),
        ({"type": {}}, "a"),
        ({"enum": {"a": 1}}, "a"),
        ({}, "a"),
        (None, "a"),
    ],
)  # fmt: skip
def test_a_value_fits_its_schema(schema: Any, value: Any) -> None:
    assert example(schema) == value


def test_a_schema_that_contains_itself_has_an_end() -> None:
    tree = only("/t", "post", requestBody={"content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/Tree"}}}})  # fmt: skip
    assert "child" in example(tree.body)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"paths": []}', b'{"paths": {"/a": 3}}',
             b'{"paths": {"/a": {"get": {"parameters": 4}}}}']
)  # fmt: skip
def test_what_is_no_document_lists_nothing(body: bytes) -> None:
    assert operations(body) == []


def test_a_path_gets_what_it_needs_and_nothing_optional() -> None:
    found = only("/a/{name}", parameters=[
        {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "example": "b c/d"},
        {"name": "limit", "in": "query", "required": True, "schema": {"type": "integer"}},
        {"name": "page", "in": "query", "schema": {"type": "integer"}},
    ])  # fmt: skip
    assert found.target() == "/a/b%20c%2Fd?limit=1"


def found(
    path: str = "/articles/1",
    status: int | None = 200,
    login: Login | None = None,
    bearer: str | None = None,
    **operation: Any,
) -> Explored:
    return Explored(only(path, **operation), Question("GET", path, bearer=bearer), status, login=login)


def unasked(operation: Operation, login: Login | None = None) -> Explored:
    return explored(operation, login, None)


def written(*operations: Explored, app: str = "shop:app", login: Login | None = None) -> str:
    return locustfile(app, Exploration(operations, login))


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (found(), None),
        (found(status=404), "answered 404 (Not Found): choose values that exist"),
        (found(status=401, security=[{"key": []}]), "needs credentials"),
        (found(status=401), "needs credentials"),
        (found(status=401, login=LOGIN), "needs a log-in: name an account in LOAD_USERNAME"),
        (found(status=403, login=LOGIN, bearer="t"), "answered 403 to LOAD_USERNAME: needs another account"),
        (found(status=0), "gave no answer in time"),
        (unasked(only("/articles", "post")), "writes"),
        (unasked(only("/articles", "post", security=[{"key": []}]), LOGIN), "needs credentials"),
        (unasked(only("/articles", "post", security=[TOKEN]), LOGIN), "writes"),
        (unasked(only("/file", "put", requestBody=FORM)), "headers={'Content-Type': 'multipart/form-data'}"),
    ],
)  # fmt: skip
def test_only_reads_that_answered_are_loaded_and_each_other_one_says_why_not(
    operation: Explored, why: str | None
) -> None:
    text = written(operation, login=LOGIN)
    compile(text, "users.py", "exec")
    own = text.partition("class ReadArticle")[2]
    assert ("abstract = True" in own) == (why is not None)
    assert (why or "") in text


def test_an_operation_that_cannot_be_read_does_not_hide_the_others() -> None:
    found = operations(
        b'{"paths": {"/ok": {"get": {}}, "/odd": {"get": {"parameters": null}}, "/null": null}}'
    )
    assert [one.path for one in found] == ["/ok"]


@pytest.mark.parametrize(
    "hostile",
    ["x/y\n    import os; os.system('true')  #", 'a"""\nimport os\n"""', "\0", "\ud800", "\\", "\r"],
)
def test_nothing_of_a_document_becomes_code(hostile: str, tmp_path: Path) -> None:
    """An app, and its document, may be a stranger's."""
    form = {"required": True, "content": {hostile: {}}}
    login = Login(hostile, f"/{hostile}", (hostile,))
    several = [
        unasked(only(f"/{hostile}", "post", requestBody=form, summary=hostile)),
        unasked(only("/safe", "post", security=[{hostile: []}]), login),
        found(summary=hostile),
    ]
    file = tmp_path / "users.py"
    write_new(file, written(*several, app=f"shop:{hostile}", login=login))
    tree = ast.parse(file.read_text())
    kinds = {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.ClassDef}
    assert {type(node) for node in tree.body} == kinds
    bodies = [node for made in tree.body if isinstance(made, ast.ClassDef) for node in made.body]
    assert {type(node) for node in bodies} <= {ast.Expr, ast.Assign, ast.FunctionDef}
    of_os = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert "system" not in of_os


def test_a_task_has_no_name_that_its_user_has_already() -> None:
    """A route called `tasks` or `weight` would change the user. Asked of a child, since Locust patches."""
    program = "from loadtests.load.users import LeanUser; print(*dir(LeanUser))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    names = {name for name in done.stdout.split() if not name.startswith("_")}
    assert names <= OF_LOCUST
    for name in ("tasks", "weight", "run", "token"):
        text = written(found(summary=name.title()))
        assert f"def request_{name}(self)" in text


@pytest.mark.parametrize("title", ["", "class", "3 things", "Łódź", 'say "hi"\\n', "LeanUser"])
def test_whatever_a_route_is_called_the_locustfile_is_python(title: str) -> None:
    several = [found(summary=title), found(summary=title)]
    text = written(*several)
    compile(text, "users.py", "exec")
    assert text.count("(LeanUser):") == 2
    names = {line.split("(")[0] for line in text.splitlines() if line.startswith("class ")}
    assert len(names) == 2


def test_the_canary_is_a_light_route_that_answered() -> None:
    assert canary_of([found("/articles"), found("/health")]) == "/health"
    assert canary_of([found("/articles"), found("/health", status=503)]) is None
    assert canary_of([found("/health", login=LOGIN, bearer="t")]) is None


def test_a_project_that_has_settings_keeps_them(tmp_path: Path) -> None:
    project, settings = tmp_path / "pyproject.toml", table({"arm": ['app=shop:app,env.A="b"']})
    assert not added(project, settings)
    project.write_text("[project]\nname = 'shop'")
    assert added(project, settings)
    for text in (project.read_text(), "tool = {x = {y = 1}}\n", "tool = 1\n", "not toml ["):
        project.write_text(text)
        assert not added(project, settings)
        assert project.read_text() == text


def test_an_app_becomes_a_locustfile_and_settings_with_which_it_runs(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    done = duel_here("init", "shop.main:create_app", "--app-dir", str(EXAMPLES), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "users of 2 routes; 1 more" in done.stdout
    plan = duel_here("run", "--dry-run", cwd=tmp_path)
    assert "ReadArticle at 64 users" in plan.stdout, plan.stderr
    assert "CreateOrder" not in plan.stdout
    users = tmp_path / "duel_users.py"
    before = users.read_text()
    again = duel_here("init", "shop.main:create_app", "--app-dir", str(EXAMPLES), cwd=tmp_path)
    assert again.returncode == Exit.USAGE
    assert "exists already" in again.stderr
    assert users.read_text() == before
    listed = subprocess.run([sys.executable, "-m", "locust", "-f", users, "--list"], check=True,
                            capture_output=True, text=True)  # fmt: skip
    assert "ReadArticle" in listed.stdout


def test_an_app_without_a_document_is_told_to_write_its_users_by_hand(tmp_path: Path) -> None:
    done = duel_here("init", "answering:erring", "--app-dir", str(APPS), cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "lists no routes in an OpenAPI document" in done.stderr


@pytest.mark.parametrize(
    ("url", "paths", "path"),
    [
        ("token", ["/v1/token"], "/v1/token"),
        ("token", ["/token"], "/token"),
        ("/auth/token", [], "/auth/token"),
        ("./token", [], "/v1/token"),
        ("https://accounts.example.org/token", ["/token"], None),
        (7, [], None),
    ],
)
def test_a_log_in_is_looked_for_on_the_app_s_own_server(url: Any, paths: list[str], path: str | None) -> None:
    schemes = {"key": {"type": "apiKey"}, "oauth2": {"flows": {"password": {"tokenUrl": url}}}}
    document = {"paths": dict.fromkeys(paths), "components": {"securitySchemes": schemes}}
    found = login_of(document, "/v1/openapi.json")
    assert (found.path if found else None) == path


ACCOUNT = {"LOAD_USERNAME": "ada", "LOAD_PASSWORD": "lovelace"}


def test_reads_behind_a_log_in_are_loaded_with_an_account(tmp_path: Path, unseeded: None) -> None:
    """The token is asked for under load as well: the one of another server process is refused."""
    done = duel_here("init", "locked:app", "--app-dir", str(APPS), cwd=tmp_path, **ACCOUNT)
    assert "users of 2 routes; 2 more" in done.stdout, done.stderr
    assert "lovelace" not in (tmp_path / "duel_users.py").read_text()
    run = ("run", "locked:app", "--app-dir", str(APPS), "-f", "duel_users.py", "-s", "ReadNotes", "-u", "2")
    short = ("--rounds", "1", "-t", "0.2", "--warmup", "0.1", "--json", "-", "--no-progress")
    measured = brisk_here(*run, *short, cwd=tmp_path, charts=False, **ACCOUNT)
    carried_out(measured.returncode, measured.stderr)
    (portrait,) = json.loads(measured.stdout)["portraits"]
    (row,) = portrait["endpoints"]
    assert (row["endpoint"], row["failed"]) == ("/notes", 0)


def test_routes_that_lack_only_an_account_say_how_to_give_it() -> None:
    told = started_text("shop:app", Path("users.py"), 2, 3, ("LOAD_USERNAME", "LOAD_PASSWORD"), "", None)
    assert "set LOAD_USERNAME and LOAD_PASSWORD, delete users.py, and run duel init again" in told
    assert "log-in" not in started_text("shop:app", Path("users.py"), 2, 3, (), "", None)


def test_an_account_that_the_app_refuses_is_one_clear_error(environment: ServingEnvironment) -> None:
    login = Login("token", "/v1/token", ("read",))
    with Server(app("app", "locked"), environment, "1.locked") as server:
        assert bearer(server.url, login, {"LOAD_USERNAME": "ada"}) is None
        assert bearer(server.url, login, ACCOUNT) == f"token-of-{server.pid}"
        with pytest.raises(PlanError, match="POST /v1/token refused the log-in") as refused:
            bearer(server.url, login, {**ACCOUNT, "LOAD_PASSWORD": "byron"})
        assert "answered 400" in refused.value.cause
        with pytest.raises(PlanError) as silent:
            bearer(server.url, Login("token", "/health"), ACCOUNT)
        assert "answered 405" in silent.value.cause
