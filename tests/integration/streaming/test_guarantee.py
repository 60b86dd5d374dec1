"""The streaming guarantee on a real broker, with real worker processes."""

import asyncio
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson
import pytest

from infra.local.testing import LocalServers
from tests.kafka import (
    PARTITIONS,
    committed,
    create_topics,
    end_offsets,
    eventually,
    lag,
    producing,
    read_all,
)

pytestmark = pytest.mark.timeout(240)
ROOT = Path(__file__).parents[3]


@dataclass
class Relay:
    """The relay's topics and its worker processes."""

    kafka: str
    directory: Path
    name: str = field(default_factory=lambda: f"relay-{uuid.uuid4().hex[:8]}")
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    logs: list[IO[bytes]] = field(default_factory=list)

    @property
    def input(self) -> str:
        return f"{self.name}-in"

    @property
    def output(self) -> str:
        return f"{self.name}-out"

    @property
    def hold_file(self) -> Path:
        return self.directory / "hold"

    def start(self, worker: str, **env: str) -> None:
        data = self.directory / worker
        data.mkdir(exist_ok=True)
        log = (self.directory / f"{worker}.log").open("ab")
        self.logs.append(log)
        self.processes[worker] = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "faust",
                "-A",
                "tests.integration.streaming.relay_app",
                "worker",
                "-l",
                "info",
                "--without-web",
            ],
            cwd=ROOT,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
                "RELAY_GROUP": self.name,
                "RELAY_INPUT": self.input,
                "RELAY_OUTPUT": self.output,
                "RELAY_HOLD_FILE": str(self.hold_file),
                "DATA_DIR": str(data),
                **env,
            },
            stdout=log,
            stderr=log,
        )

    def end(self, worker: str, how: signal.Signals) -> int:
        process = self.processes.pop(worker)
        process.send_signal(how)
        return process.wait(timeout=40)

    async def send(self, values: list[bytes]) -> None:
        async with producing(self.kafka) as producer:
            deliveries = [
                await producer.send(self.input, value=value, key=value, partition=n % PARTITIONS)
                for n, value in enumerate(values)
            ]
            await asyncio.gather(*deliveries)

    async def relayed(self) -> int:
        return sum((await end_offsets(self.kafka, self.output)).values())

    async def at_rest(self) -> bool:
        return await lag(self.kafka, self.name, [self.input]) == 0


@pytest.fixture
async def relay(local_servers: LocalServers, tmp_path: Path) -> AsyncIterator[Relay]:
    relay = Relay(local_servers.kafka, tmp_path)
    await create_topics(relay.kafka, [relay.input, relay.output, f"{relay.input}.dlq"])
    yield relay
    for process in relay.processes.values():
        process.kill()
        process.wait(timeout=10)
    for log in relay.logs:
        log.close()


def numbered(count: int) -> list[bytes]:
    return [b"%d" % n for n in range(count)]


async def first_arrivals_are_in_order(relay: Relay) -> None:
    seen: dict[int, list[int]] = {}
    known: set[bytes] = set()
    for record in await read_all(relay.kafka, relay.output):
        if record.value not in known:
            known.add(record.value)
            seen.setdefault(record.partition, []).append(int(record.value))
    for numbers in seen.values():
        assert sorted(numbers) == numbers


async def test_nothing_is_lost_and_order_holds_while_workers_are_killed_under_load(
    relay: Relay,
) -> None:
    values = numbered(60_000)
    relay.start("one")
    relay.start("two")
    await relay.send(values)
    for victim, relayed in (("one", 5_000), ("two", 20_000), ("one", 35_000)):
        await eventually(
            lambda least=relayed: _at_least(relay, least), 60, f"{relayed} records relayed"
        )
        relay.end(victim, signal.SIGKILL)
        # Nothing may be committed that is not in the output.
        done = await committed(relay.kafka, relay.name)
        out = {record.value for record in await read_all(relay.kafka, relay.output)}
        for tp, offset in done.items():
            assert {b"%d" % (n * PARTITIONS + tp.partition) for n in range(offset)} <= out
        relay.start(victim)
    await eventually(relay.at_rest, 90, "everything is committed", every=0.5)

    out = Counter(record.value for record in await read_all(relay.kafka, relay.output))
    assert set(values) == set(out)
    await first_arrivals_are_in_order(relay)


async def _at_least(relay: Relay, count: int) -> bool:
    return await relay.relayed() >= count


async def test_a_clean_stop_and_a_joining_worker_hand_over_without_redelivery(
    relay: Relay,
) -> None:
    values = numbered(40_000)
    relay.start("one")
    await relay.send(values)
    await eventually(lambda: _at_least(relay, 2_000), 60, "the first worker works")
    relay.start("two")
    await eventually(lambda: _at_least(relay, 20_000), 60, "half is relayed")
    assert relay.end("one", signal.SIGTERM) == 0
    await eventually(relay.at_rest, 90, "everything is committed", every=0.5)

    out = Counter(record.value for record in await read_all(relay.kafka, relay.output))
    assert set(values) == set(out)
    assert {value: n for value, n in out.items() if n > 1} == {}


async def test_a_poison_record_goes_to_the_dead_letters_and_the_partition_goes_on(
    relay: Relay,
) -> None:
    good = numbered(3_000)
    values = [*good[:1_000], b"undecodable", *good[1_000:2_000], b"unprocessable", *good[2_000:]]
    relay.start("one", RELAY_SECONDS_PER_BATCH="0.001")
    await relay.send(values)
    await eventually(relay.at_rest, 60, "everything is committed", every=0.5)

    assert set(good) == {record.value for record in await read_all(relay.kafka, relay.output)}
    letters = {
        record.value: (record, {name: text.decode() for name, text in record.headers})
        for record in await read_all(relay.kafka, f"{relay.input}.dlq")
    }
    assert {b"undecodable", b"unprocessable"} == set(letters)
    for value, reason in ((b"undecodable", "undecodable"), (b"unprocessable", "unprocessable")):
        record, headers = letters[value]
        position = values.index(value)
        assert value == record.key
        assert position % PARTITIONS == record.partition
        assert reason == headers["dlq-reason"]
        assert relay.input == headers["dlq-topic"]
        assert str(position % PARTITIONS) == headers["dlq-partition"]
        assert str(position // PARTITIONS) == headers["dlq-offset"]
        assert relay.name == headers["dlq-group"]


async def test_a_transient_fault_holds_the_partition_and_loses_nothing(relay: Relay) -> None:
    relay.hold_file.touch()
    relay.start("one")
    values = numbered(1_000)
    await relay.send(values)
    log = relay.directory / "one.log"
    await eventually(lambda: b"the store is away" in log.read_bytes(), 60, "it is held")
    assert await relay.relayed() == 0
    assert sum((await committed(relay.kafka, relay.name)).values()) == 0
    relay.hold_file.unlink()
    await eventually(relay.at_rest, 60, "everything is committed", every=0.5)
    assert set(values) == {record.value for record in await read_all(relay.kafka, relay.output)}


async def test_a_partition_that_is_held_is_stuck_until_it_is_released_and_no_other_is(
    relay: Relay,
) -> None:
    file = relay.directory / "stuck"

    def stuck() -> dict[str, float]:
        found: dict[str, float] = orjson.loads(file.read_bytes()) if file.exists() else {}
        return found

    def shown() -> bool:
        return len(stuck()) == PARTITIONS and any(stuck().values())

    relay.hold_file.touch()
    relay.start("one", RELAY_STUCK_FILE=str(file))
    await relay.send(numbered(1))
    await eventually(shown, 60, "a partition is stuck")
    before = stuck()
    assert {"0"} == {partition for partition, seconds in before.items() if seconds}
    await eventually(lambda: stuck()["0"] > before["0"], 60, "it still is")

    relay.hold_file.unlink()

    await eventually(lambda: not any(stuck().values()), 60, "no partition is stuck")
    await eventually(relay.at_rest, 60, "everything is committed", every=0.5)


async def test_a_worker_that_is_held_stops_at_once_and_another_takes_over(relay: Relay) -> None:
    relay.hold_file.touch()
    relay.start("one")
    values = numbered(1_000)
    await relay.send(values)
    log = relay.directory / "one.log"
    await eventually(lambda: b"the store is away" in log.read_bytes(), 60, "it is held")
    assert relay.end("one", signal.SIGTERM) == 0
    assert sum((await committed(relay.kafka, relay.name)).values()) == 0
    relay.hold_file.unlink()
    relay.start("two")
    await eventually(relay.at_rest, 60, "everything is committed", every=0.5)
    assert set(values) == {record.value for record in await read_all(relay.kafka, relay.output)}
