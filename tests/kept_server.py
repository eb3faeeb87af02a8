"""A server as `loadtests.serving.databases.keeping` keeps it, for tests: it serves its directory's files."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from loadtests.serving.databases.keeping import OwnServer, free_port, keep


def made(home: Path) -> OwnServer:
    (home / "greeting").write_text("hello")
    port = free_port()

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    return OwnServer(command, f"http://127.0.0.1:{port}", answers)


if __name__ == "__main__":
    keep("Files", made)
