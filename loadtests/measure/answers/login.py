"""The log-in of an app that is asked: with an account from the environment, a bearer token."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from loadtests.errors import PlanError
from loadtests.measure.answers.direct import client_of
from loadtests.measure.answers.document import Login
from loadtests.measure.answers.equality import PATIENCE

USERNAME, PASSWORD = "LOAD_USERNAME", "LOAD_PASSWORD"
"""Variables with the account, so that no file holds a password."""


def has_account(environ: Mapping[str, str]) -> bool:
    """Whether the environment names an account."""
    return bool(environ.get(USERNAME) and environ.get(PASSWORD))


def bearer(url: str, login: Login, environ: Mapping[str, str]) -> str | None:
    """The token that the app at `url` gives for the account in the environment; None where that names none.
    Raises PlanError where the account is refused."""
    if not has_account(environ):
        return None
    form = {
        "grant_type": "password",
        "username": environ[USERNAME],
        "password": environ[PASSWORD],
        "scope": " ".join(login.scopes),
    }
    try:
        with client_of(url, PATIENCE) as client:
            answer = client.post(login.path, data=form)
        if answer.is_success:
            return str(answer.json()["access_token"])
        cause = f"answered {answer.status_code}: {answer.text[:300]}"
    except httpx.HTTPError as error:
        cause = type(error).__name__
    except (ValueError, KeyError, TypeError):
        cause = "its answer has no access_token"
    raise PlanError(
        f"POST {login.path} refused the log-in of {USERNAME}",
        cause=cause,
        hint=f"name an account of this app in {USERNAME} and {PASSWORD}, or unset both",
    )
