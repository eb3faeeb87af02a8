"""The claims of docs/claims.md: whose they are, what was done there, and how our measurements judge them.

The claimed figures are the sources' own; ours come from runs. `rests_on` says which verdicts a judgement
needs, the one that answers the claim first, and claims.py refuses to print it beside others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from benchmarks.asked import EQUAL, FASTER, OPEN, SLOWER, Topic

JUDGEMENTS = ("holds", "does not hold", "does not follow from ")
"""How every judgement starts."""

NOT_FASTER = (*EQUAL, *SLOWER)
NO_DIFFERENCE = ("invalid", *OPEN, *EQUAL)
"""The verdicts of a cell whose load generator hides what its arms differ in."""


@dataclass(frozen=True, kw_only=True)
class Claim(Topic):
    """A topic whose `words` are what was done at the source, and whose `answer` is why it is judged so."""

    claimed: str
    """The figure, as the source has it."""
    author: str
    source: str
    """Its address."""
    published: str
    judgement: str
    within: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """Where the judgement is about size: what the interval of a ratio must be within, by cell and arm."""


def command(arms: dict[str, str], scenarios: str, users: str) -> str:
    """`duel run` with arms from examples/claims/ and its users; `arms`: import strings by name."""
    given = " ".join(f"--arm {name}=examples.claims.{app}" for name, app in arms.items())
    return f"duel run {given} -f examples/claims/load.py -s {scenarios} -u {users} --max-time 3m"


HELLO = {"sync": "hello:sync", "async": "hello:asynchronous"}
KEYWORD = command(
    {"blocking": "waiting:blocking", "sync": "waiting:sync", "async": "waiting:asynchronous"}, "Wait50", "20"
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        title="An empty route gains 85% from async def",
        claimed="×1.86",
        author="Amir Karimi",
        source="https://amirkarimi.dev/blog/2023/07/23/make-fastapi-cpu-bound-endpoints-2x-faster/",
        published="2023-07-23",
        words="A route that returns a text, once as `def` and once as `async def`, each asked 1,000 times "
        "by `ab` with 100 connections: 7,103 against 13,191 requests per second. A tenth of a second of "
        "load each.",
        run="hello",
        command=command(HELLO, "Hello,HelloByLocust", "100"),
        scenarios=("Hello",),
        judgement="holds",
        answer="The saving is the hop into a thread and back. The run was far too short for an accurate "
        "figure, but its direction was right.",
        unless="It is the gain of a route that does nothing. The longer a route computes, the less of it is "
        "left.",
        rests_on={("Hello@100", "async"): FASTER},
    ),
    Claim(
        title="A Django hello world is faster than FastAPI",
        claimed="Django ahead",
        author="a question about FastAPI 0.68",
        source="https://django.fun/qa/20007",
        published="about 2021",
        words="A hello world in both frameworks, each under 300 Locust users on `HttpUser`, Locust's "
        "default client, with a `print` in the task.",
        run="hello",
        command=command(HELLO, "Hello,HelloByLocust", "100"),
        scenarios=("Hello", "HelloByLocust"),
        judgement="does not follow from its measurement",
        answer="Such a client needs more CPU time per request than the route, so the benchmark compared the "
        "client with itself. We did not measure Django; but two routes that differ under the lean "
        "client show no valid difference under this one.",
        unless="Locust's default client is fine for routes that take milliseconds, and for several "
        "generators.",
        rests_on={("HelloByLocust@100", "async"): NO_DIFFERENCE, ("Hello@100", "async"): FASTER},
    ),
    Claim(
        title="41 times as much from one keyword",
        claimed="×41",
        author="surdi.in",
        source="https://surdi.in/blog/41x-from-one-keyword/",
        published="2026",
        words="A service on one CPU under k6, six kinds of requests, some of which call a slow service: "
        "1.68 requests per second with blocking handlers, 69.6 with `async def`. The code is not public; "
        "[the project's page](https://surdi.in/projects/scaleguild/) says that the blocking handlers "
        "serialize the whole service.",
        run="keyword",
        command=KEYWORD,
        scenarios=("Wait50",),
        judgement="holds only against handlers that block the event loop",
        answer="Then one request is served at a time, and the factor is the number of users: 20 here, and "
        "41 with 41. A plain `def`, which waits in one of 40 threads, gains as much.",
        unless="With more users than threads, `def` falls behind: see the claims about 100 connections.",
        rests_on={("Wait50@20", "async"): FASTER, ("Wait50@20", "sync"): FASTER},
        within={("Wait50@20", "async"): (15.0, 25.0), ("Wait50@20", "sync"): (15.0, 25.0)},
    ),
    Claim(
        title="Flask is 20 times as fast as an async framework",
        claimed="×19.2",
        author="sanic-org/sanic#2599",
        source="https://github.com/sanic-org/sanic/issues/2599",
        published="2022-11-10",
        words="A handler that waits for 50 ms, in Flask and in Sanic, under `ab -n 200 -c 20`: 53 ms "
        "against 1,019 ms on average. FastAPI has the same report with a wait of 2 s "
        "([fastapi#5908](https://github.com/fastapi/fastapi/issues/5908), 2023-01-21), and there the code "
        "is shown: `sleep(2)` inside `async def`.",
        run="keyword",
        command=KEYWORD,
        scenarios=("Wait50",),
        judgement="holds only for handlers that block the event loop",
        answer="It is the previous claim's mistake in reverse: `sync` waits in threads, as Flask does, and "
        "`blocking` is `async def` with a blocking call. Written with `await`, the async handler is as fast "
        "as threads.",
        unless="With one user, the difference does not appear.",
        rests_on={("Wait50@20", "sync"): FASTER, ("Wait50@20", "async"): FASTER},
        within={("Wait50@20", "sync"): (15.0, 25.0), ("Wait50@20", "async"): (15.0, 25.0)},
    ),
    Claim(
        title="Async serves 2.5 times as many slow requests",
        claimed="×2.50",
        author="ajndkr/fastapi-concurrency-tests",
        source="https://github.com/ajndkr/fastapi-concurrency-tests",
        published="2023-09-03",
        words="Routes that sleep for 10 s, under wrk with 100 connections for a minute: 3.33 requests per "
        "second as `def`, 8.33 as `async def`. With four workers there is no difference. Here they sleep "
        "for 300 ms.",
        run="threads",
        command=command(
            {"sync": "waiting:sync", "async": "waiting:asynchronous", "hundred": "waiting:sync,threads=100"},
            "Wait300",
            "100",
        ),
        scenarios=("Wait300",),
        judgement="holds only with more users than threads",
        answer="100 connections share 40 threads: the factor is 100 ÷ 40. With `threads=100` it is gone, as "
        "with their four workers, which have 160.",
        unless="Threads cost CPU time and memory: what waits for seconds is better `async def`.",
        rests_on={("Wait300@100", "async"): FASTER, ("Wait300@100", "hundred"): FASTER},
        within={("Wait300@100", "async"): (2.0, 3.0), ("Wait300@100", "hundred"): (2.0, 3.0)},
    ),
    Claim(
        title="FastAPI is 20 times as fast as Flask where routes wait",
        claimed="×20.1",
        author="Kulikovpavel/web_speedtest",
        source="https://github.com/Kulikovpavel/web_speedtest",
        published="2020-03-02",
        words="Routes that wait for 300 ms, under hey with 100 connections for 5 s: Flask on five "
        "synchronous gunicorn workers 16.4 requests per second, FastAPI on five workers 330. Here they wait "
        "for 50 ms.",
        run="workers",
        command=command(
            {"five": "waiting:sync,threads=5", "sync": "waiting:sync", "async": "waiting:asynchronous"},
            "Wait50",
            "100",
        ),
        scenarios=("Wait50",),
        judgement="holds only against five requests at a time",
        answer="Five synchronous workers serve five requests at a time, 5 ÷ 0.3 s = 16.7 per second, "
        "whatever the framework: the factor is 100 ÷ 5. `def` routes on five threads are as slow, and with "
        "40 threads most of the factor is gone.",
        unless="That FastAPI allows 40 by default, and gunicorn one per worker, is a difference that many "
        "apps do have.",
        rests_on={("Wait50@100", "async"): FASTER, ("Wait50@100", "sync"): FASTER},
        within={("Wait50@100", "async"): (15.0, 25.0), ("Wait50@100", "sync"): (6.0, 10.0)},
    ),
    Claim(
        title="Async Python is not faster",
        claimed="×0.89",
        author="Cal Paterson",
        source="https://calpaterson.com/async-python-is-not-faster.html",
        published="June 2020",
        words="One row of PostgreSQL by its key, as JSON, behind nginx, under 100 connections: 5,589 "
        "requests per second with 16 synchronous workers (Falcon, meinheld), 4,952 with 5 asynchronous ones "
        "(Starlette, uvicorn, aiopg). The synchronous servers got more workers because they benefit from "
        "them.",
        run="rows",
        command="duel run --database postgresql --arm sync=sync,workers=2 --arm async=async,workers=2 -s "
        "posts.read -u 100 --max-time 3m",
        scenarios=("posts.read",),
        judgement="holds",
        answer="A query that takes less than a millisecond leaves nothing to wait for. Here both styles "
        "have the same framework, server, driver (psycopg) and number of workers, which there all differed.",
        unless="With a database that answers slowly, waiting dominates, as in the claims above.",
        rests_on={("posts.read@100", "async"): NOT_FASTER},
    ),
    Claim(
        title="Two BaseHTTPMiddleware cost two thirds of the throughput",
        claimed="×0.31",
        author="vectorize-io/hindsight#4235",
        source="https://github.com/vectorize-io/hindsight/pull/4235",
        published="2026-09-08",
        words="Two layers of `BaseHTTPMiddleware`, rewritten as pure ASGI, in front of a health check on "
        "two CPUs with 32 clients in four processes: 2,476 requests per second became 7,917. A route that "
        "computes for 23 ms gained nothing.",
        run="middleware",
        command=command(
            {
                "pure": "hello:asynchronous,pure-middleware=2",
                "base": "hello:asynchronous,middleware=2",
            },
            "Hello,Compute",
            "32",
        ),
        scenarios=("Hello", "Compute"),
        judgement="holds",
        answer="Both halves do: the cost is per request, not per millisecond, so that an empty route pays "
        "most of its throughput and one that computes for 20 ms a few per cent.",
        unless="What a middleware does itself comes on top, in either form.",
        rests_on={("Hello@32", "base"): SLOWER, ("Compute@32", "base"): NOT_FASTER},
        within={("Hello@32", "base"): (0.0, 0.5), ("Compute@32", "base"): (0.85, 1.1)},
    ),
    Claim(
        title="Ready-made JSON doubles the throughput of models",
        claimed="×2",
        author="apache/airflow#59082",
        source="https://github.com/apache/airflow/issues/59082",
        published="2025-12-05",
        words="A list of workflows, returned as pydantic models by a route without a return type, or as a "
        "response that already holds the JSON, on ten workers: about twice as many requests per second.",
        run="json",
        command=command(
            {"untyped": "listing:untyped", "ready": "listing:ready", "typed": "listing:typed"},
            "Workflows",
            "32",
        ),
        scenarios=("Workflows",),
        judgement="holds only without a return type",
        answer="Without one, FastAPI converts each model to dictionaries before it writes them. Since 0.130 "
        "(February 2026, [fastapi#14962](https://github.com/fastapi/fastapi/pull/14962)) a route with a "
        "return type lets pydantic write the JSON, and gains as much.",
        unless="A ready response is not validated.",
        rests_on={("Workflows@32", "ready"): FASTER, ("Workflows@32", "typed"): FASTER},
        within={("Workflows@32", "ready"): (1.4, inf), ("Workflows@32", "typed"): (1.4, inf)},
    ),
    Claim(
        title="uvloop makes asyncio 2 to 4 times as fast",
        claimed="×2 to ×4",
        author="MagicStack/uvloop",
        source="https://github.com/MagicStack/uvloop",
        published="about 2016",
        words="An echo server on Python 3.5. In 2024, a reader who repeated it on Python 3.13 found 13 % "
        "([uvloop#566](https://github.com/MagicStack/uvloop/issues/566)); a web server's health check "
        "gained 19% ([dstack#2874](https://github.com/dstackai/dstack/pull/2874), 2025-07-04).",
        run="loop",
        command=command(
            {"asyncio": "hello:asynchronous,loop=asyncio", "uvloop": "hello:asynchronous"}, "Hello", "64"
        ),
        scenarios=("Hello",),
        judgement="does not hold for a route of FastAPI",
        answer="The loop is a small part of what an empty route costs. Most of it is Starlette's and "
        "FastAPI's own Python.",
        unless="An echo server does nothing but run the event loop: the figure was never about web "
        "frameworks.",
        rests_on={("Hello@64", "uvloop"): (*FASTER, *EQUAL)},
        within={("Hello@64", "uvloop"): (0.0, 2.0)},
    ),
    Claim(
        title="httpx.AsyncClient is 75 times slower than aiohttp",
        claimed="×0.013",
        author="encode/httpx#3215",
        source="https://github.com/encode/httpx/issues/3215",
        published="2025-03-10",
        words="5,000 asynchronous calls to one FastAPI server: 40.9 s with httpx, where 412 of them failed, "
        "0.54 s with aiohttp.",
        run="clients",
        command="duel run --arm async --sweep client=aiohttp,httpx -s upstream -u 64 --max-time 3m",
        scenarios=("upstream",),
        judgement="holds in direction, not in size",
        answer="httpx's pool compares every call with every connection, so that the cost of a call grows "
        "with the calls in flight. At 64 it is a multiple of aiohttp's, but far from 75 times.",
        unless="httpx over aiohttp's connections (`client=httpx-aiohttp`) keeps the API without that cost.",
        rests_on={("upstream@64", "async-client-httpx"): SLOWER},
        within={("upstream@64", "async-client-httpx"): (1 / 40, 1.0)},
    ),
    Claim(
        title="Classes as dependencies cost 15 to 60%",
        claimed="×1.15 to ×1.6",
        author="Behzad Khalifeh",
        source="https://dev.to/bkhalifeh/fastapi-performance-the-hidden-thread-pool-overhead-you-might-be-missing-2ok6",
        published="2025-12-05",
        words="`Depends()` on a class that only holds query parameters runs in a thread, since FastAPI "
        "treats it as a function that may block. Creating it on the event loop is reported to gain 15 to 60 "
        "% (as "
        "[summarized](https://codecrafts.blog/fastapi-performance-the-hidden-thread-pool-overhead-you-might-be-missing)).",
        run="dependencies",
        command=command(
            {"classes": "depending:classes", "coroutines": "depending:coroutines"}, "Items", "64"
        ),
        scenarios=("Items",),
        judgement="holds",
        answer="A light route with three of them pays that and more: each is a hop into a thread and back.",
        unless="A dependency that blocks must stay in a thread.",
        rests_on={("Items@64", "coroutines"): FASTER},
        within={("Items@64", "coroutines"): (1.15, inf)},
    ),
)
