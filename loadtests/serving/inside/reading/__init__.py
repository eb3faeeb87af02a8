"""Reads an app's functions for calls that block, without running them. Runs in the app's own process.
Imports the standard library only; `describe_app` may import `read` from here."""

from .reader import read

__all__ = ["read"]
