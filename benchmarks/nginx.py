"""A real nginx on loopback: fast enough that the generator is the limit, not its target."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

CONFIGURATION = """
{user}
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests {keepalive_requests};
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {directory};
    location = /ping {{ default_type application/json; return 200 '{{"result":"pong"}}'; }}
  }}
}}
"""


@contextmanager
def nginx(
    directory: Path, keepalive_requests: int = 1_000_000_000, prefix: tuple[str, ...] = ()
) -> Iterator[str]:
    """Serves `/ping` and the files of `directory`; yields its URL. `prefix` can pin it to a CPU."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = directory / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(
            # Started by root, its workers would switch to a user without access to the temporary directory.
            user="user root;" if os.geteuid() == 0 else "",
            directory=directory,
            port=port,
            keepalive_requests=keepalive_requests,
        )
    )
    directory.chmod(0o755)
    command = [*prefix, str(NGINX), "-c", str(file), "-e", str(directory / "error.log")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
