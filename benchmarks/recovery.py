"""The recovery job: `python -m benchmarks.recovery`.

A table with an emptied data folder is read back from its changelog, by ours and by stock Faust's,
from the same topic. Timed from the first record that arrives to the table that is ready. RECORDS
says how many there are.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faust
import mode.loop
from aiokafka import AIOKafkaProducer

from app.streaming import chunks, install
from app.streaming.table import VERSION, chunk_table
from benchmarks.results import Result, table
from benchmarks.windows import topic
from benchmarks.windows.events import Record
from benchmarks.windows.running import run
from infra.local.testing import LocalServers

JOB = "recovery"
SYSTEMS = ("orderflow", "faust")
GROUP, TABLE, SOURCE = "bench-recovery", "kept", "bench-recovery-in"
CHANGELOG = f"{GROUP}-{TABLE}-changelog"
PARTITIONS = topic.PARTITIONS
RECORDS, QUICK_RECORDS = 500_000, 50_000
# Each key is written so often, as a window is while its orders come.
WRITES_A_KEY = 4
# As the sums of a window are.
VALUE_BYTES = 40
EXPECTED_RECORDS_A_SECOND = 50_000
# Stock Faust needs a minute or two.
BOUND_SECONDS = 300.0
# The first system ends without leaving the group that the second one joins.
SESSION_SECONDS = 6.0
# Best for stock Faust, of those tried.
FAUST_BUFFER, FAUST_POLL = 10_000, 3000


async def fill(bootstrap: str, records: int) -> dict[str, int]:
    """Write the changelog; what a recovered table must add up to."""
    await topic.make(bootstrap, SOURCE, CHANGELOG)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=topic.BATCH_BYTES)
    await producer.start()
    keys = records // WRITES_A_KEY
    filling = bytes(VALUE_BYTES)
    for version in range(WRITES_A_KEY):
        value = VERSION.pack(version) + filling
        for partition in range(PARTITIONS):
            mine = range(partition, keys, PARTITIONS)
            found = (Record(b"w%012d" % key, value, []) for key in mine)
            await topic.send(producer, CHANGELOG, partition, found)
    await producer.stop()
    return {"keys": keys, "versions": keys * (WRITES_A_KEY - 1)}


def summed(items: Iterable[tuple[bytes, bytes]], offset_key: bytes) -> dict[str, int]:
    """What is in the table."""
    keys = versions = 0
    for key, value in items:
        if bytes(key) != offset_key:
            keys += 1
            versions += VERSION.unpack_from(value)[0]
    return {"keys": keys, "versions": versions}


def build(system: str, bootstrap: str, state: Path, out: Path, records: int) -> faust.App:
    """An app that recovers its table, writes its account and ends the process."""
    app = faust.App(
        GROUP,
        broker=f"kafka://{bootstrap}",
        store="rocksdb://",
        datadir=state,
        topic_partitions=PARTITIONS,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=FAUST_POLL,
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=SESSION_SECONDS / 3,
        stream_buffer_maxsize=16 if system == "orderflow" else FAUST_BUFFER,
        stream_recovery_delay=0.0,
        web_enabled=False,
    )
    kept: Any
    if system == "orderflow":
        install(app)
        kept = chunk_table(app, TABLE, on_fatal=lambda error: os._exit(70))
        source = chunks(app, SOURCE)
    else:
        kept = app.Table(
            TABLE,
            key_type=bytes,
            value_type=bytes,
            partitions=PARTITIONS,
            recovery_buffer_size=FAUST_BUFFER,
        )
        source = app.topic(SOURCE)
    began: list[float] = []

    async def note(event: Any) -> None:
        if not began:
            began.append(time.perf_counter())

    kept._on_changelog_event = note

    @app.agent(source)
    async def idle(stream: Any) -> None:
        async for _ in stream:
            pass

    @kept.on_recover
    async def end() -> None:
        if not began:  # a rebalance before the first record
            return
        seconds = time.perf_counter() - began[0]
        items = (item for db in kept.data._dbs.values() for item in db.items())
        totals = summed(items, kept.data.offset_key)
        account = {"processed": records, "seconds": seconds, "totals": totals}
        out.write_text(json.dumps(account))  # noqa: ASYNC240 (the process ends here)
        os._exit(0)

    return app


async def run_all(*, quick: bool = False, records: int = 0) -> tuple[list[Result], str]:
    """Both systems on the same changelog; the results, and a line about them."""
    count = records or (QUICK_RECORDS if quick else RECORDS)
    count -= count % WRITES_A_KEY
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="orderflow-bench-") as folder,
        LocalServers(Path(folder) / "servers", only={"kafka"}, lasting=True) as servers,
    ):
        expected = await fill(servers.kafka, count)
        for system in SYSTEMS:
            out = Path(folder) / f"{system}.json"
            state = Path(folder) / system
            state.mkdir()
            command = [sys.executable, "-m", "benchmarks.recovery", "--system", system]
            command += ["--bootstrap", servers.kafka, "--state", str(state), "--out", str(out)]
            ran = await asyncio.to_thread(
                run, [*command, "--records", str(count)], out, BOUND_SECONDS
            )
            results.append(
                Result(
                    job=JOB,
                    system=system,
                    events=ran.processed,
                    seconds=ran.seconds,
                    cpu_seconds=ran.cpu_seconds,
                    peak_memory_mb=ran.peak_memory_mb,
                    equal=ran.totals == expected,
                    note="" if ran.totals == expected else ran.log,
                    stopped=ran.stopped,
                )
            )
    return results, explain(results)


def explain(results: list[Result]) -> str:
    """In a paragraph of the page."""
    ours, stock = results
    times = ours.events_per_second / stock.events_per_second if stock.events_per_second else 0.0
    return (
        "### Recovery: a table from its changelog\n\n"
        f"A table of {ours.events:,} changelog records is recovered at "
        f"{ours.events_per_second:,.0f} records/s ({ours.seconds:.1f} s), stock Faust's at "
        f"{stock.events_per_second:,.0f} ({times:.1f} times); expected: at least "
        f"{EXPECTED_RECORDS_A_SECOND:,}."
    )


def main() -> int:
    """Run the job, or be one of its systems."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--system", choices=SYSTEMS)
    parser.add_argument("--bootstrap")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--records", type=int, default=int(os.environ.get("RECORDS", "0")))
    asked = parser.parse_args()
    if asked.system is None:
        results, line = asyncio.run(
            run_all(quick=os.environ.get("QUICK") == "1", records=asked.records)
        )
        print(table(results), line, sep="\n")
        for result in results:
            if result.note:
                print(f"{result.system}: {result.note}")
        return 0 if all(result.equal for result in results) else 1
    mode.loop.use("uvloop")
    app = build(asked.system, asked.bootstrap, asked.state, asked.out, asked.records)
    sys.argv = [sys.argv[0], "worker", "--without-web"]
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()
    return 1


if __name__ == "__main__":
    sys.exit(main())
