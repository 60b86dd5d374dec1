"""Kafka, MongoDB, Redis: do they answer, which versions are they, do they keep what they promise,
and what time is it there."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from pymongo.uri_parser import parse_uri
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.cli.doctor.finding import IS_IT_UP, Finding, failed, is_loopback, ok, warning
from app.kafka import refusal
from app.operating.broker import Connections
from app.operating.catalogue import extents
from app.operating.reading import read
from app.settings import Settings
from app.stores import mongo
from app.topics import ORDER

# Clocks set by NTP are some milliseconds apart. From the first on, windows and histories are off;
# from the second on, tokens are refused and leases end at the wrong time.
SKEW_WARNING_SECONDS = 1.0
SKEW_FAILED_SECONDS = 10.0
# Within one data centre; above it, each step of each order waits.
SLOW_MS = 100.0
# What brokers before 4.0 say of themselves; since then it is a feature of the cluster.
KAFKA_3_VERSION = "inter.broker.protocol.version"
NO_EVICTION = "noeviction"


class UnansweredError(Exception):
    """No broker answered, or none lets us in; `todo`: what to do about it."""

    def __init__(self, words: str, todo: str = IS_IT_UP) -> None:
        super().__init__(words)
        self.todo = todo


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connections]:
    """Connections to Kafka for one check.

    Raises:
        UnansweredError: no broker answers, or none lets us in.
    """
    try:
        async with AsyncExitStack() as stack:
            yield Connections(settings, stack)
    except (KafkaError, OSError) as error:
        refused = await refusal(settings)
        if refused is not None:
            raise UnansweredError(refused.words, refused.todo) from error
        raise UnansweredError(f"no broker answers at {settings.kafka_bootstrap_servers}") from error


async def kafka(settings: Settings, seconds: float) -> Sequence[Finding]:
    """The brokers."""
    try:
        async with connected(settings) as connections:
            admin, consumer = await connections.admin(), await connections.consumer()
            brokers = (await admin.describe_cluster())["brokers"]
            version = await _kafka_version(admin, brokers[0]["node_id"])
            # Connected by now: to connect is not what an order waits for.
            began = time.monotonic()
            await admin.describe_cluster()
            milliseconds = (time.monotonic() - began) * 1000
            newest = await _newest(consumer, seconds)
    except UnansweredError as error:
        where = "; KAFKA_BOOTSTRAP_SERVERS says where" if error.todo == IS_IT_UP else ""
        return [failed("servers", "Kafka", str(error), f"{error.todo}{where}")]
    count = f"{len(brokers)} broker{'s' * (len(brokers) != 1)}"
    where = settings.kafka_bootstrap_servers
    return [
        answers("Kafka", f"{count} at {where}, {version}", milliseconds),
        *newest_finding(newest, time.time()),
    ]


async def mongodb(settings: Settings, seconds: float) -> Sequence[Finding]:
    """The database."""
    database = mongo.connect(settings, timeout=seconds)
    try:
        with mongo.translated():
            admin = database.client.admin
            build = await admin.command("buildInfo")
            asked, began = time.time(), time.monotonic()
            said = await admin.command("isMaster")
            took = time.monotonic() - began
        hosts = [host for host, _ in parse_uri(settings.mongodb_url)["nodelist"]]
    except (mongo.TransientStoreError, mongo.PyMongoError) as error:
        words = mongo.brief(error).removeprefix("MongoDB: ")
        return [failed("servers", "MongoDB", words, f"{IS_IT_UP}; MONGODB_URL says where")]
    finally:
        await mongo.close(database)
    serious = not all(map(is_loopback, hosts))
    found = [
        answers("MongoDB", f"{build['version']} at {', '.join(hosts)}", took * 1000),
        *durability(said, settings.mongodb_url, serious=serious),
    ]
    if isinstance(said.get("localTime"), datetime):
        local = said["localTime"].replace(tzinfo=UTC).timestamp()
        found.append(skew("MongoDB", local - (asked + took / 2)))
    return found


async def redis(settings: Settings, seconds: float) -> Sequence[Finding]:
    """The server of the locks."""
    client = Redis.from_url(
        settings.redis_url, socket_timeout=seconds, socket_connect_timeout=seconds
    )
    host = urlsplit(settings.redis_url).hostname or "127.0.0.1"
    try:
        info = await client.info()
        asked, began = time.time(), time.monotonic()
        whole, micro = await client.time()
        took = time.monotonic() - began
    except (RedisError, OSError) as error:
        words = str(error).split(". ")[0] or "no answer in time"
        return [failed("servers", "Redis", words, f"{IS_IT_UP}; REDIS_URL says where")]
    finally:
        await client.aclose()
    version = f"{info['redis_version']} at {host}"
    return [
        answers("Redis", version, took * 1000),
        *keeping(info, serious=not is_loopback(host)),
        skew("Redis", whole + micro / 1e6 - (asked + took / 2)),
    ]


def answers(name: str, detail: str, milliseconds: float) -> Finding:
    """A server that answers, and how soon."""
    detail = f"{detail}, answers in {milliseconds:.1f} ms"
    if milliseconds > SLOW_MS:
        return warning("servers", name, detail, "Each step of an order waits for it: is it near?")
    return ok("servers", name, detail)


def durability(said: Mapping[str, Any], url: str, *, serious: bool) -> Sequence[Finding]:
    """Whether what MongoDB acknowledges is kept.

    Args:
        said: its answer to `isMaster`.
        serious: whether it is more than a server for trying things out.
    """
    name = "MongoDB writes"
    replicas = said.get("setName")
    if not said.get("ismaster"):
        return [failed("servers", name, "this node takes no writes", "Is there a primary?")]
    if replicas is None:
        words = "majority and journal are asked for, of one node: no replica set"
        if serious:
            return [warning("servers", name, words, "A replica set of three outlives a disk")]
        return [ok("servers", name, words)]
    nodes = len(said.get("hosts", ()))
    words = f"majority and journal of replica set {replicas}, {nodes} nodes"
    if nodes < 3:
        return [warning("servers", name, words, "Of fewer than three, none may be away")]
    if "retrywrites=false" in url.lower():
        todo = "Take retryWrites=false out of MONGODB_URL: it is for the local server"
        return [warning("servers", name, f"{words}; writes are not retried", todo)]
    return [ok("servers", name, words)]


def keeping(info: Mapping[str, Any], *, serious: bool) -> Sequence[Finding]:
    """Whether Redis keeps locks and keys until they run out.

    Args:
        info: its answer to `INFO`.
    """
    name = "Redis keys"
    if info.get("role") != "master":
        return [failed("servers", name, f"this is a {info.get('role')}", "REDIS_URL: the master's")]
    policy, most = info.get("maxmemory_policy", NO_EVICTION), int(info.get("maxmemory", 0))
    if most and policy != NO_EVICTION:
        todo = f"Set maxmemory-policy {NO_EVICTION}: an evicted lock has two holders"
        return [warning("servers", name, f"full, it evicts keys ({policy})", todo)]
    kept = "append-only file" if info.get("aof_enabled") else "snapshots at most"
    words = f"{info.get('used_memory_human', '?')} in use, kept by {kept}"
    if serious and not info.get("aof_enabled"):
        todo = "Set appendonly yes: a restart then forgets no idempotency key"
        return [warning("servers", name, words, todo)]
    return [ok("servers", name, words)]


def skew(name: str, seconds: float) -> Finding:
    """How far a server's clock is from ours."""
    if abs(seconds) < SKEW_WARNING_SECONDS:
        return ok("clock", name, f"{abs(seconds) * 1000:.0f} ms apart from here")
    words = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine"
    level = failed if abs(seconds) >= SKEW_FAILED_SECONDS else warning
    return level("clock", name, words, "Set both by NTP")


def newest_finding(newest: float | None, now: float) -> Sequence[Finding]:
    """Kafka says no time of its own, but the newest order event has one, and can't be of later.

    Args:
        newest: its time, seconds since the epoch; None where there is none.
    """
    if newest is None:
        return [ok("clock", "Kafka", "no order events yet, so no time to compare")]
    if newest - now >= SKEW_WARNING_SECONDS:
        return [skew("Kafka", newest - now)]
    return [ok("clock", "Kafka", f"the newest order event is {max(0.0, now - newest):,.0f} s old")]


async def _kafka_version(admin: Any, node: int) -> str:
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, str(node))])
    for *_, entries in answer.resources:
        for entry in entries:
            if entry[0] == KAFKA_3_VERSION and entry[1]:
                return str(entry[1])
    return "4.0 or newer"


async def _newest(consumer: AIOKafkaConsumer, seconds: float) -> float | None:
    """The time of the newest record in the topic of orders."""
    found: list[Any] = []
    held = (await extents(consumer, [ORDER.name])).get(ORDER.name, {})
    spans = {
        TopicPartition(ORDER.name, number): [range(extent.end - 1, extent.end)]
        for number, extent in held.items()
        if len(extent)
    }
    await read(consumer, spans, found.append, seconds=seconds)
    return max((record.timestamp / 1000 for record in found), default=None)
