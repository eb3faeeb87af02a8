"""The questions of docs/questions.md, in the words of those who ask them, with our answers.

An answer is written by hand, from the figures of a run; `rests_on` says which verdicts it needs, and
questions.py refuses to print it beside a run that shows others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FASTER, SLOWER, EQUAL, OPEN, FAILING = (
    ("faster",), ("slower",), ("equivalent",), ("inconclusive",), ("failing",),
)  # fmt: skip


@dataclass(frozen=True)
class Topic:
    """What people ask, what is measured for it, and what we answer."""

    title: str
    words: str
    """As it is asked on trackers and forums."""
    run: str
    """Which of the given runs answers it."""
    command: str
    """Makes that run."""
    scenarios: tuple[str, ...]
    """What is shown: all loads of a scenario (`"ping"`), or one (`"ping@64"`)."""
    answer: str
    unless: str
    """When the answer does not hold."""
    rests_on: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Verdicts, by cell and arm: `("ping@64", "async")`."""


DEFAULT = "duel run"
SERVICES = "duel run --redis -s cached,posts.read,enqueue,background -u 64 --max-time 6m"

QUESTIONS: tuple[Topic, ...] = (
    Topic(
        title="What does a blocking call inside async def do?",
        words="My handler is `async def` and calls a library that blocks. It works. Is it really a problem?",
        run="default",
        command=DEFAULT,
        scenarios=("blocking", "offloaded"),
        answer="It is the worst thing one can do: the route serves a fortieth of what `def` serves, and "
        "every other route of the process waits for seconds. Write `def`, or hand the call to a thread "
        "(`offloaded`), which is equally fast.",
        unless="It does not show while there is a single user: the call then holds up no other request.",
        rests_on={("blocking@64", "async"): SLOWER, ("offloaded@64", "async"): EQUAL},
    ),
    Topic(
        title="Is a blocking Session inside async def always wrong?",
        words="We kept the blocking Session when we moved to `async def`. Everything says that is wrong.",
        run="default",
        command=DEFAULT,
        scenarios=("session-blocking", "posts.read"),
        answer="On SQLite, where a query takes a fraction of a millisecond, it served more than `def` (not "
        "significant after Holm correction over the run's 39 verdicts), since it saves the hop into a "
        "thread. "
        "Its neighbours pay: each waits until all queued queries are done.",
        unless="With a database across a network, every query blocks the loop for a round trip: see the "
        "question above.",
        rests_on={("session-blocking@64", "async"): OPEN},
    ),
    Topic(
        title="Are 40 threads enough, and what do more cost?",
        words="`def` routes share 40 threads. We have 256 users, so we need 200 threads, do we not?",
        run="threads",
        command="duel run --arm sync --sweep threads=10,40,200 -s upstream,ping,posts.read -u 256",
        scenarios=("upstream", "ping", "posts.read"),
        answer="On a route that waits 20 ms for another service, 10 threads serve half as many requests as "
        "40. So do 200, which double the CPU time per request (2.25 ms instead of 1.05). Raise the "
        "limit in steps and measure; a route that waits that much is better written as `async def`.",
        unless="Routes that wait for seconds and hardly compute need more threads: 40 of them serve 40 "
        "requests per wait.",
        rests_on={
            ("upstream@256", "sync-threads-10"): SLOWER,
            ("upstream@256", "sync-threads-200"): SLOWER,
        },
    ),
    Topic(
        title="What does a BaseHTTPMiddleware cost?",
        words='We have three `@app.middleware("http")` functions that do next to nothing. Are they free?',
        run="middleware",
        command="duel run --arm async --sweep middleware=0,1,3 -s ping -u 64",
        scenarios=("ping",),
        answer="No: a layer that does nothing costs a request about 0.1 ms of CPU time. An empty route "
        "serves ×0.42 with one layer and ×0.16 with three.",
        unless="In front of a route that takes 5 ms, a layer costs 2%.",
        rests_on={
            ("ping@64", "async-middleware-1"): SLOWER,
            ("ping@64", "async-middleware-3"): SLOWER,
        },
    ),
    Topic(
        title="And the same middleware in pure ASGI?",
        words="Is it worth the trouble to write a middleware as a plain ASGI class?",
        run="pure",
        command="duel run --arm async --sweep pure-middleware=0,1,3 -s ping -u 64",
        scenarios=("ping",),
        answer="Yes: three layers of pure ASGI serve as much as none.",
        unless="What the middleware itself does comes on top.",
        rests_on={
            ("ping@64", "async-pure-middleware-1"): EQUAL,
            ("ping@64", "async-pure-middleware-3"): EQUAL,
        },
    ),
    Topic(
        title="Async SQLAlchemy on PostgreSQL: psycopg or asyncpg, and is it faster at all?",
        words="Everyone says that asyncpg makes it several times as fast.",
        run="postgres",
        command="duel run --database postgresql --arm sync --arm async --arm async-asyncpg "
        "-s posts.read,posts.list,posts.create -u 64",
        scenarios=("posts.read", "posts.list", "posts.create"),
        answer="It does not: the ORM's own work dominates. With psycopg, `async def` serves as much as "
        "`def` for one post and ×0.91 when it writes; asyncpg serves ×1.08 for one post and ×1.26 for a "
        "list of 50.",
        unless="With a database that is slow to answer, waiting dominates instead of the ORM.",
        rests_on={
            ("posts.read@64", "async"): EQUAL,
            ("posts.read@64", "async-asyncpg"): FASTER,
            ("posts.list@64", "async-asyncpg"): FASTER,
            ("posts.create@64", "async"): SLOWER,
        },
    ),
    Topic(
        title="And on MySQL: aiomysql or asyncmy?",
        words="There are two asynchronous drivers for MySQL. Is one of them fast?",
        run="mysql",
        command="duel run --database mysql --arm sync --arm async --arm async-asyncmy "
        "-s posts.read,posts.list,posts.create -u 64 --max-time 6m",
        scenarios=("posts.read", "posts.list", "posts.create"),
        answer="asyncmy is, where a response has many rows: for a list of 50 posts it serves ×1.39 of what "
        "`def` with PyMySQL serves. For a write, the two serve the same. aiomysql, which is PyMySQL's "
        "protocol in Python, "
        "differs from `def` by less than this run can resolve.",
        unless="With a database that is slow to answer, waiting dominates instead of the ORM and the driver.",
        rests_on={
            ("posts.list@64", "async-asyncmy"): FASTER,
            ("posts.create@64", "async-asyncmy"): EQUAL,
            ("posts.read@64", "async"): OPEN,
            ("posts.list@64", "async"): OPEN,
            ("posts.create@64", "async"): OPEN,
        },
    ),
    Topic(
        title="Does a cache in front of the database change the answer?",
        words="Most of our reads come from Redis. Does it still matter whether the route is `async def`?",
        run="redis",
        command=SERVICES,
        scenarios=("cached", "posts.read"),
        answer="No: both styles serve cached posts at the same rate, more than four times the rate of posts "
        "that the ORM reads from SQLite, where `async def` is behind.",
        unless="What is not in the cache costs the query and two more round trips.",
        rests_on={("cached@64", "async"): EQUAL, ("posts.read@64", "async"): SLOWER},
    ),
    Topic(
        title="And on SQLite?",
        words="aiosqlite makes SQLite asynchronous, so `async def` is right for it?",
        run="default",
        command=DEFAULT,
        scenarios=("posts.create", "posts.read", "posts.list"),
        answer="Not for speed: aiosqlite is a thread per connection with a queue. For a write, `async def` "
        "serves ×0.63 of what `def` serves.",
        unless="Health checks are a separate matter: an `async def` neighbour waits less beside "
        "`async def` routes than beside busy threads.",
        rests_on={("posts.create@64", "async"): SLOWER},
    ),
    Topic(
        title="def or async def for dependencies?",
        words="My dependencies only read headers and settings. Does it matter how I write them?",
        run="default",
        command=DEFAULT,
        scenarios=("dependencies",),
        answer="Very much: each `def` dependency is a hop into a thread and back. A light route with four of "
        "them serves ×2.6 when all are `async def`.",
        unless="A dependency that blocks (a Session, a file, a password hash) must stay `def`.",
        rests_on={("dependencies@64", "async"): FASTER},
    ),
    Topic(
        title="Can BackgroundTasks replace a queue?",
        words="We send mails with BackgroundTasks. Do we need Celery?",
        run="default",
        command=DEFAULT,
        scenarios=("background",),
        answer="Under load, `async def` answers faster than it finishes its tasks: they pile up in memory, "
        "so the verdict is failing. `def` finishes what it starts, at a lower rate.",
        unless="At arrival rates that the tasks can keep up with (`--rate`), they pile up in neither style. "
        "A restart loses "
        "unfinished tasks in either style.",
        rests_on={("background@64", "async"): FAILING},
    ),
    Topic(
        title="And a real queue: Celery or ARQ?",
        words="Our jobs must survive a restart. What does it cost to hand them to a queue on Redis?",
        run="redis",
        command=SERVICES,
        scenarios=("enqueue", "background"),
        answer="Half a millisecond of CPU time per request with ARQ in `async def`, 0.84 ms with Celery in "
        "`def`: ×1.75. Both enqueue more jobs than one worker completes, which the report says; with "
        "`BackgroundTasks` the `async def` server itself falls behind.",
        unless="Two clients are compared as well as two styles: Celery has none for asyncio.",
        rests_on={("enqueue@64", "async"): FASTER, ("background@64", "async"): FAILING},
    ),
    Topic(
        title="Why is httpx.AsyncClient slow with many calls in flight?",
        words="`async def` with httpx.AsyncClient is slower than `def` with httpx.Client. How can that be?",
        run="default",
        command=DEFAULT,
        scenarios=("plain-client", "upstream"),
        answer="Its connection pool needs more CPU time the more calls are in flight: at 64 users the route "
        "serves ×0.34 of `def`. The same route with the same API on aiohttp's transport (httpx-aiohttp, "
        "`upstream`) serves ×2.0.",
        unless="With one or two calls in flight the pool costs little.",
        rests_on={("plain-client@64", "async"): SLOWER, ("upstream@64", "async"): FASTER},
    ),
    Topic(
        title="StreamingResponse: iterator or async generator?",
        words="I stream 64 chunks from a plain generator. Should it be asynchronous?",
        run="default",
        command=DEFAULT,
        scenarios=("stream", "stream-lines"),
        answer="Yes: Starlette hops into a thread for every chunk of a plain iterator. The asynchronous "
        "generator serves ×5.1.",
        unless="A generator that blocks between its chunks must stay a plain one.",
        rests_on={("stream@64", "async"): FASTER},
    ),
    Topic(
        title="What does response_model cost?",
        words="Validating every response must cost a lot. Should we return plain dicts?",
        run="default",
        command=DEFAULT,
        scenarios=("posts.list", "posts.list-plain"),
        answer="Too little to show here: `def` serves 232 requests/s of 50 posts with validation and 228 "
        "without, each for 5.0 ms of CPU time; loading the posts by the ORM dominates.",
        unless="The comparison is rough: the two routes are two cells, not paired in time, and as `async "
        "def` the plain one even served less (230 against 282).",
    ),
    Topic(
        title="How many workers?",
        words="uvicorn with 4 workers is four times as fast, is it not?",
        run="workers",
        command="duel run --arm async --sweep workers=1,2,4 -s ping,posts.read,upstream -u 64 --max-time 6m",
        scenarios=("ping", "posts.read", "upstream"),
        answer="Not where they share a CPU: 4 workers on one CPU serve ×0.76 of what one worker serves on an "
        "empty route, and ×0.71 when reading a post. Start as many as there are CPUs for the app.",
        unless="This machine has two CPUs, of which the load needs one. What workers gain with CPUs of their "
        "own is not in this table: the report says so.",
        rests_on={
            ("ping@64", "async-workers-2"): SLOWER,
            ("ping@64", "async-workers-4"): SLOWER,
            ("posts.read@64", "async-workers-4"): SLOWER,
        },
    ),
    Topic(
        title="Uploads: def or async def?",
        words="`UploadFile` has `await file.read()` and `file.file.read()`. Which one is right?",
        run="pitfalls",
        command="duel run -s upload,session-dependency -u 8,64 --max-time 5m",
        scenarios=("upload",),
        answer="With 64 users `async def` serves ×1.29, and a light request beside it waits 44 ms instead of "
        "11: it is right for an app that mostly receives files, and `def` beside other routes.",
        unless="With 8 users the styles differ by less than this run can resolve. Files of more than 1 MB "
        "are "
        "written to disk by a thread in either style.",
        rests_on={("upload@64", "async"): FASTER, ("upload@8", "async"): OPEN},
    ),
    Topic(
        title="uvloop or asyncio?",
        words="How much does uvloop bring?",
        run="loop",
        command="duel run --arm async --sweep loop=uvloop,asyncio -s ping,posts.read,upstream -u 64",
        scenarios=("ping", "posts.read", "upstream"),
        answer="Too little to be decided in two minutes: at most a sixth on an empty route, nothing visible "
        "on a database route.",
        unless="More rounds would decide it: `--max-time 10m`.",
        rests_on={("ping@64", "async-loop-asyncio"): OPEN, ("posts.read@64", "async-loop-asyncio"): OPEN},
    ),
    Topic(
        title="Why does my health check time out beside CPU work?",
        words="The pod is restarted under load although it works: /health takes too long.",
        run="default",
        command=DEFAULT,
        scenarios=("python", "hash", "image"),
        answer="Because the CPU work is `async def`: it blocks the event loop. As `def` it serves about as "
        "much, "
        "and an `async def` health check waits 20 to 41 ms instead of 210 to 304 ms.",
        unless="A `def` health check waits for a thread behind the same work: keep light routes `async def`.",
    ),
)
