"""Kafka, MongoDB's wire server and Redis: settings, command and health check of each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.local import java
from infra.local.ports import LOOPBACK, Port
from infra.local.process import Program, Stage

# Database of the application in the MongoDB URL we hand out.
DATABASE = "orderflow"

# An acknowledged write is on disk after this long; SIGTERM loses none, SIGKILL the last moments.
MONGO_COMMIT_MILLISECONDS = 100
# Two cores carry both servers and all workers: the serial collector has no threads of its own.
KAFKA_HEAP = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC")
MONGO_HEAP = ("-Xms256m", "-Xmx768m", "-XX:+UseSerialGC")

KAFKA_SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    # A topic nobody declared is a mistake, not a wish.
    "auto.create.topics.enable": "false",
    # One broker, so one replica; as many internal partitions as a topic of ours has.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "6",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "6",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Workers start together; long enough to make one rebalance of it, short against their start.
    "group.initial.rebalance.delay.ms": "300",
    # Chaos tests notice a dead worker after 6 s, benchmarks let one pause for minutes.
    "group.min.session.timeout.ms": "1000",
    "group.max.session.timeout.ms": "300000",
    # Replayed orders keep their own time, which is years ago: nothing expires here.
    "log.retention.hours": "-1",
    # After a kill the broker may come back once its old self is taken for dead.
    "broker.session.timeout.ms": "5000",
    "broker.heartbeat.interval.ms": "1000",
    # Sized for two cores; the cleaner's default buffer alone is 128 MB.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "16777216",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of Kafka's with a protocol of its own, for tests.

    Attributes:
        protocol: `SSL`, `SASL_SSL` and the like.
        settings: of this listener alone, as `ssl.keystore.location`.
    """

    name: str
    protocol: str
    port: int
    settings: Mapping[str, str]


def kafka(
    data: Path,
    log: Path,
    port: Port,
    controller: Port,
    jit: Sequence[str] = (),
    listeners: Sequence[Listener] = (),
) -> Program:
    """Kafka as one node that is broker and controller.

    `jit`: how the JVM is to compile; `listeners`: those it has besides the one without TLS.
    """
    settings = data / "server.properties"

    def prepare() -> None:
        if not (data / "log" / "meta.properties").exists():
            shutil.copytree(java.empty_kafka(), data / "log", dirs_exist_ok=True)
        text = kafka_settings(data / "log", port.number, controller.number, listeners)
        settings.write_text(text)

    return Program(
        name="kafka",
        command=java.java_command(java.KAFKA, str(settings), heap=(*KAFKA_HEAP, *jit), log=log),
        log=log,
        cwd=_made(data),
        check=f"kafka://{LOOPBACK}:{port.number}",
        address=f"{LOOPBACK}:{port.number}",
        stage=Stage.SERVER,
        ports=(port, controller),
        prepare=prepare,
    )


def kafka_settings(
    log_folder: Path, port: int, controller_port: int, listeners: Sequence[Listener] = ()
) -> str:
    """Render server.properties."""
    more = [f"{one.name}://{LOOPBACK}:{one.port}" for one in listeners]
    clients = ",".join([f"PLAINTEXT://{LOOPBACK}:{port}", *more])
    settings = {
        **KAFKA_SETTINGS,
        "log.dirs": str(log_folder),
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"{clients},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": clients,
        "listener.security.protocol.map": ",".join(
            [
                KAFKA_SETTINGS["listener.security.protocol.map"],
                *(f"{one.name}:{one.protocol}" for one in listeners),
            ]
        ),
        **{
            f"listener.name.{one.name.lower()}.{name}": value
            for one in listeners
            for name, value in one.settings.items()
        },
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def mongo(
    data: Path,
    log: Path,
    port: Port,
    commit_milliseconds: int = MONGO_COMMIT_MILLISECONDS,
    jit: Sequence[str] = (),
) -> Program:
    """The server that speaks MongoDB's protocol, its data in one file.

    With `commit_milliseconds=0` a write is in the file before it is acknowledged.
    """
    return Program(
        name="mongo",
        command=java.java_command(
            "orderflow.mongo.MongoWire",
            *(LOOPBACK, str(port.number), str(data / "mongo.db"), str(commit_milliseconds)),
            heap=(*MONGO_HEAP, *jit),
            log=log,
        ),
        log=log,
        cwd=_made(data),
        check=mongodb_url(port.number),
        address=mongodb_url(port.number),
        stage=Stage.SERVER,
        ports=(port,),
    )


def mongodb_url(port: int) -> str:
    """Return the URL of our own server, which knows no sessions and so no retried writes."""
    return f"mongodb://{LOOPBACK}:{port}/{DATABASE}?retryWrites=false"


def redis_url(port: int) -> str:
    """Return the URL of our own Redis."""
    return f"redis://{LOOPBACK}:{port}/0"


def redis(data: Path, log: Path, port: Port) -> Program:
    """Redis with an append-only file, so that a stop loses nothing."""
    return Program(
        name="redis",
        command=(
            shutil.which("redis-server") or "redis-server",
            *("--bind", LOOPBACK, "--port", str(port.number), "--dir", str(data)),
            *("--appendonly", "yes", "--save", "", "--daemonize", "no"),
        ),
        log=log,
        cwd=_made(data),
        check=redis_url(port.number),
        address=redis_url(port.number),
        stage=Stage.SERVER,
        ports=(port,),
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
