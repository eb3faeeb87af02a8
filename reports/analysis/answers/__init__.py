"""Whether two arms gave the same kind of answers, before load and under it.
Imported by `reservations` and `verdicts`."""
