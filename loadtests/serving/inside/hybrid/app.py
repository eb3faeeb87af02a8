"""Two apps as one ASGI app."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .documents import METHODS, union, with_document
from .known import WEBSOCKET, KnownRoute, Match, entry, known_routes, shape
from .lifespans import Lifespan


class ServedRoute(NamedTuple):
    """A route with the methods that its app serves; the attributes are those of Starlette's routes."""

    endpoint: Any
    methods: frozenset[str] | None


class JoinedApp:
    """One of the two apps, with its routes in the order in which it tries them."""

    def __init__(
        self, app: Any, interface: str, found: Sequence[tuple[str, Any]], table: Iterable[str]
    ) -> None:
        """`found`: paths and routes; none where they are not known. `table`: the routes that it is to serve.
        Raises LookupError with the first of them that it does not have."""
        self.app = app
        self.call = app if interface == "asgi3" else lambda scope, receive, send: app(scope)(receive, send)
        self.state: dict[str, Any] = {}
        """What its lifespan has given to its requests."""
        self.routes = known_routes(found, [entry(line) for line in table])
        documented = with_document(app)
        root = str(getattr(documented, "root_path", "") or "").rstrip("/")
        # An app that is told its prefix answers with it and without it.
        self.every = [*self.routes, *(one.at(root + one.path) for one in self.routes if root)]

    def first(self, method: str, path: str) -> KnownRoute | None:
        """The route that answers, as in the app: the first one that matches."""
        return next((one for one in self.every if one.suits(method) and one.match(path)), None)


class MethodSwitch(NamedTuple):
    """Which app serves a method's requests."""

    exact: Mapping[str, JoinedApp]
    """By path, of every route without parameters."""
    patterns: Sequence[tuple[Match, JoinedApp]]
    """Of the others, in the order in which they are tried; what none matches is the default's."""


class HybridApp:
    """Both as one ASGI app."""

    def __init__(self, default: JoinedApp, other: JoinedApp) -> None:
        self.default, self.other = default, other
        known = [one for app in (default, other) for one in app.routes]
        methods = {method for one in known for method in (*(one.methods or ()), *(one.named or ()))}
        self.switches = {method: self.switch(method) for method in methods}
        self.unlisted = self.switch("")
        self.join_documents()

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        # Not a coroutine: one more for every request would be measured.
        if scope["type"] == "lifespan":
            return self.live(scope, receive, send)
        exact, patterns = self.switches.get(scope.get("method", WEBSOCKET), self.unlisted)
        path = scope["path"]
        app = exact.get(path)
        if app is None:
            app = self.default
            for match, owner in patterns:
                if match(path):
                    app = owner
                    break
        scope["state"] = app.state.copy()
        answered: Awaitable[None] = app.call(scope, receive, send)
        return answered

    def switch(self, method: str) -> MethodSwitch:
        """Which app serves a method's requests, as far as its routes take that method."""
        every = [one for app in (self.other, self.default) for one in app.every if one.suits(method)]
        patterns = [
            (one.match, self.other if one.takes(method) else self.default)
            for one in self.other.every if one.suits(method) and not one.literal
        ]  # fmt: skip
        while patterns and patterns[-1][1] is self.default:
            patterns.pop()
        exact = {one.path: self.owner(method, one.path) for one in every if one.literal}
        return MethodSwitch(exact, patterns)

    def owner(self, method: str, path: str) -> JoinedApp:
        """The app that serves the path of a route without parameters. Where both tables have a route
        that matches it, the one that names the path itself counts."""
        theirs, ours = self.other.first(method, path), self.default.first(method, path)
        if theirs is None or not theirs.takes(method):
            return self.default
        kept = ours is not None and ours.literal and ours.takes(method)
        return self.default if kept and not theirs.literal else self.other

    def duel_routes(self) -> list[tuple[str, ServedRoute]]:
        """The paths and routes of both, each with the methods that its app serves; in the default's order."""
        places: dict[str, int] = {}
        for number, one in enumerate(self.default.routes):
            places.setdefault(shape(one.path), number)
        found: list[tuple[int, str, ServedRoute]] = []
        for one in self.other.routes:
            if one.named != frozenset():
                place = places.get(shape(one.path), len(places))
                found.append((place, one.path, ServedRoute(one.endpoint, one.named)))
        for one in self.default.routes:
            left = self.left(one)
            if left != frozenset():
                found.append((places[shape(one.path)], one.path, ServedRoute(one.endpoint, left)))
        return [(path, route) for _, path, route in sorted(found, key=lambda one: one[0])]

    def left(self, route: KnownRoute) -> frozenset[str] | None:
        """The methods of one of the default's routes that the other app does not serve."""
        methods = route.methods
        for one in self.other.routes:
            if shape(one.path) == shape(route.path):
                if one.named is None:
                    return frozenset()
                methods = methods - one.named if methods is not None else None
        return methods

    def join_documents(self) -> None:
        """Where both have an OpenAPI document, the default app answers with what both serve."""
        ours, theirs = with_document(self.default.app), with_document(self.other.app)
        if ours is None or theirs is None:
            return
        own = ours.openapi
        taken = {
            (shape(one.path), method.lower())
            for one in self.other.routes
            for method in (METHODS if one.named is None else one.named)
        }
        # FastAPI's own route calls this attribute for every answer.
        ours.openapi = lambda: union(own(), theirs.openapi(), taken)

    async def live(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """The lifespans of both: started one after the other, stopped in reverse."""
        await receive()
        running: list[Lifespan] = []
        for app in (self.other, self.default):
            life = Lifespan(app.call, scope)
            app.state = life.state
            said = await life.ask("startup")
            if said is not None and said["type"] == "lifespan.startup.failed":
                for earlier in reversed(running):
                    await earlier.ask("shutdown")
                await send(said)
                return
            # An app without a lifespan ends without an answer.
            running += [life] if said is not None else []
        await send({"type": "lifespan.startup.complete"})
        await receive()
        answers = [await life.ask("shutdown") for life in reversed(running)]
        failed = [one for one in answers if one is not None and one["type"] == "lifespan.shutdown.failed"]
        await send(failed[0] if failed else {"type": "lifespan.shutdown.complete"})
