"""Everything that a framework calls, in apps of many shapes: lines marked `# wrong` hold the event loop while
requests are served, lines marked `# fine` do not."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import socketio  # type: ignore[import-untyped]  # as it comes
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, WebSocket
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

Send = Callable[[Any], Awaitable[None]]


# Starlette: classes, methods by their own style, mounts, hosts, partials, apps in a route's place.


class Report(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        time.sleep(0)  # wrong
        return PlainTextResponse("")

    def post(self, request: Request) -> PlainTextResponse:
        time.sleep(0)  # fine
        return PlainTextResponse("")


class Talk(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        time.sleep(0)  # wrong


async def with_word(word: str, request: Request) -> PlainTextResponse:
    time.sleep(0)  # wrong
    return PlainTextResponse(word)


def in_a_thread(request: Request) -> PlainTextResponse:
    time.sleep(0)  # fine
    return PlainTextResponse("")


class Raw:
    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        time.sleep(0)  # wrong


class OnOneRoute:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        time.sleep(0)  # wrong
        await self.app(scope, receive, send)


class OnARouter(OnOneRoute):
    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        time.sleep(0)  # wrong
        await self.app(scope, receive, send)


class OnAMount(OnOneRoute):
    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        time.sleep(0)  # wrong
        await self.app(scope, receive, send)


classes = Starlette(
    routes=[
        Mount("/v1", routes=[Route("/reports", Report)]),
        Mount("/static", StaticFiles(directory=".", check_dir=False)),
        Host("api.example", Starlette(routes=[Route("/word", functools.partial(with_word, "hello"))])),
        Route("/threaded", in_a_thread, middleware=[Middleware(OnOneRoute)]),
        Route("/raw", Raw()),
        WebSocketRoute("/talk", Talk),
        Mount("/routed", Router([Route("/", in_a_thread)], middleware=[Middleware(OnARouter)])),
        Mount("/mounted", routes=[Route("/", in_a_thread)], middleware=[Middleware(OnAMount)]),
    ]
)


# FastAPI: sockets, hidden routes, dependencies everywhere, class-based views, a route class, the lifespan.


@contextlib.asynccontextmanager
async def life(_: FastAPI) -> AsyncIterator[None]:
    time.sleep(0)  # fine
    yield


async def poll() -> None:
    time.sleep(0)  # wrong


@contextlib.asynccontextmanager
async def beside(_: FastAPI) -> AsyncIterator[None]:
    time.sleep(0)  # fine
    task = asyncio.create_task(poll())
    yield
    task.cancel()


async def handed_on(tasks: BackgroundTasks) -> None:
    tasks.add_task(poll)


polling = FastAPI(lifespan=beside)
polling.get("/handed-on")(handed_on)
for number in range(12):
    polling.include_router(APIRouter(), prefix=f"/{number}")


async def of_the_app() -> None:
    time.sleep(0)  # wrong


async def of_the_router() -> None:
    time.sleep(0)  # wrong


class Gatekeeper:
    async def __call__(self) -> int:
        time.sleep(0)  # wrong
        return 1


class Numbers:
    def __init__(self) -> None:
        time.sleep(0)  # fine


async def deep(_: Annotated[Numbers, Depends()]) -> AsyncIterator[int]:
    time.sleep(0)  # wrong
    yield 1


def between(one: Annotated[int, Depends(deep)]) -> int:
    time.sleep(0)  # fine
    return one


class Timed(APIRoute):
    def get_route_handler(self) -> Callable[[Any], Any]:
        original = super().get_route_handler()

        async def timed(request: Request) -> Any:
            time.sleep(0)  # wrong
            return await original(request)

        return timed


class View:
    """As fastapi-utils has it: a method is a route, and `self` a dependency."""

    async def items(self, request: Request) -> None:
        time.sleep(0)  # wrong


router = APIRouter(prefix="/inner", dependencies=[Depends(of_the_router)], route_class=Timed)
routed = FastAPI(lifespan=life, dependencies=[Depends(of_the_app)])


@router.get("/deep")
async def needs(one: Annotated[int, Depends(between)], two: Annotated[int, Depends(Gatekeeper())]) -> int:
    return one + two


def abstract() -> int:
    raise NotImplementedError


async def filled_in(_: Annotated[None, Depends(of_the_router)]) -> int:
    time.sleep(0)  # wrong
    return 1


@routed.get("/filled-in")
async def with_abstract(one: Annotated[int, Depends(abstract)]) -> int:
    return one


routed.dependency_overrides[abstract] = filled_in
routed.include_router(router, prefix="/outer")
routed.add_api_route("/items", View().items)


@routed.get("/hidden", include_in_schema=False)
async def hidden() -> None:
    time.sleep(0)  # wrong


@routed.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    time.sleep(0)  # wrong


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def outer(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return outer


@routed.get("/decorated")
@doubled
@doubled
async def decorated() -> int:
    return 1


# Middleware and handlers, of every kind.


class Accounts(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        time.sleep(0)  # wrong
        return await call_next(request)


class Audit:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        time.sleep(0)  # wrong
        await self.app(scope, receive, send)


class Login(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> Any:
        time.sleep(0)  # wrong
        return AuthCredentials(), SimpleUser("ada")


guarded = FastAPI()
guarded.add_middleware(Accounts)
guarded.add_middleware(Audit)
guarded.add_middleware(GZipMiddleware)
guarded.add_middleware(AuthenticationMiddleware, backend=Login())


@guarded.middleware("http")
async def timed_function(request: Request, call_next: Any) -> Any:
    time.sleep(0)  # wrong
    return await call_next(request)


@guarded.exception_handler(LookupError)
async def lost(request: Request, error: LookupError) -> PlainTextResponse:
    time.sleep(0)  # wrong
    return PlainTextResponse("")


@guarded.exception_handler(404)
def missing(request: Request, error: Exception) -> PlainTextResponse:
    time.sleep(0)  # fine
    return PlainTextResponse("")


# Wrappers: attributes of any name, closures, partials, containers, slots, a global; Socket.IO's events.

inner = FastAPI()


@inner.get("/inner")
async def blocks() -> None:
    time.sleep(0)  # wrong


class Holder:
    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        await self.held(scope, receive, send)


def closing_over(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Send) -> None:
        time.sleep(0)  # wrong
        await app(scope, receive, send)

    return called


async def passes_on(app: Any, scope: Any, receive: Any, send: Send) -> None:
    await app(scope, receive, send)


async def names_a_global(scope: Any, receive: Any, send: Send) -> None:
    await inner(scope, receive, send)


class Dispatcher:
    def __init__(self, apps: dict[str, Any]) -> None:
        self.apps = apps

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        await self.apps[scope["path"]](scope, receive, send)


server = socketio.AsyncServer(async_mode="asgi")


@server.event  # type: ignore[untyped-decorator]  # as above
def said(sid: str, text: str) -> None:
    time.sleep(0)  # wrong


class Room(socketio.AsyncNamespace):  # type: ignore[misc]  # as above
    async def on_enter(self, sid: str) -> None:
        time.sleep(0)  # wrong


server.register_namespace(Room("/room"))

in_a_slot = Holder(inner)
in_a_closure = closing_over(inner)
in_a_partial = functools.partial(passes_on, inner)
in_a_dict = Dispatcher({"/": Holder(inner)})
in_socketio = socketio.ASGIApp(server, other_asgi_app=inner)
mounted_sockets = FastAPI()
mounted_sockets.mount("/io", socketio.ASGIApp(server))


async def bare(scope: Any, receive: Any, send: Send) -> None:
    """An app without a framework."""
    time.sleep(0)  # wrong


# Factories of middleware: what they define is read, what they get elsewhere is told.


def defines(app: Any) -> Any:
    async def defined(scope: Any, receive: Any, send: Send) -> None:
        time.sleep(0)  # wrong
        await app(scope, receive, send)

    return defined


made_here = FastAPI()
made_here.add_middleware(defines)


def made_later(app: Any) -> Any:
    return closing_over(app)


unread = FastAPI()
unread.add_middleware(made_later)


# Methods that call others of their object, and what it is made with.


class Waits:
    def now(self) -> None:
        time.sleep(0)  # wrong


class Checked(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        self.check()
        return await call_next(request)

    def check(self) -> None:
        time.sleep(0)  # wrong


class Given:
    def __init__(self, app: Any, waits) -> None:  # type: ignore[no-untyped-def]  # as people write it
        self.app, self.waits = app, waits
        self.kept = waits

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        self.kept.now()
        await self.app(scope, receive, send)


class Page(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        return self.look_up()

    def look_up(self) -> PlainTextResponse:
        time.sleep(0)  # wrong
        return PlainTextResponse("")


class Hall(socketio.AsyncNamespace):  # type: ignore[misc]  # as above
    async def on_enter(self, sid: str) -> None:
        self.note(sid)

    def note(self, sid: str) -> None:
        time.sleep(0)  # wrong


halls = socketio.AsyncServer(async_mode="asgi")
halls.register_namespace(Hall("/hall"))
by_methods = FastAPI()
by_methods.add_middleware(Checked)
by_methods.add_middleware(Given, waits=Waits())
by_methods.router.routes.append(Route("/page", Page))
by_methods.mount("/io", socketio.ASGIApp(halls))


# Lifespans: what they wait for holds no request up, the tasks that they start do.


class Worker:
    async def start(self) -> None:
        time.sleep(0)  # fine


@contextlib.asynccontextmanager
async def with_worker(_: FastAPI) -> AsyncIterator[None]:
    await Worker().start()
    yield


async def refresh() -> None:
    time.sleep(0)  # wrong


async def forever() -> None:
    while True:
        await refresh()
        await asyncio.sleep(60)


@contextlib.asynccontextmanager
async def refreshing(_: FastAPI) -> AsyncIterator[None]:
    await refresh()
    task = asyncio.create_task(forever())
    yield
    task.cancel()


@contextlib.asynccontextmanager
async def polls(app: FastAPI) -> AsyncIterator[None]:
    await app.state.database.connect()
    task = asyncio.create_task(app.state.poller.run())
    yield
    task.cancel()


working, refreshed, polled = (
    FastAPI(lifespan=with_worker),
    FastAPI(lifespan=refreshing),
    FastAPI(lifespan=polls),
)


# An app without a framework that hands requests to another.


class Below:
    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        time.sleep(0)  # wrong


class Chooser:
    def __init__(self) -> None:
        self.below = Below()

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        await self.below(scope, receive, send)


class First(Given):
    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        time.sleep(0)  # wrong
        await self.app(scope, receive, send)


chooser = Chooser()
stacked = Starlette(
    routes=[
        Route(
            "/", in_a_thread, middleware=[Middleware(First, waits=Waits()), Middleware(Given, waits=Waits())]
        )
    ]
)
