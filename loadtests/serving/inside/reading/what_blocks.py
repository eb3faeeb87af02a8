"""What blocks its thread: data, held against two sources.

ruff's rules flake8-async ASYNC210, 212, 220 to 222, 230, 240, 250 and 251, and the functions that blockbuster
1.5 patches. What both leave out was added from the packages' own documentation: database drivers and
sessions, password hashes, SDKs. Asynchronous halves of a package (`redis.asyncio`, `AsyncMongoClient`,
`psycopg.AsyncConnection`) are classes of their own and are not in these tables, nor are exceptions, value
types and constructors of clients that connect with their first call. Left out of theirs are single system
calls about a file (`os.stat`, `os.path.exists`, `Path.unlink` and others): they take microseconds, and a
hop to a thread and back takes longer.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["waits", "file", "computes"]

HTTP = "get post put patch delete head options request"

FUNCTIONS: dict[str, tuple[str, Kind]] = {
    "time.sleep": ("time.sleep", "waits"),
    **{f"posix.{name}": (f"os.{name}", "waits") for name in
       ("system", "wait", "waitid", "waitpid", "wait3", "wait4")},
    **{f"os.{name}": (f"os.{name}", "waits") for name in ("spawnl", "spawnv", "spawnlp", "spawnvp")},
    "os.popen": ("os.popen", "waits"),
    **{f"subprocess.{name}": (f"subprocess.{name}", "waits") for name in
       ("run", "call", "check_call", "check_output", "getoutput", "getstatusoutput")},
    "urllib.request.urlopen": ("urllib.request.urlopen", "waits"),
    "urllib.request.urlretrieve": ("urllib.request.urlretrieve", "waits"),
    "socket.create_connection": ("socket.create_connection", "waits"),
    "socket.getaddrinfo": ("socket.getaddrinfo", "waits"),
    "_socket.gethostbyname": ("socket.gethostbyname", "waits"),
    **{f"requests.api.{name}": (f"requests.{name}", "waits") for name in HTTP.split()},
    **{f"httpx.{name}": (f"httpx.{name}", "waits") for name in (*HTTP.split(), "stream")},
    "urllib3.request": ("urllib3.request", "waits"),
    "sqlite3.connect": ("sqlite3.connect", "waits"), "_sqlite3.connect": ("sqlite3.connect", "waits"),
    "psycopg.connection.Connection.connect": ("psycopg.connect", "waits"),
    "psycopg2.connect": ("psycopg2.connect", "waits"),
    "MySQLdb.Connect": ("MySQLdb.connect", "waits"),
    "mysql.connector.pooling.connect": ("mysql.connector.connect", "waits"),
    "concurrent.futures._base.wait": ("concurrent.futures.wait", "waits"),
    "concurrent.futures._base.as_completed": ("concurrent.futures.as_completed", "waits"),
    **{f"firebase_admin.messaging.{name}": (f"firebase_admin.messaging.{name}", "waits") for name in
       ("send", "send_each", "send_each_for_multicast")},
    **{f"google.oauth2.id_token.{name}": (f"google.oauth2.id_token.{name}", "waits") for name in
       ("verify_token", "verify_oauth2_token", "verify_firebase_token", "fetch_id_token")},
    **{f"django.shortcuts.{name}": (name, "waits") for name in ("get_object_or_404", "get_list_or_404")},
    "builtins.input": ("input", "waits"),
    **{f"{module}.{name}": (f"hashlib.{name}", "computes") for module in ("_hashlib", "hashlib")
       for name in ("scrypt", "pbkdf2_hmac")},
    **{f"{module}.{name}": (f"bcrypt.{name}", "computes")
       for module in ("bcrypt", "_bcrypt", "bcrypt._bcrypt") for name in ("hashpw", "checkpw", "kdf")},
    "io.open": ("open", "file"), "_io.open": ("open", "file"), "builtins.open": ("open", "file"),
    **{f"shutil.{name}": (f"shutil.{name}", "file") for name in
       ("copy", "copy2", "copyfile", "copyfileobj", "copytree", "move", "rmtree", "make_archive",
        "unpack_archive")},
    **{f"posix.{name}": (f"os.{name}", "file") for name in ("listdir", "scandir")},
    "glob.glob": ("glob.glob", "file"), "io.open_code": ("open", "file"),
    **{f"pandas.io.{place}": (f"pandas.{place.rpartition('.')[2]}", "file") for place in
       ("parsers.readers.read_csv", "excel._base.read_excel", "json._json.read_json", "sql.read_sql",
        "parquet.read_parquet")},
    "tarfile.TarFile.open": ("tarfile.open", "file"),
    "os.walk": ("os.walk", "file"), "os.fsync": ("os.fsync", "file"), "posix.fsync": ("os.fsync", "file"),
}  # fmt: skip
"""Functions by their own module and qualified name: how they are called, and what keeps the thread."""

CONSTRUCTORS: dict[str, str] = {
    "pymysql.connections.Connection": "pymysql.connect", "subprocess.Popen": "subprocess.Popen",
    "smtplib.SMTP": "smtplib.SMTP", "smtplib.SMTP_SSL": "smtplib.SMTP_SSL", "ftplib.FTP": "ftplib.FTP",
    "ftplib.FTP_TLS": "ftplib.FTP_TLS", "kafka.producer.kafka.KafkaProducer": "kafka.KafkaProducer",
    "kafka.consumer.group.KafkaConsumer": "kafka.KafkaConsumer",
    "pika.adapters.blocking_connection.BlockingConnection": "pika.BlockingConnection",
}  # fmt: skip
"""Classes whose objects connect when they are made, or start a process."""

SESSION = (
    "execute exec scalar scalars get get_one query commit flush refresh rollback merge bulk_save_objects "
    "bulk_insert_mappings begin_nested"
)

SOCKET = (
    "connect accept recv recvfrom recv_into recvfrom_into recvmsg send sendall sendto read write do_handshake"
)

CURSOR = "execute executemany executescript fetchone fetchmany fetchall"

DJANGO_ASKS = (
    "get create get_or_create update_or_create bulk_create bulk_update update delete count exists aggregate "
    "first last earliest latest in_bulk contains explain iterator"
)

DJANGO_BUILDS = (
    "all filter exclude order_by reverse distinct values values_list dates datetimes none using only defer "
    "annotate alias extra select_related prefetch_related select_for_update union intersection difference raw"
)
"""Methods that make a query, which asks the database when it is iterated."""

DJANGO_QUERIES = {
    "django.db.models.query.QuerySet": "QuerySet", "django.db.models.manager.BaseManager": "Manager",
}  # fmt: skip

METHODS: dict[str, tuple[str, str, Kind]] = {
    "requests.sessions.Session": ("requests.Session", f"{HTTP} send", "waits"),
    "httpx.Client": ("httpx.Client", f"{HTTP} send stream", "waits"),
    "httpx._client.Client": ("httpx.Client", f"{HTTP} send stream", "waits"),
    "urllib3.poolmanager.PoolManager": ("urllib3.PoolManager", "request urlopen", "waits"),
    "urllib3.connectionpool.HTTPConnectionPool": ("urllib3.HTTPConnectionPool", "request urlopen", "waits"),
    "http.client.HTTPConnection": ("http.client.HTTPConnection", "connect request getresponse", "waits"),
    "sqlite3.Connection": ("sqlite3.Connection", "execute executemany executescript commit rollback backup",
                           "waits"),
    "sqlite3.Cursor": ("sqlite3.Cursor", CURSOR, "waits"),
    "psycopg.Connection": ("psycopg.Connection", "execute commit rollback transaction", "waits"),
    "psycopg.connection.Connection": ("psycopg.Connection", "execute commit rollback", "waits"),
    "psycopg.Cursor": ("psycopg.Cursor", CURSOR, "waits"),
    "psycopg.cursor.Cursor": ("psycopg.Cursor", CURSOR, "waits"),
    "psycopg2.extensions.connection": ("psycopg2.connection", "commit rollback", "waits"),
    "psycopg2.extensions.cursor": ("psycopg2.cursor", CURSOR, "waits"),
    "pymysql.connections.Connection": ("pymysql.Connection", "commit rollback query ping", "waits"),
    "pymysql.cursors.Cursor": ("pymysql.Cursor", "execute executemany", "waits"),
    "redis.client.Redis": ("redis.Redis", "*", "waits"),
    "redis.client.Pipeline": ("redis.Pipeline", "execute", "waits"),
    "redis.cluster.RedisCluster": ("redis.RedisCluster", "*", "waits"),
    "pymongo.collection.Collection": ("pymongo.Collection", "*", "waits"),
    "pymongo.synchronous.collection.Collection": ("pymongo.Collection", "*", "waits"),
    "pymongo.mongo_client.MongoClient": ("pymongo.MongoClient", "*", "waits"),
    "pymongo.synchronous.mongo_client.MongoClient": ("pymongo.MongoClient", "*", "waits"),
    "sqlalchemy.orm.session.Session": ("Session", SESSION, "waits"),
    "sqlalchemy.orm.query.Query": ("Query", "all first one one_or_none scalar count delete update get",
                                   "waits"),
    "sqlalchemy.orm.scoping.scoped_session": ("scoped_session", SESSION, "waits"),
    "sqlalchemy.engine.base.Engine": ("Engine", "connect begin raw_connection", "waits"),
    "sqlalchemy.engine.base.Connection": ("Connection", "execute scalar scalars commit rollback begin",
                                          "waits"),
    **{kind: (shown, DJANGO_ASKS, "waits") for kind, shown in DJANGO_QUERIES.items()},
    "django.db.models.base.Model": ("Model", "save delete refresh_from_db", "waits"),
    "django.utils.connection.ConnectionProxy": ("connection", "cursor commit rollback", "waits"),
    "subprocess.Popen": ("subprocess.Popen", "wait communicate", "waits"),
    "concurrent.futures._base.Future": ("Future", "result exception", "waits"),
    "threading.Thread": ("threading.Thread", "join", "waits"),
    "threading.Event": ("threading.Event", "wait", "waits"),
    "threading.Condition": ("threading.Condition", "wait wait_for acquire", "waits"),
    "threading.Semaphore": ("threading.Semaphore", "acquire", "waits"),
    "threading.Barrier": ("threading.Barrier", "wait", "waits"),
    "_thread.lock": ("threading.Lock", "acquire", "waits"),
    "_thread.RLock": ("threading.RLock", "acquire", "waits"),
    "queue.Queue": ("queue.Queue", "get put join", "waits"),
    "_queue.SimpleQueue": ("queue.SimpleQueue", "get", "waits"),
    "multiprocessing.process.BaseProcess": ("multiprocessing.Process", "join", "waits"),
    "multiprocessing.pool.Pool": ("multiprocessing.Pool", "apply map starmap join", "waits"),
    "multiprocessing.pool.ApplyResult": ("AsyncResult", "get wait", "waits"),
    "socket.socket": ("socket.socket", SOCKET, "waits"),
    "_socket.socket": ("socket.socket", SOCKET, "waits"),
    "smtplib.SMTP": ("smtplib.SMTP", "connect login sendmail send_message starttls quit", "waits"),
    "ftplib.FTP": ("ftplib.FTP", "connect login retrbinary storbinary nlst quit", "waits"),
    "imaplib.IMAP4": ("imaplib.IMAP4", "*", "waits"),
    "paramiko.client.SSHClient": ("paramiko.SSHClient", "connect exec_command", "waits"),
    "botocore.client.BaseClient": ("boto3 client", "*", "waits"),
    "boto3.resources.base.ServiceResource": ("boto3 resource", "*", "waits"),
    "openai.OpenAI": ("openai.OpenAI", "*", "waits"),
    "openai._client.OpenAI": ("openai.OpenAI", "*", "waits"),
    "anthropic.Anthropic": ("anthropic.Anthropic", "*", "waits"),
    "anthropic._client.Anthropic": ("anthropic.Anthropic", "*", "waits"),
    "stripe.StripeClient": ("stripe.StripeClient", "*", "waits"),
    "stripe._stripe_client.StripeClient": ("stripe.StripeClient", "*", "waits"),
    "kafka.producer.kafka.KafkaProducer": ("kafka.KafkaProducer", "send flush", "waits"),
    "kafka.consumer.group.KafkaConsumer": ("kafka.KafkaConsumer", "poll commit", "waits"),
    "celery.app.base.Celery": ("celery.Celery", "send_task", "waits"),
    "celery.app.task.Task": ("celery.Task", "delay apply_async apply retry", "waits"),
    "celery.local.Proxy": ("celery.Task", "delay apply_async apply retry", "waits"),
    "celery.result.AsyncResult": ("celery.AsyncResult", "get wait collect ready successful", "waits"),
    "dramatiq.actor.Actor": ("dramatiq.Actor", "send send_with_options", "waits"),
    "rq.queue.Queue": ("rq.Queue", "enqueue enqueue_call enqueue_in enqueue_at fetch_job", "waits"),
    "pika.adapters.blocking_connection.BlockingChannel":
        ("pika.BlockingChannel", "basic_publish basic_get queue_declare start_consuming", "waits"),
    "elasticsearch.Elasticsearch": ("elasticsearch.Elasticsearch", "*", "waits"),
    "elasticsearch._sync.client.Elasticsearch": ("elasticsearch.Elasticsearch", "*", "waits"),
    "minio.api.Minio": ("minio.Minio", "*", "waits"),
    "ldap.ldapobject.SimpleLDAPObject": ("ldap.LDAPObject", "*", "waits"),
    "apprise.apprise.Apprise": ("apprise.Apprise", "notify", "waits"),
    "zipfile.ZipFile": ("zipfile.ZipFile", "write writestr read extract extractall testzip", "file"),
    "tarfile.TarFile": ("tarfile.TarFile", "add addfile extract extractall", "file"),
    "argon2._password_hasher.PasswordHasher": ("argon2.PasswordHasher", "hash verify", "computes"),
    "argon2.PasswordHasher": ("argon2.PasswordHasher", "hash verify", "computes"),
    "passlib.context.CryptContext": ("CryptContext", "hash verify encrypt verify_and_update", "computes"),
    "pathlib.Path": ("Path", "read_text read_bytes write_text write_bytes open iterdir glob rglob", "file"),
}  # fmt: skip
"""Methods by the class that defines or inherits them: the class as people call it, its methods (`*`: all but
MAKING), and what keeps the thread."""

MAKING = frozenset({
    "bind", "close", "copy", "lock", "pipeline", "pubsub", "with_options", "get_database",
    "get_default_database",
    "generate_presigned_url", "generate_presigned_post", "get_paginator", "get_waiter", "can_paginate",
})  # fmt: skip
"""Methods of clients that only make another object, or let go."""

DEEP = ("openai", "anthropic", "stripe", "boto3", "botocore", "pymongo")
"""Packages whose clients are used through attributes, as in `client.chat.completions.create()`."""

ENTERED: dict[str, str] = {
    "_thread.lock": "with a threading.Lock", "_thread.RLock": "with a threading.RLock",
    "threading.Condition": "with a threading.Condition", "threading.Semaphore": "with a threading.Semaphore",
}  # fmt: skip
"""Objects at which `with` waits."""

RETURNS: dict[str, str] = {
    "sqlite3.connect": "sqlite3.Connection", "_sqlite3.connect": "sqlite3.Connection",
    "sqlite3.Connection.cursor": "sqlite3.Cursor", "sqlite3.Connection.execute": "sqlite3.Cursor",
    "psycopg.connection.Connection.connect": "psycopg.Connection",
    "psycopg2.connect": "psycopg2.extensions.connection",
    "psycopg2.extensions.connection.cursor": "psycopg2.extensions.cursor",
    "psycopg.connection.Connection.cursor": "psycopg.Cursor", "psycopg.Connection.cursor": "psycopg.Cursor",
    "pymysql.connections.Connection.cursor": "pymysql.cursors.Cursor",
    "sqlalchemy.orm.session.sessionmaker.__call__": "sqlalchemy.orm.session.Session",
    "sqlalchemy.ext.asyncio.session.async_sessionmaker.__call__":
        "sqlalchemy.ext.asyncio.session.AsyncSession",
    "sqlalchemy.orm.session.Session.query": "sqlalchemy.orm.query.Query",
    "sqlalchemy.engine.create.create_engine": "sqlalchemy.engine.base.Engine",
    "sqlalchemy.engine.base.Engine.connect": "sqlalchemy.engine.base.Connection",
    "sqlalchemy.engine.base.Engine.begin": "sqlalchemy.engine.base.Connection",
    "sqlmodel.main.create_engine": "sqlalchemy.engine.base.Engine",
    **{f"{kind}.{name}": "django.db.models.query.QuerySet" for kind in DJANGO_QUERIES
       for name in DJANGO_BUILDS.split()},
    "concurrent.futures.thread.ThreadPoolExecutor.submit": "concurrent.futures._base.Future",
    "concurrent.futures.process.ProcessPoolExecutor.submit": "concurrent.futures._base.Future",
    "requests.sessions.session": "requests.sessions.Session", "requests.session": "requests.sessions.Session",
    "boto3.client": "botocore.client.BaseClient", "boto3.resource": "boto3.resources.base.ServiceResource",
    "boto3.session.Session.client": "botocore.client.BaseClient",
    "redis.utils.from_url": "redis.client.Redis", "redis.client.Redis.from_url": "redis.client.Redis",
    "redis.client.Redis.pipeline": "redis.client.Pipeline",
    "threading.Lock": "_thread.lock", "_thread.allocate_lock": "_thread.lock",
    "threading.RLock": "_thread.RLock",
    **{f"pathlib.PurePath.{name}": "pathlib.Path" for name in
       ("joinpath", "with_name", "with_suffix", "with_stem")},
    **{f"pathlib.Path.{name}": "pathlib.Path" for name in ("resolve", "absolute", "expanduser")},
    "multiprocessing.pool.Pool.apply_async": "multiprocessing.pool.ApplyResult",
}  # fmt: skip
"""What functions and methods of libraries return, where that matters."""

ITERATED: dict[str, str] = {
    "django.db.models.query.QuerySet": "QuerySet.__iter__", "sqlalchemy.orm.query.Query": "Query.__iter__",
}  # fmt: skip
"""Objects that ask a database when they are iterated."""

GIVES: dict[str, str] = {"django.db.models.manager.ManagerDescriptor": "manager"}
"""Descriptors in classes, and where they keep what the class gives under their name."""

SESSION_NAMES = frozenset({"db", "session", "db_session", "dbsession"})
"""Names of parameters that are database sessions, whatever their annotation leaves out."""

SESSION_CALLS = frozenset({"query", "execute", "exec", "scalars", "scalar", "commit", "flush", "refresh"})
"""Their well-known calls, which block unless they are awaited."""

FILE_METHODS = frozenset({"read_text", "read_bytes", "write_text", "write_bytes"})
"""Methods that read or write a file, whatever object has them."""

ITERATING = frozenset({
    "list", "tuple", "set", "frozenset", "dict", "sum", "sorted", "any", "all", "min", "max", "next", "join",
    "deque", "Counter", "reduce", "extend", "update", "writelines", "Response", "HTMLResponse",
    "JSONResponse",
})  # fmt: skip
"""Functions and methods that iterate an argument at once."""

LATER_ON_LOOP = frozenset({
    "call_soon", "call_later", "call_at", "call_soon_threadsafe", "start_soon", "start", "create_task",
    "ensure_future", "add_done_callback", "run_coroutine_threadsafe",
})  # fmt: skip
"""Methods and functions that have the event loop call an argument."""

TAKING_COROUTINES = frozenset({"create_task", "ensure_future", "run_coroutine_threadsafe"})
"""Those of them whose argument is a call that has been made, of a coroutine function."""

AWAITING = TAKING_COROUTINES | {"gather", "wait_for", "shield", "wait", "as_completed", "run_until_complete"}
"""Functions that await their arguments."""

CALLED_AT_ONCE = frozenset({"map", "filter", "sorted", "min", "max", "reduce", "run", "pipe", "apply"})
"""Functions that call an argument themselves."""

AFTER_RESPONSE = frozenset({"add_task", "BackgroundTask"})
"""What calls an argument after the response: a coroutine function on the loop, any other in a thread."""
