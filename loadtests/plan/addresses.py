"""Where load may go: to loopback addresses, unless the user allows more."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from loadtests.errors import PlanError

INTERNET = (socket.AF_INET, socket.AF_INET6)

HINT = "write NAME=http://127.0.0.1:9000, the address of an external server"


def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine's own; 0.0.0.0 means every address, so it is not."""
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
        raise PlanError(f"host {host!r} has no address: {error}", hint=HINT) from None
    return tuple(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))


def check_target(url: str, allow_remote: bool = False) -> None:
    """Raises PlanError unless load may go to `url`: http, no secrets in it, and all its addresses on this
    machine, or `allow_remote`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise PlanError(f"the address {url!r} cannot be read: {error}", hint=HINT) from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        # Not repeated in the message: it would end in logs.
        raise PlanError(
            f"the address of the server on {host} holds more than http://host:port/path",
            hint="names, passwords and queries would be recorded: pass them in the scenario's environment",
        )
    if parts.scheme != "http" or not host:
        raise PlanError(f"the address {url!r} is not http://host:port", hint=HINT)
    if port == 0:
        raise PlanError(f"the address {url!r} has no port to ask", hint=HINT)
    if allow_remote:
        return
    far = [address for address in resolved(host) if not is_loopback(address)]
    if far:
        shown = far[0] if far[0] == host else f"{host} ({far[0]})"
        raise PlanError(
            f"{shown} is not a loopback address, and load goes to this machine only",
            hint="write 127.0.0.1; or pass --allow-remote, only with the permission of that machine's owner",
        )
