"""The transport where a broker is not needed to show it."""

import asyncio
import logging
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from app.streaming import chunks, install
from app.streaming.tracker import CommitTracker
from app.streaming.transport import Consumer

pytestmark = pytest.mark.timeout(60)


ORDERS = TP("orders", 0)


class Thread:
    """A consumer thread whose assignment changes under the first questions."""

    def __init__(self, changes: int = 0, **committed: int | None) -> None:
        self.changes = changes
        self.committed = {TP(topic, 0): end for topic, end in committed.items()}
        self.asked = 0
        self.at_start: list[Any] = []

    async def seek_to_committed(self) -> dict[Any, int | None]:
        self.asked += 1
        if self.asked <= self.changes:
            raise IllegalStateError("No current assignment for partition")
        return self.committed

    async def seek_to_start(self, partitions: Iterable[Any]) -> None:
        self.at_start.extend(partitions)


class StoppingConsumer(Consumer):
    """Without Faust's services: only what the question needs."""

    def __init__(
        self, thread: Thread, *, stopping: bool = False, begins_at: str = "earliest"
    ) -> None:
        self._thread = thread
        self.stopping = stopping
        self.app = SimpleNamespace(conf=SimpleNamespace(consumer_auto_offset_reset=begins_at))
        self.transport = SimpleNamespace(chunked_topics={"orders", "payments"})

    @property
    def should_stop(self) -> bool:
        return self.stopping


async def test_an_assignment_that_changes_while_offsets_are_asked_for_is_asked_for_again() -> None:
    thread = Thread(changes=2, orders=7)
    assert {ORDERS: 7} == await StoppingConsumer(thread).seek_to_committed()
    assert 3 == thread.asked


async def test_a_consumer_that_stops_does_not_ask_again() -> None:
    thread = Thread(changes=10**6)
    assert {} == await StoppingConsumer(thread, stopping=True).seek_to_committed()
    assert 1 == thread.asked


CHANGELOG = TP("changelog", 0)


class FlowingConsumer(StoppingConsumer):
    """With what Faust's consumer knows of partitions."""

    def __init__(self) -> None:
        super().__init__(Thread())
        self._active_partitions, self._buffered_partitions = set(), set()
        self._paused_partitions = {ORDERS, CHANGELOG}
        self._resuming = set()
        self.flow_active = False
        self.can_resume_flow, self.suspend_flow = asyncio.Event(), asyncio.Event()

    def _get_active_partitions(self) -> set[Any]:
        return self._active_partitions


def test_chunks_are_fetched_again_only_with_the_flow_and_changelogs_at_once() -> None:
    # Between the two Faust goes back, and empties the agents' buffers.
    consumer = FlowingConsumer()
    consumer.resume_partitions({ORDERS, CHANGELOG})
    assert {CHANGELOG} == consumer._active_partitions

    consumer.resume_flow()
    assert {ORDERS, CHANGELOG} == consumer._active_partitions
    assert set() == consumer._paused_partitions


def test_partitions_that_are_taken_away_before_the_flow_are_not_fetched_from() -> None:
    consumer = FlowingConsumer()
    consumer.resume_partitions({ORDERS})
    consumer.stop_flow()
    consumer.resume_flow()
    assert set() == consumer._active_partitions


class SeekingConsumer(FlowingConsumer):
    """Is told what is committed once it is `answered`."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = CommitTracker()
        self.answered = asyncio.Event()
        self.app.consumer_generation_id = 1
        self._read_offset, self._committed_offset = {}, {}  # type: ignore[assignment]

    async def seek_to_committed(self) -> Any:
        await self.answered.wait()
        return {ORDERS: 7}

    def take_away(self) -> None:
        """As the revocation does."""
        self.tracker.close()

    def give_out(self) -> None:
        """As the assignment does."""
        self.app.consumer_generation_id += 1


async def test_a_recovery_that_keeps_its_partitions_goes_back_to_what_is_committed() -> None:
    consumer = SeekingConsumer()
    consumer.answered.set()
    await consumer.perform_seek()
    assert {ORDERS: 7} == consumer._read_offset


@pytest.mark.parametrize("lose", [SeekingConsumer.take_away, SeekingConsumer.give_out])
async def test_a_recovery_that_loses_its_partitions_while_it_goes_back_lets_nothing_flow(
    lose: Any,
) -> None:
    # Faust's recovery gives way to the next one by this error, before it resumes the flow.
    consumer = SeekingConsumer()
    seeking = asyncio.create_task(consumer.perform_seek())
    await asyncio.sleep(0)
    lose(consumer)
    consumer.answered.set()
    with pytest.raises(IllegalStateError):
        await seeking


def streaming_app() -> Any:
    """A Faust app with the transport, that is not started."""
    app = faust.App("group", broker="kafka://127.0.0.1:1", stream_wait_empty=True)
    install(app)
    chunks(app, ORDERS.topic)
    return app


async def test_what_a_recovery_that_was_overtaken_resumed_is_stopped_when_partitions_come() -> None:
    consumer = streaming_app().consumer
    consumer.resume_flow()
    consumer.resume_partitions({ORDERS})
    flowing = []

    async def begin(assigned: set[Any], generation: int) -> None:
        flowing.append(consumer.flow_active)
        consumer.pause_partitions(assigned)

    consumer._on_partitions_assigned = begin
    await consumer.on_partitions_assigned({ORDERS, CHANGELOG}, 2)
    assert [False] == flowing

    # The next recovery reads the changelog before any stream flows.
    consumer.resume_partitions({CHANGELOG})
    consumer.resume_flow()
    assert {CHANGELOG} == consumer._active_partitions


@pytest.mark.parametrize("paused", [True, False])
def test_room_in_a_buffer_does_not_resume_what_is_paused(paused: bool) -> None:
    consumer = FlowingConsumer()
    if not paused:
        consumer._paused_partitions.clear()
    consumer._buffered_partitions.add(ORDERS)
    consumer.on_buffer_drop(ORDERS)
    assert (set() if paused else {ORDERS}) == consumer._active_partitions
    assert set() == consumer._buffered_partitions


class UnansweredConsumer(StoppingConsumer):
    """Its coordinator answers no commit."""

    def __init__(self) -> None:
        super().__init__(Thread())
        self.transport.drain_timeout = 0.01
        self.app.client_only = False
        self.tracker = CommitTracker()
        self.log = logging.getLogger(__name__)
        self.commits = 0

    @property
    def loop(self) -> Any:
        return asyncio.get_running_loop()

    async def force_commit(self, *args: Any, **kwargs: Any) -> bool:
        self.commits += 1
        await asyncio.Event().wait()
        return True


@pytest.mark.parametrize("under_way", [0, 1])
async def test_commits_that_are_not_answered_do_not_hold_what_takes_partitions_away(
    under_way: int,
) -> None:
    consumer = UnansweredConsumer()
    commits = [asyncio.create_task(consumer.commit()) for _ in range(under_way)]
    await asyncio.sleep(0)
    await consumer.wait_empty()
    assert 1 == consumer.commits
    for commit in commits:
        commit.cancel()


@pytest.mark.parametrize("nothing", [None, 0])
async def test_a_partition_of_which_nothing_is_committed_is_read_from_its_start_again(
    nothing: int | None,
) -> None:
    # The client moves no position to "nothing": what was fetched and dropped would be lost.
    thread = Thread(orders=nothing, payments=5, changelog=nothing)
    await StoppingConsumer(thread).seek_to_committed()
    assert [ORDERS] == thread.at_start


async def test_a_group_that_begins_with_what_comes_has_no_start_to_go_back_to() -> None:
    thread = Thread(orders=None)
    await StoppingConsumer(thread, begins_at="latest").seek_to_committed()
    assert [] == thread.at_start


class HeldConsumer(StoppingConsumer):
    """Holds partitions, of which the client knows the ends."""

    def __init__(self, ends: dict[TP, int | None]) -> None:
        super().__init__(Thread())
        self.ends = ends
        self.tracker = CommitTracker()
        self._committed_offset: Any = {}

    def assignment(self) -> Any:
        return set(self.ends)

    def highwater(self, tp: Any) -> Any:
        assert tp in self.ends, "Partition is not assigned"
        return self.ends[tp]


def test_partitions_are_held_from_being_given_out_until_they_are_taken_away() -> None:
    changelog = TP("orders-table-changelog", 0)
    consumer = HeldConsumer({ORDERS: 9, changelog: 9})
    assert [ORDERS] == list(consumer.held())

    consumer.tracker.close()

    assert [] == list(consumer.held())


def test_what_is_finished_is_what_was_committed_until_something_is_delivered() -> None:
    consumer = HeldConsumer({ORDERS: 9})
    assert 0 == consumer.finished(ORDERS)
    consumer._committed_offset[ORDERS] = 4
    assert 4 == consumer.finished(ORDERS)

    ticket = consumer.tracker.open(ORDERS, 5, 6)
    assert 5 == consumer.finished(ORDERS)
    consumer.tracker.claim(ticket)
    consumer.tracker.finish(ticket)

    assert 7 == consumer.finished(ORDERS)


def test_the_end_of_a_partition_that_was_taken_away_meanwhile_is_not_known() -> None:
    consumer = HeldConsumer({ORDERS: 9})

    assert (9, None) == (consumer.fetched_end(ORDERS), consumer.fetched_end(TP("payments", 0)))
