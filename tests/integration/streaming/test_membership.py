"""Consumers stay members of their group, or their process ends, on a real broker."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from infra.local.testing import LocalServers
from tests.integration.streaming.test_table import SECONDS, Plant, plant, write
from tests.kafka import eventually, producing

__all__ = ["plant"]

pytestmark = pytest.mark.timeout(240)
# Of the client, were it not put off; heartbeats, which look at it, are a second apart.
POLL_SECONDS = 2.0
# No synchronisation: it is the time that passes which is tested.
IDLE_SECONDS = 4 * POLL_SECONDS
SHORT = {"BROKER_MAX_POLL_INTERVAL": str(POLL_SECONDS)}
# More than a lane and the stream's buffer hold, in records.
MANY = 4000
# A recovery asks the broker nothing for so long, and Faust then waits so long for an answer.
DELAY_SECONDS = 3.0
REQUEST_SECONDS = 8.0


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalServers]:
    """A broker that may be frozen."""
    with LocalServers(tmp_path / "servers", only=["kafka"]) as servers:
        yield servers


async def test_a_worker_that_had_no_partitions_for_long_takes_over_those_of_one_that_dies(
    plant: Plant,
) -> None:
    await plant.create_topics()
    plant.start("one", **SHORT)
    await plant.ready("one")
    await plant.send(write(1, "a"))
    await plant.written()
    plant.start("two", **SHORT)
    await plant.ready("two")
    await asyncio.sleep(IDLE_SECONDS)
    assert not (plant.directory / "two" / "v1" / "tables" / "kept-0.db").exists()

    plant.end("one", signal.SIGKILL)
    await plant.send(write(2, "b"))

    await plant.written()


async def test_a_worker_that_was_held_for_long_goes_on_where_it_was(
    plant: Plant, local_servers: LocalServers
) -> None:
    await plant.create_topics()
    plant.hold_file("one").touch()
    plant.start("one", STREAM_BUFFER_MAXSIZE="2", **SHORT)
    await plant.ready("one")
    async with producing(local_servers.kafka) as producer:
        for n in range(1, MANY):
            await producer.send(plant.input, value=orjson.dumps(write(n, "a")), partition=0)
    await eventually(lambda: "holding" in plant.log("one"), SECONDS, "the worker is held")
    await asyncio.sleep(IDLE_SECONDS)

    plant.hold_file("one").unlink()

    await plant.written()


async def test_a_worker_that_its_group_refuses_for_good_ends(plant: Plant) -> None:
    # As after an update that gives a service its first table: its members share partitions out in
    # another way than those that still run.
    await plant.create_topics()
    plant.start("one")
    await plant.ready("one")
    plant.start(
        "refused",
        app="tests.integration.streaming.relay_app",
        RELAY_GROUP=plant.name,
        RELAY_INPUT=plant.input,
        RELAY_OUTPUT=plant.input,
        RELAY_HOLD_FILE=str(plant.hold_file("refused")),
        # Faust's way of sharing partitions out is for apps with tables or standbys alone.
        TABLE_STANDBY_REPLICAS="0",
    )
    refused = plant.processes["refused"]

    await eventually(lambda: refused.poll() is not None, SECONDS, "the refused worker ends")

    assert 0 != refused.returncode, plant.log("refused")
    assert "InconsistentGroupProtocolError" in plant.log("refused")


async def test_a_recovery_outlives_a_broker_that_does_not_answer(
    own_kafka: LocalServers, tmp_path: Path
) -> None:
    plant = Plant(own_kafka.kafka, tmp_path, 1)
    await plant.create_topics()
    try:
        slow = {"TABLE_RECOVERY_DELAY": str(DELAY_SECONDS)}
        plant.start("one", BROKER_REQUEST_TIMEOUT=str(REQUEST_SECONDS), **slow)
        worker = plant.processes["one"]
        await eventually(lambda: "generation id" in plant.log("one"), SECONDS, "it recovers")
        own_kafka.pause("kafka")
        await asyncio.sleep(DELAY_SECONDS + 2 * REQUEST_SECONDS)
        own_kafka.resume("kafka")
        await eventually(
            lambda: worker.poll() is not None or "Worker ready" in plant.log("one"),
            SECONDS,
            "it is recovered, or has ended",
        )

        if worker.poll() is not None:
            assert 0 != worker.returncode
            plant.start("one")  # as whoever supervises it does
        await plant.send(write(1, "a"))
        await plant.written()
    finally:
        plant.close()
