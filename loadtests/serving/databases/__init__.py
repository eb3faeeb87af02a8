"""Servers that the apps keep their data on: one that was given, or one of our own that a child keeps.
May be imported by `serving`; what keeps a server runs as a process (`python -m`) of its own."""
