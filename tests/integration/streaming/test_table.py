"""Tables on a real broker: what is durable when, and what recovery makes of it."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
import pytest
import rocksdict
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError
from faust.stores.rocksdb import Store

from app.streaming.table import BATCH_BYTES, VERSION
from infra.local.testing import LocalServers
from tests.kafka import (
    committed,
    end_offsets,
    eventually,
    lag,
    producing,
    read_all,
)

pytestmark = pytest.mark.timeout(240)
ROOT = Path(__file__).parents[3]
TABLE_APP = "tests.integration.streaming.table_app"
SECONDS = 90
TOOL_SECONDS = 60
LAST = "last"
Kept = dict[bytes, int]
"""The version of each key."""


@dataclass
class Plant:
    """The table's topics and its worker processes."""

    kafka: str
    directory: Path
    partitions: int
    name: str = field(default_factory=lambda: f"table-{uuid.uuid4().hex[:8]}")
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    logs: list[IO[bytes]] = field(default_factory=list)

    @property
    def input(self) -> str:
        return f"{self.name}-in"

    @property
    def changelog(self) -> str:
        return f"{self.name}-kept-changelog"

    def hold_file(self, worker: str) -> Path:
        return self.directory / f"{worker}.hold"

    def log(self, worker: str) -> str:
        return (self.directory / f"{worker}.log").read_text()

    async def create_topics(self, **changelog: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        configs = {"cleanup.policy": "compact", **changelog}
        try:
            await admin.create_topics(
                [
                    NewTopic(self.input, self.partitions, 1),
                    NewTopic(self.changelog, self.partitions, 1, topic_configs=configs),
                ]
            )
        finally:
            await admin.close()

    def start(self, worker: str, app: str = TABLE_APP, **env: str) -> None:
        data = self.directory / worker
        data.mkdir(exist_ok=True)
        log = (self.directory / f"{worker}.log").open("ab")
        self.logs.append(log)
        self.processes[worker] = subprocess.Popen(
            [sys.executable, "-m", "faust", "-A", app, "worker", "-l", "info", "--without-web"],
            cwd=ROOT,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
                "TABLE_GROUP": self.name,
                "TABLE_INPUT": self.input,
                "TABLE_PARTITIONS": str(self.partitions),
                "TABLE_HOLD_FILE": str(self.hold_file(worker)),
                "DATA_DIR": str(data),
                **env,
            },
            stdout=log,
            stderr=log,
        )

    def end(self, worker: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self.processes.pop(worker)
        process.send_signal(how)
        status = process.wait(timeout=40)
        assert (0 if how is signal.SIGTERM else -how) == status, self.log(worker)

    def close(self) -> None:
        """End what still runs."""
        for process in self.processes.values():
            process.kill()
            process.wait(timeout=10)
        for log in self.logs:
            log.close()

    async def ready(self, worker: str, times: int = 1) -> None:
        """Wait until it has recovered its tables, for the so-manieth time."""
        await eventually(
            lambda: self.log(worker).count("Worker ready") >= times, SECONDS, f"{worker} is ready"
        )

    async def send(self, *writes: Mapping[str, Any], partition: int = 0) -> None:
        async with producing(self.kafka) as producer:
            for each in writes:
                await producer.send_and_wait(
                    self.input, value=orjson.dumps(each), partition=partition
                )

    async def written(self) -> None:
        async def no_lag() -> bool:
            try:
                return await lag(self.kafka, self.name, [self.input]) == 0
            except GroupCoordinatorNotAvailableError:  # the broker's first group
                return False

        await eventually(no_lag, SECONDS, "all writes are done", every=0.3)

    async def append(self, *records: tuple[str, int | None], partition: int = 0) -> None:
        """Put records into the changelog, as somebody who has lost the partition might."""
        async with producing(self.kafka) as producer:
            for key, version in records:
                value = None if version is None else VERSION.pack(version) + b"from elsewhere"
                await producer.send_and_wait(
                    self.changelog, key=key.encode(), value=value, partition=partition
                )

    def kept(
        self, worker: str, partition: int = 0, *, running: bool = False
    ) -> tuple[Kept, int | None]:
        """What the RocksDB of a worker holds, and up to which changelog offset."""
        path = self.directory / worker / "v1" / "tables" / f"kept-{partition}.db"
        access = rocksdict.AccessType.read_only() if running else rocksdict.AccessType.read_write()
        database = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True), access_type=access)
        try:
            found = {bytes(key): bytes(value) for key, value in database.items()}
        finally:
            database.close()
        offset = found.pop(Store.offset_key, None)
        versions = {key: VERSION.unpack_from(value)[0] for key, value in found.items()}
        return versions, None if offset is None else int(offset)

    async def end_of(self, partition: int = 0) -> int:
        ends = await end_offsets(self.kafka, self.changelog)
        return next(end for tp, end in ends.items() if tp.partition == partition)

    def take(self, most: int) -> None:
        """Let the broker take changelog batches of so many bytes."""
        subprocess.run(
            [
                *(sys.executable, "-m", "infra.local", "kafka-tool", "configs"),
                *("--bootstrap-server", self.kafka, "--alter", "--topic", self.changelog),
                *("--add-config", f"max.message.bytes={most}"),
            ],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
            check=True,
            capture_output=True,
            timeout=TOOL_SECONDS,
        )

    async def logged(self) -> list[tuple[bytes, int | None]]:
        """Keys and versions in the changelog's first partition; None for a deletion."""
        return [
            (record.key, record.value and VERSION.unpack_from(record.value)[0])
            for record in await read_all(self.kafka, self.changelog)
            if record.partition == 0
        ]


def write(
    version: int, *puts: str, deletes: Sequence[str] = (), size: int = 20, last_size: int = 20
) -> dict[str, Any]:
    return {
        "puts": dict.fromkeys(puts, (version, size)),
        "deletes": deletes,
        "last": (LAST, version, last_size),
    }


@pytest.fixture
async def plant(
    local_servers: LocalServers, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Plant]:
    plant = Plant(local_servers.kafka, tmp_path, getattr(request, "param", 1))
    yield plant
    plant.close()


async def test_a_write_is_in_the_changelog_and_in_rocksdb_with_the_changelogs_offset(
    plant: Plant,
) -> None:
    await plant.create_topics()
    plant.start("one")
    await plant.send(write(1, "a", "b"), write(2, "b", deletes=["a"]))
    await plant.written()
    plant.end("one")
    assert [
        (b"a", 1),
        (b"b", 1),
        (b"last", 1),
        (b"a", None),
        (b"b", 2),
        (b"last", 2),
    ] == (await plant.logged())[:6]
    assert ({b"b": 2, b"last": 2}, await plant.end_of() - 1) == plant.kept("one")


@pytest.mark.parametrize("plant", [3], indirect=True)
async def test_an_emptied_data_folder_is_recovered_whole(plant: Plant) -> None:
    await plant.create_topics()
    plant.start("one")
    for partition in range(3):
        await plant.send(
            *(
                write(n, f"k{n}", f"k{n - 1}", deletes=[f"k{n - 2}"] if n % 2 else [])
                for n in range(1, 200 + partition)
            ),
            partition=partition,
        )
    await plant.written()
    plant.end("one")
    before = [plant.kept("one", partition) for partition in range(3)]
    assert all(len(kept) > 100 for kept, _ in before)
    done = await committed(plant.kafka, plant.name)

    shutil.rmtree(plant.directory / "one")
    plant.start("one")
    await plant.ready("one", times=2)
    plant.end("one")
    assert before == [plant.kept("one", partition) for partition in range(3)]
    assert done == await committed(plant.kafka, plant.name)


async def test_a_worker_that_gets_a_partition_back_takes_up_what_was_written_elsewhere(
    plant: Plant,
) -> None:
    await plant.create_topics()
    plant.start("one")
    await plant.send(write(1, "a", "b", "c"))
    await plant.written()
    plant.end("one")
    plant.start("two")
    await plant.send(write(2, "b", "d", deletes=["c"]))
    await plant.written()
    plant.end("two")
    assert {b"a": 1, b"b": 1, b"c": 1, b"last": 1} == plant.kept("one")[0]

    plant.start("one")
    await plant.ready("one", times=2)
    plant.end("one")
    assert ({b"a": 1, b"b": 2, b"d": 2, b"last": 2}, await plant.end_of() - 1) == plant.kept("one")


@pytest.mark.parametrize("emptied", [True, False])
async def test_a_late_record_of_a_lower_version_does_not_win_on_recovery(
    plant: Plant, *, emptied: bool
) -> None:
    await plant.create_topics()
    plant.start("one")
    await plant.send(write(5, "a", "b", "c"))
    await plant.written()
    plant.end("one")
    await plant.append(("a", 4), ("b", 6), ("b", 5), ("c", 9), ("c", None), ("d", 3), (LAST, 4))
    if emptied:
        shutil.rmtree(plant.directory / "one")
    plant.start("one")
    await plant.ready("one", times=2)
    plant.end("one")
    expected = {b"a": 5, b"b": 6, b"d": 3, b"last": 5}
    assert (expected, await plant.end_of() - 1) == plant.kept("one")


async def test_what_a_late_record_has_overtaken_is_written_again_before_it_can_be_compacted(
    plant: Plant,
) -> None:
    """Compaction keeps what came last, which is not what has won."""
    await plant.create_topics()
    plant.start("one")
    await plant.send(write(5, "a", "b", "c", "d"))
    await plant.written()
    plant.end("one")
    await plant.append(("a", 4), ("b", 4), ("c", 4), ("c", 5))
    plant.start("one")
    await plant.send(write(6, "d"))
    await plant.written()
    plant.end("one")
    logged = await plant.logged()
    again = logged[5 + 4 :]  # after the first write, and what came late
    assert {(b"a", 5), (b"b", 5), (b"d", 6)} == set(again[:3])
    assert (b"last", 6) == again[3]
    kept = {b"a": 5, b"b": 5, b"c": 5, b"d": 6, b"last": 6}
    assert (kept, len(logged) - 1) == plant.kept("one")


async def test_a_worker_that_writes_late_misses_nothing_of_what_its_successor_wrote(
    plant: Plant,
) -> None:
    """Its late write lies in the changelog after its successor's: the offset of it does not say
    that the successor's are in its local state."""
    await plant.create_topics()
    plant.start("one")
    await plant.send(write(1, "a", "b"))
    await plant.written()
    plant.hold_file("one").touch()
    await plant.send(write(2, "b"))
    await eventually(lambda: "holding" in plant.log("one"), SECONDS, "it has a write in hand")
    await plant.append(("a", 3), ("c", 3))
    plant.hold_file("one").unlink()
    await plant.written()
    plant.end("one")
    assert [(b"a", 3), (b"c", 3), (b"b", 2), (b"last", 2)] == (await plant.logged())[-4:]
    assert ({b"a": 1, b"b": 2, b"last": 2}, 2) == plant.kept("one")

    plant.start("one")
    await plant.ready("one", times=2)
    plant.end("one")
    expected = {b"a": 3, b"b": 2, b"c": 3, b"last": 2}
    assert (expected, await plant.end_of() - 1) == plant.kept("one")


LARGE_KEYS = [f"k{n:02}" for n in range(30)]
LARGE_BYTES = 100_000


async def test_a_write_too_large_for_one_batch_is_whole_wherever_its_last_record_is_found(
    plant: Plant,
) -> None:
    """Also where the process is killed in the middle of it, again and again."""
    assert len(LARGE_KEYS) * LARGE_BYTES > 3 * BATCH_BYTES
    await plant.create_topics()
    writes = 30
    await plant.send(*(write(n, *LARGE_KEYS, size=LARGE_BYTES) for n in range(1, writes + 1)))
    kills = 0
    plant.start("one")
    for least in (100, 350, 600):

        async def so_many(least: int = least) -> bool:
            return await plant.end_of() >= least

        await eventually(so_many, SECONDS, f"{least} records written", every=0.01)
        plant.end("one", signal.SIGKILL)
        kills += 1
        plant.start("one")
    await plant.written()
    plant.end("one")

    newest: dict[bytes, int] = {}
    large = {key.encode() for key in LARGE_KEYS}
    for key, version in await plant.logged():
        assert version is not None
        newest[key] = max(version, newest.get(key, 0))
        if key == b"last":
            assert {key for key, known in newest.items() if known >= version} >= large
    whole = {key.encode(): writes for key in [*LARGE_KEYS, LAST]}
    assert whole == plant.kept("one")[0]
    assert await plant.end_of() - 1 == plant.kept("one")[1]
    assert 3 == kills


async def test_a_write_whose_last_batch_is_refused_is_not_in_rocksdb_and_is_done_again(
    plant: Plant,
) -> None:
    """Its last record alone is larger than the broker takes; then the broker's limit is raised."""
    await plant.create_topics(**{"max.message.bytes": str(BATCH_BYTES + 50_000)})
    plant.start("one")
    await plant.send(write(1, *LARGE_KEYS, size=20))
    await plant.written()
    await plant.send(write(2, *LARGE_KEYS, size=LARGE_BYTES, last_size=BATCH_BYTES + 60_000))
    await eventually(lambda: "PublishError" in plant.log("one"), SECONDS, "it is held")
    plant.end("one", signal.SIGKILL)
    assert {key.encode(): 1 for key in [*LARGE_KEYS, LAST]} == plant.kept("one")[0]
    logged = await plant.logged()
    assert {1, 2} == {version for key, version in logged if key != b"last"}
    assert {1} == {version for key, version in logged if key == b"last"}

    plant.take(BATCH_BYTES + 100_000)
    plant.start("one")
    await plant.written()
    plant.end("one")
    assert {key.encode(): 2 for key in [*LARGE_KEYS, LAST]} == plant.kept("one")[0]


@pytest.mark.parametrize("plant", [4], indirect=True)
async def test_a_standby_follows_the_changelog_and_takes_over_after_a_kill(plant: Plant) -> None:
    await plant.create_topics()
    for worker in ("one", "two"):
        plant.start(worker, TABLE_STANDBYS="1")
    for worker in ("one", "two"):
        await eventually(
            lambda worker=worker: "Starting standby partitions" in plant.log(worker),
            SECONDS,
            f"{worker} follows the other's partitions",
        )
    for partition in range(4):
        await plant.send(*(write(n, f"a{n}") for n in range(1, 50)), partition=partition)
    await plant.written()

    def followed() -> bool:
        # Faust applies what a standby fetched once it has some fetches together.
        try:
            return all(
                len(plant.kept(worker, partition, running=True)[0]) > 25
                for worker in ("one", "two")
                for partition in range(4)
            )
        except Exception as error:
            # It is not there yet, or a file went while it was looked for: its owner runs.
            if "IO error" not in str(error):
                raise
            return False

    await eventually(followed, SECONDS, "both hold all partitions")
    plant.end("one", signal.SIGKILL)
    for partition in range(4):
        await plant.send(*(write(n, f"b{n}") for n in range(50, 60)), partition=partition)
    await plant.written()
    plant.end("two")
    expected = {f"a{n}".encode(): n for n in range(1, 50)}
    expected |= {f"b{n}".encode(): n for n in range(50, 60)} | {b"last": 59}
    for partition in range(4):
        assert (expected, await plant.end_of(partition) - 1) == plant.kept("two", partition)
