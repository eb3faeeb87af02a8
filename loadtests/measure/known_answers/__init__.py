"""Apps whose answer is known before they are measured, and the plans of `duel selftest` that measure them.
May be imported by `cli.py`; the apps are served by import string."""
