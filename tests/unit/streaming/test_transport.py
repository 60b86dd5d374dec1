"""The transport where a broker is not needed to show it."""

from typing import Any

import pytest
from aiokafka.errors import IllegalStateError

from app.streaming.transport import Consumer

pytestmark = pytest.mark.timeout(10)


class Thread:
    """A consumer thread whose assignment changes under the first questions."""

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.asked = 0

    async def seek_to_committed(self) -> dict[Any, int]:
        self.asked += 1
        if self.asked <= self.changes:
            raise IllegalStateError("No current assignment for partition")
        return {("orders", 0): 7}


class StoppingConsumer(Consumer):
    """Without Faust's services: only what the question needs."""

    def __init__(self, thread: Thread, *, stopping: bool = False) -> None:
        self._thread = thread
        self.stopping = stopping

    @property
    def should_stop(self) -> bool:
        return self.stopping


async def test_an_assignment_that_changes_while_offsets_are_asked_for_is_asked_for_again() -> None:
    thread = Thread(changes=2)
    assert {("orders", 0): 7} == await StoppingConsumer(thread).seek_to_committed()
    assert 3 == thread.asked


async def test_a_consumer_that_stops_does_not_ask_again() -> None:
    thread = Thread(changes=10**6)
    assert {} == await StoppingConsumer(thread, stopping=True).seek_to_committed()
    assert 1 == thread.asked
