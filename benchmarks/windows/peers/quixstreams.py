"""Quix Streams: a tumbling window's sum on RocksDB with its changelog topic.

`group_by` would send every order through a topic of its own first. The job allows a state for each
partition of the source, so the key is changed in place, by the way Quix Streams itself takes for
topics of one partition: four times as fast, and private. `current()` says each window's sum at
every change; the last word on each is the result.
"""

from datetime import datetime

import orjson
from quixstreams import Application, message_context
from quixstreams.models import Deserializer
from quixstreams.state.rocksdb import RocksDBOptions

from benchmarks.windows.peers.report import GRACE_SECONDS, HOUR_SECONDS, Report, Task

MILLISECONDS = 1000
# Records that the client library fetches ahead of each partition.
FETCHED_AHEAD = 100_000
LINGER_MILLISECONDS = 50


class Sale(Deserializer):
    """An order's country, total in minor units and time, out of the record's value."""

    def __call__(self, value: bytes, ctx: object) -> dict:
        order = orjson.loads(value)
        return {
            "country": order["country"],
            "amount": round(order["total"] * 100),
            "at": int(datetime.fromisoformat(order["placedAt"]).timestamp() * MILLISECONDS),
        }


def main(task: Task) -> None:
    report = Report(task)
    totals: dict[tuple[int, str, int], int] = {}

    def keep(window: dict, country: str, timestamp: int, headers: object) -> None:
        totals[window["start"], country, message_context().partition] = window["value"]

    def processed(topic: str, partition: int, offset: int) -> None:
        if report.add():
            app.stop()

    app = Application(
        broker_address=task.bootstrap,
        consumer_group="bench-quix",
        auto_offset_reset="earliest",
        state_dir=task.state,
        rocksdb_options=RocksDBOptions(use_fsync=False),
        loglevel="WARNING",
        on_message_processed=processed,
        consumer_extra_config={"queued.min.messages": FETCHED_AHEAD},
        producer_extra_config={"linger.ms": LINGER_MILLISECONDS},
    )
    topic = app.topic(
        task.topic,
        key_deserializer="bytes",
        value_deserializer=Sale(),
        timestamp_extractor=lambda value, headers, timestamp, kind: value["at"],
    )
    frame = app.dataframe(topic)
    frame = frame.update(lambda value: report.begin())
    frame = frame._single_partition_groupby("country", "country")
    frame = frame.apply(lambda value: value["amount"])
    frame = frame.tumbling_window(HOUR_SECONDS * MILLISECONDS, GRACE_SECONDS * MILLISECONDS).sum()
    frame.current().update(keep, metadata=True)
    app.run()
    report.end(
        report.seconds,
        ((f"{start // MILLISECONDS}|{c}", amount) for (start, c, _), amount in totals.items()),
    )


if __name__ == "__main__":
    main(Task.from_command_line())
