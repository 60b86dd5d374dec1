"""The one place that reads the environment.

Every limit has a unit in its name and a reason beside it. Each field is read from the environment
variable of the same name in capitals: `PAYMENT_FAILURE_RATE=0.1` sets `payment_failure_rate`.
"""

import os
import re
import socket
import sys
from email.utils import parseaddr
from functools import cache
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict

from app.edge_settings import EdgeSettings
from app.kafka_settings import KafkaSettings
from app.parts import SAGA_ORDERS, services_of

Rate = float
# Exit status: nothing is wrong that another try would mend.
MISCONFIGURED = 2
# Settings whose values belong in no message or log.
SECRETIVE = re.compile(r"url|secret|password|token|key|credential", re.IGNORECASE)
GIVEN_CHARACTERS = 60
# A process that is no member of any consumer group: it takes orders while the others work.
WEB_ALONE = "web"
ANY_HOST = ("0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)


def default_name() -> str:
    """A name that no other process has."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", f"{socket.gethostname()[:40]}-{os.getpid()}")


class Settings(KafkaSettings, EdgeSettings):
    """Settings of one worker or gateway process."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    # Which part of the system this process runs
    services: str = Field(
        default="all",
        description="`all`, a comma-separated list of services, or `web` for web views alone",
    )
    worker_name: str = Field(default_factory=default_name, pattern=r"^[A-Za-z0-9_.-]{1,60}$")
    worker_port: int = Field(default=6066, ge=1, le=65535)
    worker_bind: str = "127.0.0.1"
    # Where the other workers reach this one; by default its host and port.
    worker_url: str = Field(default="", pattern=r"^(https?://[^/]+)?$")
    data_dir: Path = Path(".local/data/worker")
    saga_order: str = SAGA_ORDERS[0]

    # Servers, besides Kafka
    mongodb_url: str = "mongodb://127.0.0.1:27017/orderflow?retryWrites=false"
    redis_url: str = "redis://127.0.0.1:6379/0"

    # Topics
    topic_partitions: int = Field(default=6, ge=1, le=1000)
    topic_replication: int = Field(default=1, ge=1)
    topic_retention_hours: int = Field(default=168, ge=1)
    dead_letter_retention_hours: int = Field(default=720, ge=1)

    # Consumer group: a dead worker's partitions move after the session time-out, so short;
    # long enough that a stop-the-world pause of a few seconds is not taken for a death.
    session_timeout_seconds: float = Field(default=10.0, ge=6.0, le=60.0)
    rebalance_timeout_seconds: float = Field(default=30.0, ge=10.0)
    # Work in flight may finish for this long when partitions are taken away: below the rebalance
    # time-out, else the group would go on without this member.
    drain_timeout_seconds: float = Field(default=15.0, gt=0)
    commit_interval_seconds: float = Field(default=0.5, gt=0)
    # A member with a `WORKER_NAME` of its own that comes back within the session time-out gets its
    # partitions back at once, without a rebalance.
    static_membership: bool = True

    # Chunks: at most so many records of one partition in one; a batch joins what is waiting.
    chunk_max_records: int = Field(default=500, ge=1, le=10_000)
    batch_max_records: int = Field(default=1000, ge=1, le=20_000)
    poll_max_records: int = Field(default=3000, ge=1)
    # After a fetch of few records so long nothing is fetched, for the next to bring more: in the
    # services of the saga, of which an order meets some three one after the other, and in all
    # others, for which nobody waits.
    fetch_gap_seconds: float = Field(default=0.03, ge=0, le=1)
    fetch_gap_aside_seconds: float = Field(default=0.2, ge=0, le=5)

    # Saga: an order not ended after so long is cancelled with TIMEOUT. Above the longest outage of
    # a step that an order is meant to survive.
    saga_timeout_seconds: float = Field(default=900.0, gt=0)
    sweep_interval_seconds: float = Field(default=5.0, gt=0)

    # Stores
    mongo_driver: Literal["pymongo", "motor"] = "pymongo"
    mongo_timeout_seconds: float = Field(default=10.0, gt=0)
    mongo_pool_size: int = Field(default=20, ge=1)
    redis_timeout_seconds: float = Field(default=2.0, gt=0)
    # A lease outlives the slowest batch; writes of a holder that lost it are refused by the fence.
    lock_lease_seconds: float = Field(default=20.0, gt=1)
    lock_wait_seconds: float = Field(default=5.0, gt=0)

    # Simulation
    payment_failure_rate: Rate = Field(default=0.0, ge=0, le=1)
    payment_delay_seconds: float = Field(default=0.0, ge=0, le=60)
    payment_seed: int = 0
    # The share of refunds that the provider refuses, each attempt anew.
    payment_refund_failure_rate: Rate = Field(default=0.0, ge=0, le=1)
    inventory_failure_rate: Rate = Field(default=0.0, ge=0, le=1)
    # So many calls to the provider at once, from one batch.
    payment_concurrency: int = Field(default=100, ge=1)

    # Payment provider. `http`: POST to `payment_url`; the order's id is the idempotency key.
    payment_provider: Literal["simulated", "http"] = "simulated"
    payment_url: str = "http://127.0.0.1:7070"
    payment_timeout_seconds: float = Field(default=5.0, gt=0)
    # A charge that gets no answer is asked for again, so often; then it is voided, and fails.
    payment_attempts: int = Field(default=5, ge=1, le=20)
    payment_backoff_seconds: float = Field(default=0.2, gt=0)
    payment_backoff_max_seconds: float = Field(default=2.0, gt=0)
    # A refused refund is asked for again after so long, twice as long each time, up to the most.
    refund_retry_seconds: float = Field(default=5.0, gt=0)
    refund_retry_max_seconds: float = Field(default=600.0, gt=0)

    # Notifications. Without an address, each is a line of the worker's log. `smtp` takes up TLS
    # where the server offers it, and insists on it where there is a password and the server is
    # elsewhere; `smtps` begins with it.
    smtp_url: str = Field(
        default="", description="`smtp://[user:password@]host[:port]`, or `smtps://…`"
    )
    smtp_from: str = "Orderflow <orders@orderflow.invalid>"
    # Who is not in the directory of users has this address, `<userId>@` before it: `.invalid` is
    # reserved never to exist (RFC 2606), so that nobody else is written to.
    smtp_unknown_domain: str = Field(
        default="customers.invalid", pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$"
    )
    # The user who is told when a movie reaches 1, 10, 100, … views.
    movie_milestone_to: str = Field(default="catalogue", min_length=1, max_length=128)
    # For a connection, and for a whole message: below the drain time-out, because a message under
    # way when partitions move is sent again.
    smtp_timeout_seconds: float = Field(default=10.0, gt=0)
    # At once: as many as a mail server takes from one client without complaint.
    smtp_connections: int = Field(default=4, ge=1, le=100)
    # A message that the server takes for later so often has failed; a server that is away, never.
    smtp_attempts: int = Field(default=10, ge=1, le=1000)

    # Analytics, in event time (`placedAt`). A worker may be replayed a year in two minutes, so that
    # the orders under way at once span three weeks: hence the grace.
    analytics_grace_seconds: int = Field(default=2_678_400, ge=0)
    # How long windows of a minute, an hour and a day are kept; at least the grace and their size.
    # It counts from the newest: orders of past years that are replayed must not be past their
    # retention because one order of today is there, hence 30 years; where nothing happened there is
    # no window, and it costs nothing. Minutes, of which there can be one for each product, are kept
    # for 800 days.
    analytics_minutes_kept_seconds: int = Field(default=69_120_000, ge=60)
    analytics_hours_kept_seconds: int = Field(default=946_080_000, ge=3600)
    analytics_days_kept_seconds: int = Field(default=946_080_000, ge=86_400)
    # One wrong clock must not make everybody late: an event time moves the watermark no further
    # beyond its record's own time than this.
    analytics_ahead_seconds: int = Field(default=3600, ge=0)
    # A repeated event is known as one within so many records of its partition: 120 bytes each.
    analytics_horizon_records: int = Field(default=400_000, ge=1000)
    # A partition that has heard nothing for so long, and is not behind, holds no windows open.
    analytics_idle_seconds: float = Field(default=30.0, gt=0)
    analytics_report_seconds: float = Field(default=10.0, gt=0)
    # The owners of a query's partitions must answer within this time, all together.
    analytics_query_seconds: float = Field(default=5.0, gt=0)
    # Workers that follow each partition's changelog, ready to take it over.
    analytics_standby_replicas: int = Field(default=0, ge=0, le=10)

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("saga_order")
    @classmethod
    def _known_order(cls, order: str) -> str:
        if order not in SAGA_ORDERS:
            raise ValueError(f"must be one of {' · '.join(SAGA_ORDERS)}")
        return order

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.drain_timeout_seconds >= self.rebalance_timeout_seconds:
            raise ValueError("DRAIN_TIMEOUT_SECONDS must be below REBALANCE_TIMEOUT_SECONDS")
        if self.mongo_timeout_seconds >= self.drain_timeout_seconds:
            raise ValueError("MONGO_TIMEOUT_SECONDS must be below DRAIN_TIMEOUT_SECONDS")
        if self.lock_lease_seconds <= self.mongo_timeout_seconds:
            raise ValueError("LOCK_LEASE_SECONDS must be above MONGO_TIMEOUT_SECONDS")
        if self.smtp_timeout_seconds >= self.drain_timeout_seconds:
            raise ValueError("SMTP_TIMEOUT_SECONDS must be below DRAIN_TIMEOUT_SECONDS")
        self._mail_consistent()
        self.service_names()
        return self

    def _mail_consistent(self) -> None:
        if "@" not in parseaddr(self.smtp_from)[1] or not self.smtp_from.isprintable():
            raise ValueError("SMTP_FROM must be an address, such as `Shop <shop@example.com>`")
        if self.smtp_url:
            try:
                url = urlsplit(self.smtp_url)
                good = url.scheme in ("smtp", "smtps") and url.hostname and url.port != 0
            except ValueError:
                good = False
            if not good or url.path.strip("/"):
                raise ValueError("SMTP_URL must be smtp://host:port, or smtps://host:port")

    @property
    def url(self) -> str:
        """Where the other workers reach this one."""
        host = socket.gethostname() if self.worker_bind in ANY_HOST else self.worker_bind
        return self.worker_url or f"http://{host}:{self.worker_port}"

    def instance_id(self, service: str) -> str | None:
        """The group instance id of a service's member; None for one that is not named, since two
        of a name would take each other's place for ever.

        The port belongs to it: Faust's assignor gives a known member its earlier web address back,
        and fails on a member that has moved.
        """
        if not self.static_membership or "worker_name" not in self.model_fields_set:
            return None
        return f"{self.worker_name}-{self.worker_port}-{service}"

    def service_names(self) -> tuple[str, ...]:
        """The services this process runs, in the order of `SERVICE_NAMES`; none of `web`.

        Raises:
            ValueError: `SERVICES` names one that there is not in this system, or none.
        """
        known = services_of(self.saga_order)
        if self.services == "all":
            return known
        if self.services == WEB_ALONE:
            return ()
        asked = {name.strip() for name in self.services.split(",") if name.strip()}
        unknown = sorted(asked - set(known))
        if unknown or not asked:
            raise ValueError(
                f"SERVICES={self.services!r}: "
                f"no service {', '.join(unknown) or 'named'}; there are {', '.join(known)}"
            )
        return tuple(name for name in known if name in asked)


@cache
def settings() -> Settings:
    """This process's settings, read once.

    Raises:
        SystemExit: with status 2, after a line on standard error for each setting that is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        sys.stderr.write("".join(f"error: {_fault(one)}\n" for one in error.errors()))
        raise SystemExit(MISCONFIGURED) from None


def _fault(error: ErrorDetails) -> str:
    """Words for one of pydantic's faults, without what a URL or a secret holds."""
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    for start in ("Input should", "String should", "URL should"):
        message = message.replace(start, "must")
    message = message.split(", unable to parse")[0]
    given = str(error["input"])
    if SECRETIVE.search(name) or "://" in given:
        return f"{name.upper()}: {message}"
    return f"{name.upper()}: {message} (got {given[:GIVEN_CHARACTERS]!r})"
