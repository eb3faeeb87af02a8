"""The servers that can serve an arm, a file each. All run on an event loop of this process, so heartbeats,
the watchdog and the pulse work with each of them.

Runs in the arm's own process: only that server's packages are imported, and AnyIO. `serve` may import
`server`, `ServedApp` and `Beginning` from here.
"""

from .beginning import Beginning
from .running import ServedApp, server

__all__ = ["Beginning", "ServedApp", "server"]
