"""FastStream on aiokafka, a call a message. It has no state of its own, so a dict.

Its fastest ways: no injection into the handler (`apply_types=False`), our own decoding of the
value, acknowledgement before the call (the client's automatic commit), no log.
"""

import asyncio

import uvloop
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from benchmarks.windows.peers.orders import sale
from benchmarks.windows.peers.report import Report, Task

FETCH_BYTES = 1 << 20
BATCH_RECORDS = 3000


class Totals:
    """The dict, and when all is in it."""

    def __init__(self, task: Task) -> None:
        self.report = Report(task)
        self.amounts: dict[tuple[int, str], int] = {}
        self.full = asyncio.Event()

    def add(self, sales: list[tuple[int, str, int]]) -> None:
        """These orders, and be full after the last."""
        self.report.begin()
        for hour, country, amount in sales:
            key = hour, country
            self.amounts[key] = self.amounts.get(key, 0) + amount
        if self.report.add(len(sales)):
            self.full.set()


async def main(task: Task, *, batch: bool = False) -> None:
    broker = KafkaBroker(task.bootstrap, apply_types=False, logger=None)
    totals = Totals(task)
    options = {
        "group_id": f"bench-faststream-{batch}",
        "auto_offset_reset": "earliest",
        "ack_policy": AckPolicy.ACK_FIRST,
        "max_partition_fetch_bytes": FETCH_BYTES,
    }
    if batch:

        async def decode_all(message):
            return [sale(value) for value in message.body]

        subscriber = broker.subscriber(
            task.topic, batch=True, max_records=BATCH_RECORDS, decoder=decode_all, **options
        )

        @subscriber
        async def add_all(sales: list) -> None:
            totals.add(sales)

    else:

        async def decode(message):
            return sale(message.body)

        @broker.subscriber(task.topic, decoder=decode, **options)
        async def add(one: tuple) -> None:
            totals.add([one])

    await broker.start()
    await totals.full.wait()
    # Stopping commits what was done; there is no way to ask for that alone.
    await broker.stop()
    seconds = totals.report.seconds
    totals.report.end(seconds, ((f"{h}|{c}", n) for (h, c), n in totals.amounts.items()))


if __name__ == "__main__":
    uvloop.run(main(Task.from_command_line()))
