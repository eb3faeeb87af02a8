"""Locust's sockets, encrypted by a secret that master and workers share.

Locust's own accept any process that connects. These use ZeroMQ's CURVE (its RFC 26: elliptic curve
Diffie-Hellman as in NaCl). The master's key pair follows from the secret, and its public half is never sent:
a worker that can greet the master knows the secret, and so does a master that can answer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from types import SimpleNamespace
from typing import Literal

import locust.runners
import zmq
import zmq.green
from locust.exception import RPCError
from locust.rpc import zmqrpc
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

SALT = b"fastapi-duel worker"
"""The same on all machines: nothing else than the secret is to be carried from one to another."""

BEAT, SILENT = 1_000, 5_000
"""Milliseconds between two signs of life of a connection, and without one after which it is made again."""


POLL = 200
"""Polling interval in milliseconds."""

FAILURES = 5
"""Greetings that fail one after another, after which the secrets differ: one may meet a master that ends."""

HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
)

Greeting = Literal["accepted", "refused", "absent"]


@dataclass(frozen=True)
class SharedKeys:
    """The master's keys, as ZeroMQ takes them."""

    public: bytes
    private: bytes

    @classmethod
    def of(cls, secret: str) -> SharedKeys:
        """By scrypt (RFC 7914; N = 2^15, r = 8, p = 1: about 0.1 s per guess for an attacker who has recorded
        a greeting)."""
        seed = hashlib.scrypt(secret.encode(), salt=SALT, n=2**15, r=8, p=1, maxmem=2**26, dklen=32)
        private = z85.encode(seed)
        return cls(zmq.curve_public(private), private)

    def greet(self, host: str, port: int, patience: float) -> Greeting:
        """Wait for a master, `patience` seconds at most, and see whether it has the same secret: a socket
        alone would try again without a word."""
        deadline, failures = perf_counter() + patience, 0
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            monitor = socket.get_monitor_socket()
            socket.linger, socket.ipv6 = 0, "[" in host
            self.sign(socket)
            socket.connect(f"tcp://{host}:{port}")
            while perf_counter() < deadline and failures < FAILURES:
                event = recv_monitor_message(monitor)["event"] if monitor.poll(POLL) else None
                failures += event in HANDSHAKE_FAILED
                if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    break
            socket.disable_monitor()
        if failures == FAILURES:
            return "refused"
        return "accepted" if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else "absent"

    def sign(self, socket: zmq.Socket[bytes]) -> None:
        """Have a worker's socket prove that it knows the secret."""
        socket.curve_serverkey = self.public
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()

    def use(self) -> None:
        """From now on, Locust's runners in this process connect with these keys."""
        # They look their sockets up in a module, and have no other way to get different ones.
        vars(locust.runners)["rpc"] = SimpleNamespace(
            Server=partial(EncryptedServer, self), Client=partial(EncryptedClient, self)
        )


class EncryptedServer(zmqrpc.Server):
    """The master's side."""

    def __init__(self, keys: SharedKeys, host: str, port: int) -> None:
        """Port 0: any, see `port`. Raises RPCError."""
        zmqrpc.BaseSocket.__init__(self, zmq.ROUTER, self.ipv4_only(host, port))
        keep_alive(self.socket)
        # A worker that connects again, after its network was cut, takes the place of its old connection.
        self.socket.router_handover = True
        self.socket.curve_server = True
        self.socket.curve_secretkey = keys.private
        try:
            self.socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            raise RPCError(str(error.strerror)) from None
        self.port = int(self.socket.getsockopt_string(zmq.LAST_ENDPOINT).rsplit(":", 1)[1])


class EncryptedClient(zmqrpc.Client):
    """A worker's side."""

    def __init__(self, keys: SharedKeys, host: str, port: int, identity: str) -> None:
        zmqrpc.BaseSocket.__init__(self, zmq.DEALER, self.ipv4_only(host, port))
        keep_alive(self.socket)
        keys.sign(self.socket)
        self.socket.identity = identity.encode()
        self.socket.connect(f"tcp://{host}:{port}")


def keep_alive(socket: zmq.Socket[bytes]) -> None:
    """Have a connection that does not answer closed: TCP alone would repeat itself for minutes."""
    socket.heartbeat_ivl, socket.heartbeat_timeout = BEAT, SILENT
