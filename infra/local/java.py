"""Build the Java servers: jars from Maven Central and our own classes, once for each change."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from infra.local import archive
from infra.local.errors import LocalError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Shared within this checkout, by `up` and by each test's own servers.
HOME = ROOT / ".local" / "java"
# 55 MB of jars over a slow line.
BUILD_SECONDS = 900
FORMAT_SECONDS = 120
CLUSTER_ID = "b3JkZXJmbG93LWxvY2FsMQ"
KAFKA = "kafka.Kafka"
OUR_CLASSES = "orderflow."
# As the servers run.
TRAINED_WITH = "-XX:+UseSerialGC"
# Compiles fast and simply: over in a minute, the thorough compiler costs more than it saves.
SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

LOGGING = HERE / "log4j2.properties"
TOOL_LOGGING = HERE / "log4j2-tools.properties"

TOOLS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "configs": "kafka.admin.ConfigCommand",
    "dump-log": "kafka.tools.DumpLogSegments",
}


def java_command(
    main: str, *arguments: str, heap: Sequence[str] = (), log: Path | None = None
) -> tuple[str, ...]:
    """Return the command that runs a Java class out of what `build` left.

    A server writes `log` and keeps it short; a tool, without one, prints its warnings.
    """
    logging = (
        (f"-Dlog4j2.configurationFile={TOOL_LOGGING}",)
        if log is None
        else (f"-Dlog4j2.configurationFile={LOGGING}", f"-Dorderflow.log={log.resolve()}")
    )
    options = (*heap, *_archived(main), *(SHORT_LIVED if main in TOOLS.values() else ()), *logging)
    return (*_java(main, *options), main, *arguments)


def _java(main: str, *options: str) -> tuple[str, ...]:
    """Return a command's beginning, up to the class's name."""
    jars = f"{folder() / 'jars'}/*"
    # An archive goes with jars only.
    path = f"{folder() / 'classes'}:{jars}" if main.startswith(OUR_CLASSES) else jars
    # No file in /tmp for each server; nothing here reads it.
    return (shutil.which("java") or "java", *options, "-XX:-UsePerfData", "-cp", path)


def _archived(main: str) -> tuple[str, ...]:
    kept = kafka_archive()
    if main.startswith(OUR_CLASSES) or not (kept.exists() and kept.stat().st_size):
        return ()
    return (f"-XX:SharedArchiveFile={kept}",)


@cache
def folder() -> Path:
    """Return the place of the build of today's sources.

    Each state of the sources has a folder of its own: servers that run out of another one must
    find their classes there as long as they run.
    """
    digest = hashlib.sha256()
    for source in [HERE / "pom.xml", *sorted((HERE / "src").rglob("*.java"))]:
        digest.update(str(source.relative_to(HERE)).encode() + b"\0" + source.read_bytes())
    return HOME / digest.hexdigest()[:12]


def is_built() -> bool:
    """Say whether the build of today's sources is there."""
    return kafka_archive().exists()


def build() -> bool:
    """Build what is missing; false if all was there. Others who build at the same time wait."""
    if is_built():
        return False
    HOME.mkdir(parents=True, exist_ok=True)
    with _only_one():
        if is_built():
            return False
        if not folder().exists():
            _build()
        # Last, because an archive holds only where its jars are.
        options = (TRAINED_WITH, f"-Dlog4j2.configurationFile={TOOL_LOGGING}")
        archive.make(kafka_archive(), empty_kafka(), _java(KAFKA, *options), KAFKA)
        return True


def _build() -> None:
    draft = HOME / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    _run(
        "mvn",
        *("-q", "-B", "-f", str(HERE / "pom.xml"), f"-Djava.out={draft}"),
        *("compiler:compile", "dependency:copy-dependencies"),
        seconds=BUILD_SECONDS,
    )
    shutil.rmtree(draft / "maven", ignore_errors=True)
    _format_empty_kafka(draft)
    draft.rename(folder())


def kafka_archive() -> Path:
    """Return where Kafka's classes are kept as a JVM had them in memory."""
    return folder() / "kafka.jsa"


def empty_kafka() -> Path:
    """Return a formatted, empty log folder: a copy of it saves each new broker a JVM's start."""
    return folder() / "empty-kafka"


def _format_empty_kafka(draft: Path) -> None:
    settings = draft / "empty-kafka.properties"
    settings.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n"
        "controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
        f"log.dirs={draft / 'empty-kafka'}\n"
    )
    _run(
        *("java", "-cp", f"{draft / 'jars'}/*", f"-Dlog4j2.configurationFile={TOOL_LOGGING}"),
        *("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)),
        seconds=FORMAT_SECONDS,
    )


def _run(*command: str, seconds: float) -> None:
    # Maven colours its output even into a pipe; TERM=dumb keeps escape codes out of our messages.
    environment = {**os.environ, "TERM": "dumb"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=environment, check=False
        )
    except FileNotFoundError:
        raise LocalError(
            f"{command[0]} is not installed: `python -m infra.local install`"
        ) from None
    except subprocess.TimeoutExpired:
        raise LocalError(f"{command[0]} took more than {seconds:.0f} s") from None
    if done.returncode != 0:
        output = (done.stdout + done.stderr)[-4000:]
        raise LocalError(f"building the Java servers failed:\n{output}")


@contextmanager
def _only_one() -> Iterator[None]:
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
