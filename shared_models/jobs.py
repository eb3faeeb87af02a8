"""What both apps' jobs are called, and what they take: the queue and its workers agree on it."""

from __future__ import annotations

SEND_MAIL = "send_mail"
"""The name of the job that sends a mail."""

SECONDS = 0.005
"""That a mail server takes."""

AT_ONCE = 10
"""Jobs that a worker has in progress at once."""

POLL = 0.01
"""ARQ's polling interval in seconds: its default of 0.5 allows 20 jobs per second."""

SENT = "mails"
"""Key of the hash that counts the mails that were sent, by recipient."""
