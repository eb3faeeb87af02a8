"""Two apps as one: each request goes to the app that a table names for its route, and all others to the
default app. They share the process, its event loop and AnyIO's threads; each has its own lifespan and state.
Runs in the arm's own process and imports the standard library only; `serve` may import `join` from here."""

from .join import join

__all__ = ["join"]
