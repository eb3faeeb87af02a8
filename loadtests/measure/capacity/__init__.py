"""Searches for the highest rate of arrivals at which a target holds, arm by arm. May be imported by `cli.py`
and Python users."""
