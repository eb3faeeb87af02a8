"""Messages to the process that started this one: a line of JSON each, on its stdout."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO


class Messages:
    """Where the messages go."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stdout

    def keep_apart(self) -> None:
        """From now on, what others print here goes to stderr: what a scenario prints is no message."""
        self.stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def tell(self, event: str, **facts: Any) -> None:
        self.stream.write(json.dumps({"event": event, **facts}) + "\n")
        self.stream.flush()


MESSAGES = Messages()

tell = MESSAGES.tell
