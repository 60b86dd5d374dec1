"""One Faust app, so one consumer group, a service; and which of them this process runs.

`SERVICES=all` (the default) runs every service in one process, `SERVICES=payment` that one alone:
the same groups, topics and state either way. The first of them is the process's main app: it serves
the web views and starts the others beside it.
"""

import asyncio
import sys
from collections.abc import Callable, Hashable, Mapping
from functools import cache, partial
from typing import Any

import faust
from structlog.contextvars import bind_contextvars

from app import cli, logs, web
from app.agents.folding import outgoing
from app.agents.registry import Service, build_service
from app.agents.sweeps import add_sweep
from app.codec import UndecodableError, decode
from app.events import Event
from app.kafka import KafkaSettingError, client_options, credentials
from app.logs import Allowance
from app.metrics.registry import REGISTRY
from app.metrics.worker import WorkerMetrics
from app.parts import SAGA_NAMES
from app.resources import Resources
from app.saga import SAGAS
from app.service_app import ServiceApp, end_process
from app.settings import MISCONFIGURED, WEB_ALONE, Settings, settings
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
from app.telemetry.chunks import RecordedBatches
from app.telemetry.sending import Publish, RecordedPublisher
from app.telemetry.spans import Spans
from app.telemetry.worker import WORKER, worker_options
from app.topics import BY_NAME, GROUP_PREFIX
from app.trace_log import RecordTraces

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


def build_app(name: str, resources: Resources, *, main: bool) -> ServiceApp:
    """The Faust app of a service, with its agent."""
    conf = resources.settings
    app = make_app(name, conf, main=main, spans=resources.spans)
    add_agent(app, name, build_service(name, resources), resources)
    add_sweep(app, name, resources, recorded(publisher(app, resources), name, resources))
    return app


def publisher(app: faust.App, resources: Resources) -> Publisher:
    """Sends through the producer of `app`."""
    timeout = resources.settings.produce_timeout_seconds
    return Publisher(app, timeout=timeout, on_sent=resources.listeners.sent)


def recorded(publisher: Publisher, name: str, resources: Resources) -> Publish:
    """For records that no record led to, requests' and sweeps': publishes with their spans."""
    if resources.spans is None:
        return publisher
    return RecordedPublisher(publisher, resources.spans.of(name))


def make_app(name: str, conf: Settings, *, main: bool, spans: Spans | None = None) -> ServiceApp:
    """A Faust app with our transport, and nothing to do yet."""
    group = GROUP_PREFIX + name
    datadir = conf.data_dir / name
    datadir.mkdir(parents=True, exist_ok=True)
    app = ServiceApp(
        group,
        broker=[f"kafka://{server}" for server in conf.kafka_bootstrap_servers.split(",")],
        broker_credentials=credentials(conf),
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
        web_application_options=web.application_options(conf, spans) if main else None,
        **(worker_options(conf) if main else {}),
    )
    install(
        app,
        chunk_max_records=FOLDED_RECORDS if name == "analytics" else conf.chunk_max_records,
        chunk_max_bytes=FOLDED_BYTES if name == "analytics" else CHUNK_MAX_BYTES,
        drain_timeout=conf.drain_timeout_seconds,
        fetch_gap=conf.fetch_gap_seconds if name in SAGA_NAMES else conf.fetch_gap_aside_seconds,
    )
    return app


def add_agent(app: ServiceApp, name: str, service: Service, resources: Resources) -> None:
    """Let the service hear its topics."""
    conf, group = resources.settings, GROUP_PREFIX + name
    attach = getattr(service, "attach", None)
    if attach is not None:
        attach(app, end_process)
    work: dict[str, Any] = {
        "decode": getattr(service, "decode", _decode),
        "decode_all": getattr(service, "decode_all", None),
        "handle": service.handle,
        "publish": publisher(app, resources),
    }
    if resources.spans is not None:
        batches: Any = RecordedBatches(resources.spans.of(name), group, **work)
        work = {part: getattr(batches, part) for part in work}
    participant: Participant[Any] = Participant(
        name=group,
        **work,
        on_fatal=end_process,
        transient=(TransientStoreError,),
        undecodable=(UndecodableError,),
        limits=FOLDED if name == "analytics" else Limits(batch_records=conf.batch_max_records),
        lane=LANES.get(name, one_lane),
        observer=Observer.together(
            Observer(on_batch=RecordTraces(group, Allowance(conf.trace_log_lines)).handled),
            resources.listeners.group(group, service.topics),
        ),
    )

    async def agent(stream: Any) -> None:
        # Of this task and those that it starts: whatever is logged there is the service's.
        bind_contextvars(service=name)
        await participant.run(stream)

    app.agent(chunks(app, *service.topics), name=name)(agent)

    @app.on_partitions_assigned.connect
    async def note_joined(app: ServiceApp, assigned: Any, **kwargs: Any) -> None:
        app.joined = True


def _decode(record: Any) -> Event:
    return decode(BY_NAME[record.topic], record.key, record.value, record.headers)


async def publish(publisher: Publish, event: Event) -> None:
    """Send one event; returns when it is acknowledged."""
    await publisher(outgoing((event,)))


def web_alone(name: str, resources: Resources, *, main: bool) -> ServiceApp:
    """An app that only serves and publishes: no consumer, so it belongs to no group."""
    app = make_app(name, resources.settings, main=main, spans=resources.spans)
    app.producer_only = app.joined = True
    return app


def build(conf: Settings) -> ServiceApp:
    """The main app of a process with these settings; it starts the others with itself."""
    resources = Resources.connect(conf)
    metrics = WorkerMetrics(REGISTRY, SAGAS[conf.saga_order])
    metrics.tables, resources.listeners = resources.tables, metrics.listeners
    first, *others = conf.service_names() or (WEB_ALONE,)
    main = (web_alone if first == WEB_ALONE else build_app)(first, resources, main=True)
    beside = [build_app(name, resources, main=False) for name in others]
    resources.publish = partial(publish, recorded(publisher(main, resources), WORKER, resources))
    apps = dict(zip((first, *others), (main, *beside), strict=True))
    resources.services_ready = lambda: {name: app.ready for name, app in apps.items()}
    show(metrics, main, apps)

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


def show(metrics: WorkerMetrics, main: ServiceApp, apps: Mapping[str, ServiceApp]) -> None:
    """Let the metrics tell of these apps, by their services; before they start."""
    metrics.members.update(apps)
    for app in apps.values():
        app.watches += (app.look_at_lag,)
    main.watches += (partial(metrics.loop.watch, main.sleep, lambda: main.should_stop),)


@cache
def main_app() -> ServiceApp:
    """The app of this process, made once."""
    logs.sparse(*NOISY)
    conf = settings()
    try:
        client_options(conf)
    except KafkaSettingError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(MISCONFIGURED) from None
    return build(conf)
