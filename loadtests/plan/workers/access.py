"""What a run and its workers on other machines must agree on before they talk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from loadtests.errors import PlanError
from loadtests.plan.addresses import is_loopback, resolved

VARIABLE = "DUEL_WORKER_SECRET"
"""Holds the secret where no file does."""

PORT = 5557
"""Locust's own, unless another one is given."""

LEAST = 16
"""Characters of a secret: an attacker who has recorded a greeting may try many."""

MAKE_ONE = (
    f"openssl rand -hex 32 > FILE, the same on all machines; then --secret-file FILE, or set {VARIABLE}"
)


@dataclass(frozen=True)
class MasterAddress:
    """Where a run listens for its workers."""

    host: str
    """As in a URL: an IPv6 address stands in brackets."""
    port: int

    @classmethod
    def parse(cls, text: str, flag: str) -> Self:
        """From HOST[:PORT]. Raises PlanError, which names the flag."""
        try:
            parts = urlsplit(f"//{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.netloc != text or parts.username is not None or port == 0:
            raise PlanError(f"{flag} = {text!r} is not HOST[:PORT]", hint=f"such as 10.0.0.5:{PORT}")
        return cls(f"[{host}]" if ":" in host else host, PORT if port is None else port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine. Raises PlanError for a host without an address."""
        return all(map(is_loopback, resolved(self.host.strip("[]"))))

    def check(self, flag: str, allow_remote: bool) -> None:
        """Raises PlanError unless it is on this machine, or `allow_remote`."""
        if not allow_remote and not self.is_near:
            raise PlanError(
                f"{flag} {self} is not a loopback address",
                hint="pass --allow-remote, only with the permission of the other machines' owners",
            )


def shared_secret(file: str | None, environment: Mapping[str, str]) -> str:
    """The secret of a run and its workers, from a file or VARIABLE. Raises PlanError."""
    try:
        secret = environment.get(VARIABLE, "") if file is None else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(
            f"cannot read the secret file {file}", cause=getattr(error, "strerror", None) or str(error)
        ) from None
    secret = secret.strip()
    if not secret:
        raise PlanError("there is no secret that workers share with the run", hint=MAKE_ONE)
    if len(secret) < LEAST:
        raise PlanError(f"the secret of workers has fewer than {LEAST} characters", hint=MAKE_ONE)
    return secret


def users_digest(file: str, helpers: Iterable[str]) -> str:
    """One digest of a locustfile and of what it imports, from theirs: other code makes another load."""
    return hashlib.sha256("\n".join([file, *sorted(helpers)]).encode()).hexdigest()[:12]
