"""What the services and the web of one process share: connections, clock, and how to publish."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from app.events import Event
from app.listeners import Listeners
from app.settings import Settings
from app.stores import mongo
from app.streaming.table import ChunkTable
from app.telemetry.spans import Spans

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def _no_broker() -> None:
    """A process without a producer needs none."""


async def _not_publishing(event: Event) -> None:
    raise RuntimeError("no producer is running in this process")


@dataclass(slots=True)
class Resources:
    """Connections are made when first used.

    Attributes:
        reads: the same database for those who would rather hear soon that it is away.
        kafka_answers: raises if the broker does not answer.
        publish: sends an event; returns when all in-sync replicas have it.
        tables: the analytics tables of this process, by their names.
        services_ready: for each service of this process, whether it takes part in its group.
        listeners: told what the services do; nobody, unless this is a worker.
        stopping: whether this process was told to stop; it serves until nobody asks it any more.
        spans: where the spans of this process go; None where it makes none.
    """

    settings: Settings
    database: mongo.Database
    reads: mongo.Database
    redis: Redis
    clock: Clock = utc_now
    kafka_answers: Callable[[], Awaitable[None]] = field(default=_no_broker)
    publish: Callable[[Event], Awaitable[None]] = field(default=_not_publishing)
    services_ready: Callable[[], dict[str, bool]] = field(default=dict)
    tables: dict[str, ChunkTable] = field(default_factory=dict)
    stopping: Callable[[], bool] = field(default=bool)
    listeners: Listeners = field(default_factory=Listeners)
    spans: Spans | None = None

    @classmethod
    def connect(cls, settings: Settings) -> "Resources":
        """The resources that the settings name."""
        redis = Redis.from_url(
            settings.redis_url,
            socket_timeout=settings.redis_timeout_seconds,
            socket_connect_timeout=settings.redis_timeout_seconds,
            # Once, at once: a pooled connection that a restarted server has closed. All else is
            # retried by our own loops, with a bound and jitter.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        reads = mongo.connect(settings, timeout=settings.read_timeout_seconds)
        spans = Spans.from_settings(settings)
        return cls(settings, mongo.connect(settings), reads, redis, spans=spans)

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()
        await mongo.close(self.database)
        await mongo.close(self.reads)
        if self.spans is not None:
            await self.spans.close()
