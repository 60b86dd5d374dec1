"""One Faust app, so one consumer group, a service; and which of them this process runs.

`SERVICES=all` (the default) runs every service in one process, `SERVICES=payment` that one alone:
the same groups, topics and state either way. The first of them is the process's main app: it serves
the web views and starts the others beside it.
"""

import asyncio
import gc
import logging
import os
from collections.abc import Callable, Hashable, Mapping
from functools import cache, partial
from typing import Any

import faust

from app import cli, logs, web
from app.agents.folding import outgoing
from app.agents.registry import Service, build_service
from app.agents.sweeps import add_sweep
from app.codec import UndecodableError, decode
from app.events import Event
from app.identity.configured import openness
from app.logs import Allowance
from app.resources import Resources
from app.settings import WEB_ALONE, Settings, settings
from app.stores.errors import TransientStoreError
from app.streaming import (
    Chunk,
    Limits,
    Observer,
    Participant,
    Publisher,
    chunks,
    install,
    lane_of_partition,
    lane_of_topic_partition,
)
from app.streaming.table import BATCH_BYTES
from app.streaming.transport import CHUNK_MAX_BYTES
from app.topic_admin import TopicError, TopicMismatchError, ensure_topics
from app.topics import BY_NAME, GROUP_PREFIX
from app.trace_log import RecordTraces

logger = logging.getLogger(__name__)

# While a server is away these say so at every attempt of every lane, request and fetch.
NOISY = (
    "aiokafka",
    "aiokafka.conn",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
    "app.streaming.participant",
    "app.agents.sweeps",
    "app.web.acceptance",
    "app.web.accepted",
    "app.web.analytics.gathering",
    "app.web.claims",
    "app.web.health",
    "app.web.reading",
    "app.web.viewing",
)
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: starting again will not help
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE: the broker is not there yet
EXIT_SOFTWARE = 70  # EX_SOFTWARE: whoever supervises starts it again

# Connecting to the broker, creating topics and joining the group take some seconds.
START_TIMEOUT_SECONDS = 30.0
# Longer than the drain time-out; without a broker, the last commit would wait for ever.
STOP_TIMEOUT_SECONDS = 25.0
# What Kafka's brokers take by default (`message.max.bytes`).
PRODUCER_MAX_BYTES = 1_048_588
# What aiokafka takes by default.
PRODUCER_BATCH_BYTES = 16_384
# Chunks that wait between Faust and a service's lanes: enough that no lane runs dry while the next
# fetch is under way.
STREAM_BUFFER_CHUNKS = 16
# A member is dead after the session time-out; three heartbeats fit into it.
HEARTBEATS_PER_SESSION = 3
# The broker answers a join only when the whole group has joined: longer than a rebalance. Faust
# wants it no shorter than a session either.
REQUEST_TIMEOUT_MARGIN_SECONDS = 10.0


def one_lane(chunk: Chunk) -> Hashable:
    """All partitions together: one batch at a time, of whatever waits."""
    return "all"


# Chunks are thousands of objects that live for some milliseconds. By Python's defaults (700, 10,
# 10) they start a collection every few records, and each hundredth walks over all that there is: a
# third of the time of a fold.
COLLECT_AFTER = (100_000, 20, 100)
# A fold is one stretch of computing, during which the process does nothing else: some 50 ms for
# these bytes of orders with many lines. Of small orders it may take more at once: what a chunk
# costs is the same for few and many.
FOLDED_BYTES = 300_000
FOLDED_RECORDS = 2000
FOLDED = Limits(batch_records=FOLDED_RECORDS, batch_bytes=FOLDED_BYTES)

# Batches of most services share what they write (the shelf) or what they send through (the few
# connections to the mail server), or are cheap enough to be joined. The payment service waits for
# its provider, so its partitions wait side by side; analytics folds each on its own.
LANES: Mapping[str, Callable[[Chunk], Hashable]] = {
    "payment": lane_of_partition,
    "analytics": lane_of_topic_partition,
}


def end_process(error: BaseException) -> None:
    """End at once: a clean stop could commit what was not done."""
    logger.critical("ending the process: %r", error)
    logging.shutdown()
    os._exit(EXIT_SOFTWARE)


def give_up_stopping() -> None:
    """End without having left the groups: what was not committed is done again by another."""
    logger.critical("stopping took longer than %s s", STOP_TIMEOUT_SECONDS)
    logging.shutdown()
    os._exit(EXIT_SOFTWARE)


class ServiceApp(faust.App):
    """A service's Faust app; makes sure at its start that the topics are as they must be."""

    joined = False
    # The main app's: it closes them when all else has stopped.
    resources: Resources | None = None
    # The main app's: the start of the others, which a stop has to let end.
    starting: "asyncio.Future[Any] | None" = None
    # The main app's: the time it still serves after it was told to stop.
    leaving: "asyncio.Task[None] | None" = None

    async def on_start(self) -> None:
        """Create and check the topics before the first consumer asks for them."""
        try:
            await ensure_topics(settings())
        except TopicError as error:
            logger.critical("refusing to start: %s", error)
            logging.shutdown()
            os._exit(EXIT_CONFIG if isinstance(error, TopicMismatchError) else EXIT_UNAVAILABLE)
        gc.set_threshold(*COLLECT_AFTER)
        if self.resources is not None:
            warning = openness(self.resources.settings, self.resources.settings.worker_bind)
            if warning is not None:
                logger.warning(warning)
        await super().on_start()

    async def stop(self) -> None:
        """Stop; but not in the middle of a start, where Faust would wait for ever, and not before
        the gateways know: until then all is served and processed as ever."""
        if self.starting is not None:
            self.leaving = self.leaving or asyncio.create_task(self._leave(self.starting))
            await asyncio.shield(self.leaving)
        await super().stop()

    async def _leave(self, starting: "asyncio.Future[Any]") -> None:
        await asyncio.wait((starting,), timeout=START_TIMEOUT_SECONDS)
        if self.resources is not None and self.joined and not self.crashed:
            seconds = self.resources.settings.shutdown_delay_seconds
            logger.info("told to stop: serving for %s s more, until no gateway asks", seconds)
            await asyncio.sleep(seconds)
        asyncio.get_running_loop().call_later(STOP_TIMEOUT_SECONDS, give_up_stopping)

    async def on_shutdown(self) -> None:
        """Close the connections once the web server and the agents have stopped."""
        await super().on_shutdown()
        if self.resources is not None:
            await self.resources.close()

    @property
    def ready(self) -> bool:
        """Whether it takes part in its consumer group, is not being moved, and has its tables."""
        if self.producer_only:
            return not self.should_stop
        return (
            self.joined
            and not self.rebalancing
            and not self.should_stop
            and bool(self.tables.actives_ready)
        )


def build_app(name: str, resources: Resources, *, main: bool) -> ServiceApp:
    """The Faust app of a service, with its agent."""
    conf = resources.settings
    app = make_app(name, conf, main=main)
    add_agent(app, name, build_service(name, resources), conf)
    add_sweep(app, name, resources, Publisher(app, timeout=conf.produce_timeout_seconds))
    return app


def make_app(name: str, conf: Settings, *, main: bool) -> ServiceApp:
    """A Faust app with our transport, and nothing to do yet."""
    group = GROUP_PREFIX + name
    datadir = conf.data_dir / name
    datadir.mkdir(parents=True, exist_ok=True)
    app = ServiceApp(
        group,
        broker=[f"kafka://{server}" for server in conf.kafka_bootstrap_servers.split(",")],
        store="memory://",
        canonical_url=conf.url,
        table_standby_replicas=conf.analytics_standby_replicas,
        datadir=datadir,
        topic_partitions=conf.topic_partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=conf.instance_id(name),
        broker_client_id=f"{conf.worker_name}-{name}",
        broker_max_poll_records=conf.poll_max_records,
        broker_commit_interval=conf.commit_interval_seconds,
        broker_session_timeout=conf.session_timeout_seconds,
        broker_heartbeat_interval=conf.session_timeout_seconds / HEARTBEATS_PER_SESSION,
        broker_rebalance_timeout=conf.rebalance_timeout_seconds,
        broker_request_timeout=max(conf.rebalance_timeout_seconds, conf.session_timeout_seconds)
        + REQUEST_TIMEOUT_MARGIN_SECONDS,
        producer_request_timeout=conf.produce_timeout_seconds,
        producer_max_request_size=PRODUCER_MAX_BYTES,
        producer_max_batch_size=BATCH_BYTES if name == "analytics" else PRODUCER_BATCH_BYTES,
        stream_buffer_maxsize=STREAM_BUFFER_CHUNKS,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        web_enabled=main,
        web_host=conf.worker_bind,
        web_bind=conf.worker_bind,
        web_port=conf.worker_port,
        web_tables_enabled=False,
        web_application_options=web.application_options(conf) if main else None,
    )
    install(
        app,
        chunk_max_records=FOLDED_RECORDS if name == "analytics" else conf.chunk_max_records,
        chunk_max_bytes=FOLDED_BYTES if name == "analytics" else CHUNK_MAX_BYTES,
        drain_timeout=conf.drain_timeout_seconds,
    )
    return app


def add_agent(app: ServiceApp, name: str, service: Service, conf: Settings) -> None:
    """Let the service hear its topics."""
    attach = getattr(service, "attach", None)
    if attach is not None:
        attach(app, end_process)
    participant = Participant(
        name=GROUP_PREFIX + name,
        decode=getattr(service, "decode", _decode),
        decode_all=getattr(service, "decode_all", None),
        handle=service.handle,
        publish=Publisher(app, timeout=conf.produce_timeout_seconds),
        on_fatal=end_process,
        transient=(TransientStoreError,),
        undecodable=(UndecodableError,),
        limits=FOLDED if name == "analytics" else Limits(batch_records=conf.batch_max_records),
        lane=LANES.get(name, one_lane),
        observer=Observer(
            on_batch=RecordTraces(GROUP_PREFIX + name, Allowance(conf.trace_log_lines)).handled
        ),
    )

    async def agent(stream: Any) -> None:
        await participant.run(stream)

    app.agent(chunks(app, *service.topics), name=name)(agent)

    @app.on_partitions_assigned.connect
    async def note_joined(app: ServiceApp, assigned: Any, **kwargs: Any) -> None:
        app.joined = True


def _decode(record: Any) -> Event:
    return decode(BY_NAME[record.topic], record.key, record.value, record.headers)


async def publish(publisher: Publisher, event: Event) -> None:
    """Send one event; returns when it is acknowledged."""
    await publisher(outgoing((event,)))


def web_alone(name: str, resources: Resources, *, main: bool) -> ServiceApp:
    """An app that only serves and publishes: no consumer, so it belongs to no group."""
    app = make_app(name, resources.settings, main=main)
    app.producer_only = app.joined = True
    return app


def build(conf: Settings) -> ServiceApp:
    """The main app of a process with these settings; it starts the others with itself."""
    resources = Resources.connect(conf)
    first, *others = conf.service_names() or (WEB_ALONE,)
    main = (web_alone if first == WEB_ALONE else build_app)(first, resources, main=True)
    beside = [build_app(name, resources, main=False) for name in others]
    resources.publish = partial(publish, Publisher(main, timeout=conf.produce_timeout_seconds))
    apps = dict(zip((first, *others), (main, *beside), strict=True))
    resources.services_ready = lambda: {name: app.ready for name, app in apps.items()}

    @main.task
    async def start_beside() -> None:
        for app in beside:
            app.finalize()
        main.starting = asyncio.gather(*(main.add_runtime_dependency(app) for app in beside))
        await main.starting

    main.resources = resources
    resources.stopping = lambda: main.leaving is not None

    async def kafka_answers() -> None:
        await main.producer._producer.client.fetch_all_metadata()  # noqa: SLF001 (Faust has no way)

    resources.kafka_answers = kafka_answers
    web.register(main, resources)
    cli.register(main, conf)
    return main


@cache
def main_app() -> ServiceApp:
    """The app of this process, made once."""
    logs.sparse(*NOISY)
    return build(settings())
