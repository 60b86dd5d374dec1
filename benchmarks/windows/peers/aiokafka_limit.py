"""The limit: aiokafka's `getmany`, orjson and a dict; nothing is kept but the group's offsets."""

import uvloop
from aiokafka import AIOKafkaConsumer

from benchmarks.windows.peers.orders import sale
from benchmarks.windows.peers.report import Report, Task

FETCH_BYTES = 1 << 20
POLL_MILLISECONDS = 1000
POLL_RECORDS = 3000


async def main(task: Task) -> None:
    report, totals = Report(task), {}
    consumer = AIOKafkaConsumer(
        task.topic,
        bootstrap_servers=task.bootstrap,
        group_id="bench-aiokafka",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await consumer.start()
    done = False
    while not done:
        for records in (
            await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=POLL_RECORDS)
        ).values():
            report.begin()
            for record in records:
                hour, country, amount = sale(record.value)
                key = hour, country
                totals[key] = totals.get(key, 0) + amount
            done = report.add(len(records))
    await consumer.commit()
    report.end(report.seconds, ((f"{h}|{c}", amount) for (h, c), amount in totals.items()))
    await consumer.stop()


if __name__ == "__main__":
    uvloop.run(main(Task.from_command_line()))
