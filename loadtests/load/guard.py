"""Keeps this process from connecting to other machines."""

from __future__ import annotations

import sys
from typing import Any

from loadtests.plan.addresses import INTERNET, is_loopback


def guard() -> None:
    """From now on this process cannot connect elsewhere: neither by a redirect, nor by a name that resolves
    differently later, nor by a scenario's own code."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.connect":
            return
        connecting, address = arguments
        if connecting.family in INTERNET and not is_loopback(str(address[0])):
            raise PermissionError(
                f"load goes to loopback addresses only, not to {address[0]}: pass --allow-remote"
            )

    sys.addaudithook(refuse)
