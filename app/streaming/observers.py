"""Who is told what happens, once a batch, a write or a fetch: for metrics and logs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.streaming.chunk import Chunk
from app.streaming.dead_letters import DeadLetter


@dataclass(slots=True)
class Observer:
    """Told what the loop does, once a batch; for metrics.

    Attributes:
        on_batch: a batch was finished, and so many records were published for it.
        on_retry: a try at a batch, or at sending a dead letter, failed and will be made again.
        on_dead_letter: one was sent.
    """

    on_batch: Callable[[Sequence[Chunk], int], None] = lambda chunks, emitted: None
    on_retry: Callable[[BaseException], None] = lambda error: None
    on_dead_letter: Callable[[DeadLetter], None] = lambda letter: None

    @classmethod
    def together(cls, *observers: "Observer") -> "Observer":
        """One that tells all of them, in their order."""

        def on_batch(chunks: Sequence[Chunk], emitted: int) -> None:
            for observer in observers:
                observer.on_batch(chunks, emitted)

        def on_retry(error: BaseException) -> None:
            for observer in observers:
                observer.on_retry(error)

        def on_dead_letter(letter: DeadLetter) -> None:
            for observer in observers:
                observer.on_dead_letter(letter)

        return cls(on_batch, on_retry, on_dead_letter)


@dataclass(frozen=True, slots=True)
class TableObserver:
    """Told of a table's changelog, once a write and once a fetch.

    Attributes:
        on_logged: so many records were added to the topic of this name.
        on_recovered: so many records were read back from it.
    """

    on_logged: Callable[[str, int], None] = lambda topic, records: None
    on_recovered: Callable[[int], None] = lambda records: None


@dataclass(frozen=True, slots=True)
class TableFigures:
    """What RocksDB says of a table's partitions, all together.

    Attributes:
        disk_bytes: of its sorted files.
        memtable_bytes: of what is in memory, and not yet in them.
        keys: estimated: one that was written again since counts twice until files are merged.
    """

    disk_bytes: int
    memtable_bytes: int
    keys: int
