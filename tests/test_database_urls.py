"""The databases that `--database` takes: those on this machine, shown without their secrets."""

from __future__ import annotations

import pytest

from loadtests.errors import PlanError
from loadtests.plan.database_url import backend, checked, without_secrets


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("oracle://root@127.0.0.1/x", "is neither a postgresql:// nor a mysql:// URL"),
        ("duel.db", "is neither a postgresql:// nor a mysql:// URL"),
        ("postgresql://u:secret@db.example.org/x", "is on db.example.org, not on this machine"),
        ("mysql://u:secret@db.example.org/x", "is on db.example.org, not on this machine"),
        ("postgresql://u:secret@127.0.0.1/x?hostaddr=192.0.2.1", "is on 192.0.2.1"),
        ("postgresql://u:secret@127.0.0.1/x?host=192.0.2.1", "is on 192.0.2.1"),
        ("postgresql://u:secret@127.0.0.1/x?dbname=precious", "options that cannot be used here: dbname"),
        ("postgresql://u:secret@127.0.0.1/x?service=elsewhere", "cannot be used here: service"),
        ("mysql://u:secret@127.0.0.1/x?host=192.0.2.1", "options that cannot be used here: host"),
        ("mysql://u:secret@127.0.0.1/x?database=precious", "options that cannot be used here: database"),
        ("mysql://u:secret@127.0.0.1/x?read_default_file=/x", "cannot be used here: read_default_file"),
        ("postgresql://u:secret@192.0.2.1:5432/x", "is on 192.0.2.1"),
        ("postgresql://u:secret@127.0.0.1:port/x", "cannot be read"),
        ("mysql://u:secret@127.0.0.1:port/x", "cannot be read"),
        ("postgresql://u:secret@127.0.0.1,db.example.org/x", "not on this machine"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_without_telling_its_password(
    given: str, said: str
) -> None:
    with pytest.raises(PlanError) as caught:
        checked(given)
    assert said in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("variable", "given"), [("PGHOST", "postgresql:///x"), ("PGHOSTADDR", "postgresql://127.0.0.1/x")]
)
def test_a_host_in_the_environment_is_checked_too(
    variable: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "192.0.2.1")
    with pytest.raises(PlanError, match=r"is on 192\.0\.2\.1"):
        checked(given)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("postgresql", "postgresql"), ("postgresql://127.0.0.1/x", "postgresql"),
        ("postgres://u:p@[::1]:5432/x", "postgresql"), ("postgresql:///x?host=/run/pg", "postgresql"),
        ("mysql", "mysql"), ("mysql://u:p@127.0.0.1:3306/x", "mysql"), ("mariadb://u@localhost", "mysql"),
        ("mysql://u@localhost/x?unix_socket=/run/mysqld/mysqld.sock", "mysql"),
    ],
)  # fmt: skip
def test_a_database_on_this_machine_is_accepted(given: str, kind: str) -> None:
    assert checked(given) == given
    assert backend(given) == kind


def test_without_one_it_is_sqlite() -> None:
    assert backend(None) == "sqlite"


def test_a_database_is_shown_without_user_password_and_options() -> None:
    for kind in ("postgresql", "mysql"):
        assert without_secrets(f"{kind}://u:p%40@127.0.0.1:99/x?password=q") == f"{kind}://127.0.0.1:99/x"
