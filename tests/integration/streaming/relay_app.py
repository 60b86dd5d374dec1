"""A Faust app of a few lines that uses `app.streaming` as any other app would: it relays records.

Each record of the input becomes one of the output with the same key and value. It is slow on
purpose, so that a kill finds work in flight. For how long each of its partitions has been stuck is
written to a file, where one is named.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faust
import orjson

from app.streaming import Limits, OutRecord, Participant, Publisher, chunks, install
from app.streaming.lag import Lag
from app.streaming.stuck import Stuck

GROUP = os.environ["RELAY_GROUP"]
INPUT, OUTPUT = os.environ["RELAY_INPUT"], os.environ["RELAY_OUTPUT"]
SECONDS_PER_BATCH = float(os.environ.get("RELAY_SECONDS_PER_BATCH", "0.02"))
HOLD_FILE = Path(os.environ["RELAY_HOLD_FILE"])
STUCK_FILE = os.environ.get("RELAY_STUCK_FILE")
LOOK_SECONDS = 0.2

app = faust.App(
    GROUP,
    broker=f"kafka://{os.environ['KAFKA_BOOTSTRAP_SERVERS']}",
    datadir=os.environ["DATA_DIR"],
    store="memory://",
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_max_poll_records=1000,
    broker_session_timeout=6.0,
    broker_heartbeat_interval=1.0,
    broker_rebalance_timeout=15.0,
    broker_commit_interval=0.3,
    stream_wait_empty=True,
    stream_buffer_maxsize=16,
    web_enabled=False,
)
install(app, chunk_max_records=200, drain_timeout=10.0)


def decode(record: Any) -> Any:
    if record.value.startswith(b"undecodable"):
        raise ValueError("it says so itself")
    return record


async def handle(records: Sequence[Any]) -> list[OutRecord]:
    if HOLD_FILE.exists():  # noqa: ASYNC240 (a file that the test touches)
        raise ConnectionError("the store is away")
    if any(record.value.startswith(b"unprocessable") for record in records):
        raise RuntimeError("this one can never be processed")
    await asyncio.sleep(SECONDS_PER_BATCH)
    return [OutRecord(OUTPUT, record.key, record.value, [], record.partition) for record in records]


participant = Participant(
    name=GROUP,
    decode=decode,
    handle=handle,
    publish=Publisher(app),
    on_fatal=lambda error: os._exit(70),
    limits=Limits(batch_records=400, attempts=2),
)


@app.agent(chunks(app, INPUT))
async def relay(stream: Any) -> None:
    await participant.run(stream)


@app.task
async def look() -> None:
    if STUCK_FILE is None:
        return
    lag, stuck = Lag(app.consumer), Stuck(GROUP, app.consumer)
    while not app.should_stop:
        await app.sleep(LOOK_SECONDS)
        await lag.look()
        stuck.look(lag.now(), able=not app.rebalancing)
        tell({str(tp.partition): seconds for tp, seconds in stuck.now().items()}, STUCK_FILE)


def tell(seconds: dict[str, float], file: str) -> None:
    """Write it such that nobody reads half of it."""
    written = Path(f"{file}.new")
    written.write_bytes(orjson.dumps(seconds))
    written.rename(file)
