"""Stock Faust: a tumbling window over a RocksDB table with its changelog, one event at a time.

What was found to help, though little: raw records decoded here instead of models, uvloop, no web
server, large buffers, a producer that lingers. No expiry: Faust's goes by the wall clock, which a
replayed year is always behind.
"""

import asyncio
import os

import faust
import mode.loop

from benchmarks.windows.peers.orders import sale
from benchmarks.windows.peers.report import HOUR_SECONDS, Report, Task

PARTITIONS = 6
POLL_RECORDS = 3000
BUFFERED = 8192
LINGER_SECONDS = 0.05


def build(task: Task) -> faust.App:
    """The app, which ends the process when all is committed."""
    app = faust.App(
        "bench-faust",
        broker=f"kafka://{task.bootstrap}",
        store="rocksdb://",
        datadir=task.state,
        topic_partitions=PARTITIONS,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=POLL_RECORDS,
        stream_buffer_maxsize=BUFFERED,
        producer_linger=LINGER_SECONDS,
        web_enabled=False,
    )
    report = Report(task)
    hour = 0
    revenue = (
        app.Table("revenue", default=int, key_type=str, value_type=int, partitions=PARTITIONS)
        .tumbling(HOUR_SECONDS)
        .relative_to(lambda event: float(hour))
    )
    source = app.topic(
        task.topic, key_type=bytes, key_serializer="raw", value_type=bytes, value_serializer="raw"
    )
    full = asyncio.Event()

    @app.agent(source)
    async def add(values: faust.Stream) -> None:
        nonlocal hour
        async for value in values:
            report.begin()
            hour, country, amount = sale(value)
            revenue[country] += amount
            if report.add():
                full.set()

    @app.task
    async def end() -> None:
        app.producer.buffer.max_messages = BUFFERED
        await full.wait()
        # The last event is acknowledged when the agent asks for the next one.
        await asyncio.sleep(0)
        await app.producer.flush()
        await app.consumer.commit()
        seconds = report.seconds
        items = revenue.table.data.items()
        report.end(seconds, ((f"{int(begin)}|{c}", n) for (c, (begin, _)), n in items))
        os._exit(0)

    return app


if __name__ == "__main__":
    mode.loop.use("uvloop")
    app = build(Task.from_command_line())
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()
