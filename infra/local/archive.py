"""Kafka's classes as a JVM has them in memory: with them, a broker's start costs half as much.

The JVM itself leaves out an archive that is not its own, such as one of an older Java.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from infra.local.health import kafka_answers, wait_until
from infra.local.ports import LOOPBACK, free_ports

START_SECONDS = 60.0
# At its end the JVM writes 50 MB.
STOP_SECONDS = 60.0


def make(archive: Path, empty_kafka: Path, java: Sequence[str], main: str) -> None:
    """Run a broker, `main` after options of `java`, and keep what it has loaded.

    Where that fails, `archive` is an empty file: nobody is to try again.
    """
    work = archive.with_suffix(".making")
    draft = work / archive.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        _run(draft, work, empty_kafka, java, main)
        if not draft.exists():
            draft.touch()
        draft.rename(archive)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(draft: Path, work: Path, empty_kafka: Path, java: Sequence[str], main: str) -> None:
    shutil.copytree(empty_kafka, work / "log")
    port, controller = free_ports(2)
    settings = work / "server.properties"
    settings.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n"
        f"controller.quorum.voters=1@{LOOPBACK}:{controller}\n"
        f"listeners=PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller}\n"
        f"log.dirs={work / 'log'}\n"
    )
    with (work / "output").open("w") as output:
        broker = subprocess.Popen(
            (*java, f"-XX:ArchiveClassesAtExit={draft}", main, str(settings)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(
            lambda: broker.poll() is not None or kafka_answers(LOOPBACK, port), START_SECONDS
        )
        broker.terminate()
        broker.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        draft.unlink(missing_ok=True)
    finally:
        broker.kill()
        broker.wait()
