"""What `duel worker` does: a load generator for a run on another machine. May be imported by `cli.py` and
Python users."""
