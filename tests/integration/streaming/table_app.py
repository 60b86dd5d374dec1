"""A Faust app of a few lines with a `ChunkTable`: each record of its input is a write to the table.

A record's JSON names what is put, deleted and written last: `{"puts": {key: [version, size]},
"deletes": [key], "last": [key, version, size]}`. While the hold file exists, nothing is written.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faust
import orjson

from app.streaming import Limits, OutRecord, Participant, Publisher, chunks, install
from app.streaming.table import BATCH_BYTES, VERSION, chunk_table

GROUP, INPUT = os.environ["TABLE_GROUP"], os.environ["TABLE_INPUT"]
HOLD_FILE = Path(os.environ["TABLE_HOLD_FILE"])
HOLD_SECONDS = 0.05
logger = logging.getLogger(__name__)

app = faust.App(
    GROUP,
    broker=f"kafka://{os.environ['KAFKA_BOOTSTRAP_SERVERS']}",
    datadir=os.environ["DATA_DIR"],
    store="memory://",
    topic_partitions=int(os.environ["TABLE_PARTITIONS"]),
    topic_allow_declare=False,
    topic_disable_leader=True,
    table_standby_replicas=int(os.environ.get("TABLE_STANDBYS", "0")),
    consumer_auto_offset_reset="earliest",
    broker_session_timeout=6.0,
    broker_heartbeat_interval=1.0,
    broker_rebalance_timeout=15.0,
    broker_commit_interval=0.2,
    producer_max_request_size=20_000_000,
    producer_max_batch_size=BATCH_BYTES,
    stream_wait_empty=True,
    stream_recovery_delay=float(os.environ.get("TABLE_RECOVERY_DELAY", "0")),
    web_enabled=False,
)
install(app, chunk_max_records=100, drain_timeout=10.0)


def end_process(error: BaseException) -> None:
    logger.critical("ending: %r", error)
    os._exit(70)


table = chunk_table(app, "kept", on_fatal=end_process)


def value(version: int, size: int) -> bytes:
    """The version, and filling that does not compress."""
    return VERSION.pack(version) + bytes(os.urandom(size))


async def handle(records: Sequence[Any]) -> list[OutRecord]:
    if HOLD_FILE.exists():  # noqa: ASYNC240 (a file that the test touches)
        logger.info("holding %d records", len(records))
    while HOLD_FILE.exists():  # noqa: ASYNC240
        await asyncio.sleep(HOLD_SECONDS)
    for record in records:
        asked = orjson.loads(record.value)
        key, version, size = asked["last"]
        await table.write(
            record.partition,
            {put.encode(): value(*what) for put, what in asked.get("puts", {}).items()},
            (key.encode(), value(version, size)),
            [each.encode() for each in asked.get("deletes", ())],
        )
    return []


participant = Participant(
    name=GROUP,
    decode=lambda record: record,
    handle=handle,
    publish=Publisher(app),
    on_fatal=end_process,
    limits=Limits(batch_records=200),
)


@app.agent(chunks(app, INPUT))
async def writer(stream: Any) -> None:
    await participant.run(stream)
