"""Records, batches, retries and dead letters of the consumer groups, and the tables' changelogs."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from itertools import product
from operator import attrgetter

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.streaming import Chunk, Observer, OutRecord, TableObserver
from app.streaming.dead_letters import REASONS, DeadLetter

# Batches of one order up to what a fold takes at once, `FOLDED_RECORDS`.
BATCH_RECORDS = (1, 3, 10, 30, 100, 300, 1000, 2000)

_topic = attrgetter("topic")


class StreamMetrics:
    """Told of batches that were finished and of records that were acknowledged."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._consumed = Counter(
            "kafka_messages_consumed_total",
            "Records whose batch was finished; one that is delivered again counts again",
            ["topic", "group"],
            registry=registry,
        )
        self._produced = Counter(
            "kafka_messages_produced_total", "Records acknowledged", ["topic"], registry=registry
        )
        self._sent: dict[str, Callable[[float], None]] = {}
        self._batches = Counter(
            "participant_batches_total", "Batches finished", ["group"], registry=registry
        )
        self._sizes = Histogram(
            "participant_batch_records",
            "Records of a batch",
            ["group"],
            buckets=BATCH_RECORDS,
            registry=registry,
        )
        self._retries = Counter(
            "participant_retries_total",
            "Tries at a batch that failed",
            ["group"],
            registry=registry,
        )
        self._dead = Counter(
            "dead_letters_total", "Dead letters sent", ["topic", "reason"], registry=registry
        )
        self._late = Counter(
            "late_events_total",
            "Events too late for some of their windows",
            ["topic"],
            registry=registry,
        )
        self._recovered = Counter(
            "table_recovered_records_total",
            "Changelog records read back",
            ["table"],
            registry=registry,
        )

    def group(self, name: str, topics: Sequence[str]) -> Observer:
        """`Listeners.group`."""
        consumed = {topic: self._consumed.labels(topic, name).inc for topic in topics}
        batches, sizes = self._batches.labels(name), self._sizes.labels(name)
        retries = self._retries.labels(name)
        # An alert on an increase does not see a series that begins with 1.
        for topic, reason in product(topics, REASONS):
            self._dead.labels(topic, reason)

        def on_batch(chunks: Sequence[Chunk], emitted: int) -> None:
            records = 0
            for chunk in chunks:
                consumed[chunk.topic](len(chunk.records))
                records += len(chunk.records)
            batches.inc()
            sizes.observe(records)

        def on_retry(error: BaseException) -> None:
            retries.inc()

        def on_dead_letter(letter: DeadLetter) -> None:
            self._dead.labels(letter.record.topic, letter.reason).inc()

        return Observer(on_batch, on_retry, on_dead_letter)

    def sent(self, records: Sequence[OutRecord]) -> None:
        """`Listeners.sent`."""
        for topic, count in Tally(map(_topic, records)).items():
            self._count_sent(topic, count)

    def _count_sent(self, topic: str, count: int) -> None:
        inc = self._sent.get(topic)
        if inc is None:
            # Ours to name: the topics of the registry, their dead letters, and changelogs.
            inc = self._sent[topic] = self._produced.labels(topic).inc
        inc(count)

    def table(self, name: str) -> TableObserver:
        """`Listeners.table`."""
        recovered = self._recovered.labels(name)
        return TableObserver(on_logged=self._count_sent, on_recovered=recovered.inc)

    def late(self, topic: str, events: int) -> None:
        """`Listeners.late`."""
        self._late.labels(topic).inc(events)
