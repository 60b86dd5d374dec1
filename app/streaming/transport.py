"""The Faust transport that hands agents chunks, and commits what was finished, by the tracker.

A subclass of Faust's aiokafka driver (faust-streaming 0.15): one Faust message carries a whole
chunk, so Faust's cost per message is paid once a chunk. Topics not consumed through `chunks`
(changelogs, plain Faust topics) behave as ever.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from aiokafka.errors import IllegalStateError, KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from app.streaming.chunk import Chunk, ChunkSchema, split
from app.streaming.fetching import ConsumerThread
from app.streaming.producing import Producer
from app.streaming.recovery import PatientTables
from app.streaming.tracker import CommitTracker

CHUNK_MAX_RECORDS = 500
CHUNK_MAX_BYTES = 1_000_000
DRAIN_TIMEOUT_SECONDS = 15.0
# A group that has committed nothing begins with the first record that there is.
EARLIEST = "earliest"
# The callbacks of a rebalance take some milliseconds.
SEEK_RETRY_SECONDS = 0.05
# A coordinator answers in milliseconds. While nothing flows, whoever gets the partitions next goes
# to what is committed anyway, and must not wait for this.
GO_BACK_SECONDS = 5.0
# Ten years: for ever, in a number that the client can multiply.
NEVER_SECONDS = 10 * 365 * 86_400.0


class Consumer(driver.Consumer):
    """Yields one message a chunk, and commits the finished prefix of each partition's chunks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tracker: CommitTracker[Any] = CommitTracker()
        self._resuming: set[Any] = set()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _chunked(self, topic: str) -> bool:
        return topic in self.transport.chunked_topics

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:
        """Fetched records: chunks of chunked topics, single messages of all others."""
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self._go_back()
            return
        for tp, fetched in records.items():
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            for part, size in self._parts(tp, fetched):
                # What was fetched for an assignment that is over must not enter the next one.
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                yield tp, self._message(tp, part, size)

    def resume_partitions(self, tps: Iterable[Any]) -> None:
        """Fetch from the partitions again; from those of chunks when the flow is resumed.

        After a recovery Faust resumes the streams' partitions, goes back to what is committed, then
        empties the agents' buffers, and then resumes the flow, which is on meanwhile. A chunk that
        was fetched in between would be in a buffer, and never be processed.
        """
        asked = set(tps)
        later = {tp for tp in asked if self._chunked(tp.topic)}
        self._resuming |= later
        super().resume_partitions(asked - later)

    def resume_flow(self) -> None:
        """Let agents have what is fetched."""
        resuming, self._resuming = self._resuming, set()
        super().resume_partitions(resuming)
        super().resume_flow()

    def stop_flow(self) -> None:
        """Let agents have nothing: partitions are being taken away."""
        self._resuming = set()
        super().stop_flow()

    def on_buffer_drop(self, tp: Any) -> None:
        """An agent's buffer has room: fetch from the partition again, unless it is paused, as all
        are while tables are recovered (Faust would do so even then)."""
        if tp in self._paused_partitions:
            self._buffered_partitions.discard(tp)
        else:
            super().on_buffer_drop(tp)

    async def _go_back(self) -> None:
        """What was fetched while the flow was stopped is fetched again."""
        try:
            async with asyncio.timeout(GO_BACK_SECONDS):
                await super().perform_seek()
        except (KafkaError, AssertionError, TimeoutError) as error:
            # The assignment went away meanwhile; the next one brings its own positions.
            self.log.warning("could not go back to the committed offsets: %r", error)

    def _parts(self, tp: Any, fetched: Sequence[Any]) -> Iterator[tuple[Sequence[Any], int]]:
        """The records of each message; with their size in bytes, for chunks."""
        if tp.topic in self.transport.changelogs:
            return iter(((fetched, 0),))
        if self._chunked(tp.topic):
            transport = self.transport
            return split(fetched, transport.chunk_max_records, transport.chunk_max_bytes)
        return (((record,), 0) for record in fetched)

    def _message(self, tp: Any, records: Sequence[Any], size: int) -> Any:
        message = self._to_message(tp, records[-1])
        if self._chunked(tp.topic):
            ticket = self.tracker.open(tp, records[0].offset, records[-1].offset)
            message.value = Chunk(tp.topic, tp.partition, records, ticket, self.tracker, size)
            message.key = None
        elif tp.topic in self.transport.changelogs:
            message.value = tuple(records)
            message.key = None
        return message

    async def perform_seek(self) -> None:
        """Go back to what is committed: the last that a recovery does before it lets all flow.

        Raises:
            IllegalStateError: the partitions are being, or were, taken away meanwhile. Faust's
                recovery then leaves the flow to the next one; else it would resume it in the middle
                of the revocation, and say that the tables are ready.
        """
        generation = self.app.consumer_generation_id
        await super().perform_seek()
        if self.tracker.closed or generation != self.app.consumer_generation_id:
            raise IllegalStateError("the partitions were taken away meanwhile")

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Go back to what is committed, of the partitions that are ours when the answer comes.

        A rebalance can change the assignment between question and answer; then it is asked again.
        """
        while True:
            try:
                offsets = cast("Mapping[Any, int]", await super().seek_to_committed())
                await self._seek_to_start(offsets)
                return offsets
            except IllegalStateError:
                if self.should_stop:
                    return {}
                await asyncio.sleep(SEEK_RETRY_SECONDS)

    async def _seek_to_start(self, offsets: Mapping[Any, int | None]) -> None:
        """Go back to the start of the partitions of which nothing is committed.

        The client leaves their position where it is: past what was fetched and dropped, which
        would never be processed. Where the first records are gone, it finds the earliest itself.
        """
        if self.app.conf.consumer_auto_offset_reset != EARLIEST:
            return
        fresh = [tp for tp, end in offsets.items() if not end and self._chunked(tp.topic)]
        if fresh:
            await self._thread.seek_to_start(fresh)

    def held(self) -> Collection[Any]:
        """The partitions of chunks that are this consumer's now."""
        if self.tracker.closed:
            return ()
        try:
            return [tp for tp in self.assignment() if self._chunked(tp.topic)]
        except ConsumerNotStarted:
            return ()

    def finished(self, tp: Any) -> int:
        """The offset before which all is finished; 0 where nothing is known to be."""
        finished = self.tracker.finished(tp)
        return (finished if finished is not None else self._committed_offset.get(tp)) or 0

    def fetched_end(self, tp: Any) -> int | None:
        """The partition's end as of the last fetch from it."""
        try:
            end: int | None = self.highwater(tp)
            return end
        except (AssertionError, AttributeError, IllegalStateError):
            return None  # it was taken away, in the client's thread, since it was asked for

    async def asked_ends(self, tps: Collection[Any]) -> Mapping[Any, int]:
        """The partitions' ends; asks the broker."""
        return cast("Mapping[Any, int]", await self.highwaters(*tps))

    async def asked_begins(self, tps: Collection[Any]) -> Mapping[Any, int]:
        """The first offsets that the partitions still have; asks the broker."""
        return cast("Mapping[Any, int]", await self.earliest_offsets(*tps))

    def _filter_committable_offsets(self, tps: Any) -> dict[Any, int]:
        plain = [tp for tp in tps if not self._chunked(tp.topic)]
        offsets: dict[Any, int] = super()._filter_committable_offsets(plain)
        ends = self.tracker.committable().items()
        return offsets | {tp: end for tp, end in ends if self._should_commit(tp, end)}

    async def _commit_offsets(
        self, offsets: Mapping[Any, int], start_new_transaction: bool = True
    ) -> bool:
        # What these offsets led to must be on the broker before they are: Faust's own flush gives
        # up on a busy buffer.
        await self.app.producer.settle()
        return bool(await super()._commit_offsets(offsets, start_new_transaction))

    async def wait_empty(self) -> None:
        """Let work that has begun end, within the drain time-out, and commit it.

        Faust calls this when partitions are taken away and when the app stops. Chunks that nobody
        has begun are dropped: whoever gets the partition is delivered them again.
        """
        self.tracker.close()
        try:
            async with asyncio.timeout(self.transport.drain_timeout):
                await self.tracker.idle.wait()
        except TimeoutError:
            self.log.warning(
                "work in flight did not end within %s s; it will be done again",
                self.transport.drain_timeout,
            )
        try:
            async with asyncio.timeout(self.transport.drain_timeout):
                # A commit under way does not hold what has just been finished. Faust's own wait for
                # it would take the end of this time for the commit's, and wait for another.
                while (commit := self._commit_fut) is not None and not commit.done():
                    await asyncio.wait((commit,))
                await self.commit_and_end_transactions()
        except TimeoutError:
            self.log.warning("the broker did not take the last commit; it will be done again")

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """All partitions are taken away (Faust rebalances eagerly): drain, commit, forget."""
        await super().on_partitions_revoked(revoked)
        self.tracker.revoke(revoked)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Partitions were given out anew: work may begin again.

        The flow is stopped until their tables are recovered, also where the one before ended with a
        recovery under way, which may have resumed it since, or was about to.
        """
        self.stop_flow()
        self.tracker.reopen()
        await super().on_partitions_assigned(assigned, generation_id)


class Transport(driver.Transport):
    """Faust's aiokafka transport with chunks."""

    Consumer = Consumer
    Producer = Producer

    def __init__(
        self,
        url: list[URL],
        app: Any,
        *,
        chunk_max_records: int = CHUNK_MAX_RECORDS,
        chunk_max_bytes: int = CHUNK_MAX_BYTES,
        drain_timeout: float = DRAIN_TIMEOUT_SECONDS,
        fetch_gap: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(url, app, **kwargs)
        self.chunk_max_records = chunk_max_records
        self.chunk_max_bytes = chunk_max_bytes
        self.drain_timeout = drain_timeout
        self.fetch_gap = fetch_gap
        self.chunked_topics: set[str] = set()
        # Those of `ChunkTable`s: one message a fetch, which recovery applies whole.
        self.changelogs: set[str] = set()


def install(
    app: Any,
    *,
    chunk_max_records: int = CHUNK_MAX_RECORDS,
    chunk_max_bytes: int = CHUNK_MAX_BYTES,
    drain_timeout: float = DRAIN_TIMEOUT_SECONDS,
    fetch_gap: float = 0.0,
) -> None:
    """Give a Faust app this transport; before its first topic or agent is made.

    From then on `broker_max_poll_interval` has no end: no consumer is put out of its group for
    taking no records.

    Args:
        app: a `faust.App` with `stream_wait_empty=True`, else nothing is drained on a rebalance.
        chunk_max_records: at most so many records in a chunk.
        chunk_max_bytes: at most so many bytes of values, unless one record alone has more.
        drain_timeout: seconds that work in flight may take when partitions are taken away; below
            the consumer group's rebalance time-out.
        fetch_gap: seconds between fetches of few records (`app.streaming.pacing`).
    """
    transport = Transport(
        app.conf.broker_consumer,
        app,
        chunk_max_records=chunk_max_records,
        chunk_max_bytes=chunk_max_bytes,
        drain_timeout=drain_timeout,
        fetch_gap=fetch_gap,
    )
    app.transport = transport
    app.producer_transport = transport
    app.conf.TableManager = PatientTables
    # A client that takes no records for so long leaves its group, and joins again only once it
    # takes some. Faust takes none between leaving and joining: it would never come back, neither
    # when the store is there again that it waited for, nor for the partitions of one that died.
    app.conf.broker_max_poll_interval = NEVER_SECONDS


def chunks(app: Any, *topics: str) -> Any:
    """The channel of chunks of `topics`, for one agent.

    Faust's own acks are off for it: a stream acks a message when the agent takes the next one, and
    also when the agent is stopped in the middle of it, which says nothing about the work.
    """
    app.transport.chunked_topics.update(topics)
    return app.topic(*topics, schema=ChunkSchema(), acks=False)
