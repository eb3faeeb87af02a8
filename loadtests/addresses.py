"""Where load may go: to this machine alone, unless somebody says otherwise."""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

from loadtests.plan import PlanError

INTERNET = (socket.AF_INET, socket.AF_INET6)
HINT = "write NAME=http://127.0.0.1:9000, the address of a server that runs"


def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine's own; 0.0.0.0 is every address, and so is none."""
    try:
        # A scope, as in fe80::1%eth0, says which interface and not which machine.
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def resolved(host: str) -> tuple[str, ...]:
    """The IP addresses of a host name. Raises PlanError."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PlanError(f"host {host!r} has no address: {error}", HINT) from None
    return tuple(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))


def check_target(url: str, allow_remote: bool = False) -> None:
    """Raises PlanError unless load may go to `url`: http, no secrets in it, and all its addresses on this
    machine, or `allow_remote`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise PlanError(f"the address {url!r} cannot be read: {error}", HINT) from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        # Not repeated in the message: it would end in logs.
        raise PlanError(
            f"the address of the server on {host} holds more than http://host:port/path",
            "names, passwords and queries would be recorded; give them to the scenario by its environment",
        )
    if parts.scheme != "http" or not host:
        raise PlanError(f"the address {url!r} is not http://host:port", HINT)
    if port == 0:
        raise PlanError(f"the address {url!r} has no port to ask", HINT)
    if allow_remote:
        return
    far = [address for address in resolved(host) if not is_loopback(address)]
    if far:
        shown = far[0] if far[0] == host else f"{host} ({far[0]})"
        raise PlanError(
            f"{shown} is not a loopback address, and load goes to this machine only",
            "write 127.0.0.1; or pass --allow-remote, if that machine is yours and its owner knows",
        )


def guard() -> None:
    """From now on this process cannot connect elsewhere: neither by a redirect, nor by a name that resolves
    otherwise the second time, nor by what a scenario does by itself."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.connect":
            return
        connecting, address = arguments
        if connecting.family in INTERNET and not is_loopback(str(address[0])):
            raise PermissionError(
                f"load goes to loopback addresses only, not to {address[0]}: pass --allow-remote"
            )

    sys.addaudithook(refuse)
