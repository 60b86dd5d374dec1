"""Which partitions are stuck, and what is said of them."""

import logging
from collections.abc import Collection
from typing import Any

import pytest
from faust.types import TP

from app.streaming.lag import Partition
from app.streaming.stuck import TELL_SECONDS, Stuck
from app.streaming.tracker import CommitTracker, Ticket

ONE, TWO = TP("orders", 0), TP("orders", 1)
LOOK_SECONDS = 5.0
LOOKS_A_MINUTE = int(TELL_SECONDS / LOOK_SECONDS)


class Consumer:
    """A consumer of two partitions, to whom chunks of ten records are delivered."""

    def __init__(self) -> None:
        self.parts: list[Any] = [ONE, TWO]
        self.tracker: CommitTracker[Any] = CommitTracker()
        self.flow_active = True
        self.ends = {ONE: 0, TWO: 0}

    def held(self) -> Collection[Partition]:
        return self.parts

    def finished(self, tp: Partition) -> int:
        return self.tracker.finished(tp) or 0

    def deliver(self, tp: TP = ONE) -> Ticket[Any]:
        self.ends[tp] += 10
        return self.tracker.open(tp, self.ends[tp] - 10, self.ends[tp] - 1)

    def begin(self, tp: TP = ONE) -> Ticket[Any]:
        ticket = self.deliver(tp)
        assert self.tracker.claim(ticket)
        return ticket

    def lag(self) -> dict[Partition, int]:
        return {tp: self.ends[tp] - self.finished(tp) for tp in self.parts}


class Watched:
    """A consumer that is looked at, on a clock that goes on from look to look."""

    def __init__(self) -> None:
        self.consumer = Consumer()
        self.time = 1000.0
        self.stuck = Stuck("orders-order", self.consumer, lambda: self.time)

    def look(self, times: int = 1, *, able: bool = True) -> dict[Partition, float]:
        for _ in range(times):
            self.time += LOOK_SECONDS
            self.stuck.look(self.consumer.lag(), able=able)
        return self.stuck.now()


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture(autouse=True)
def all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app.streaming.stuck")


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


STUCK = ("WARNING", "orders-order: orders-0 is behind and does not move")
MOVES = ("INFO", "orders-order: orders-0 moves again")


def test_before_the_first_look_nothing_is_known(watched: Watched) -> None:
    assert {} == watched.stuck.now()


def test_a_partition_that_is_behind_and_does_not_move_is_stuck_for_longer_and_longer(
    watched: Watched,
) -> None:
    watched.consumer.begin()

    assert {ONE: 0, TWO: 0} == watched.look()
    assert {ONE: 5, TWO: 0} == watched.look()
    assert {ONE: 15, TWO: 0} == watched.look(2)


def test_one_of_which_a_batch_is_finished_moves_however_far_behind_it_is(watched: Watched) -> None:
    tickets = [watched.consumer.begin() for _ in range(3)]
    for ticket in tickets:
        assert {ONE: 0, TWO: 0} == watched.look()
        watched.consumer.tracker.finish(ticket)

    watched.consumer.begin()
    assert {ONE: 0, TWO: 0} == watched.look()
    assert {ONE: 5, TWO: 0} == watched.look()


def test_one_on_which_work_begins_moves(watched: Watched) -> None:
    ticket = watched.consumer.deliver()
    assert 5 == watched.look(2)[ONE]

    watched.consumer.tracker.claim(ticket)

    assert 0 == watched.look()[ONE]
    assert 5 == watched.look()[ONE]


def test_one_whose_later_records_only_are_delivered_does_not_move(watched: Watched) -> None:
    watched.consumer.begin()
    watched.look()
    watched.consumer.deliver()

    assert 5 == watched.look()[ONE]


def test_one_that_is_not_behind_is_not_stuck_however_long_nothing_comes(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    assert {ONE: 0, TWO: 0} == watched.look(3 * LOOKS_A_MINUTE)

    watched.consumer.begin()
    assert {ONE: 0, TWO: 0} == watched.look()
    assert [] == said(caplog)


def test_one_whose_unfinished_records_are_deleted_by_retention_is_stuck_no_more(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.consumer.deliver()
    watched.look(1 + LOOKS_A_MINUTE)

    watched.stuck.look({ONE: 0}, able=True)

    assert {ONE: 0} == watched.stuck.now()
    assert [STUCK, MOVES] == said(caplog)


def test_one_that_was_taken_away_is_shown_no_more_even_before_the_next_look(
    watched: Watched,
) -> None:
    watched.consumer.begin()
    watched.look(2)

    watched.consumer.parts = [TWO]

    assert {TWO: 0} == watched.stuck.now()


def test_one_that_comes_back_after_another_had_it_begins_anew(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.consumer.begin()
    watched.look(1 + LOOKS_A_MINUTE)
    watched.consumer.parts = [TWO]
    watched.look()
    watched.consumer.parts = [ONE, TWO]

    assert 0 == watched.look()[ONE]
    assert 5 == watched.look()[ONE]
    assert [STUCK] == said(caplog), "nobody has seen it move"


def test_while_it_is_moved_or_recovers_nothing_counts_as_stuck_and_then_it_begins_anew(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.consumer.begin()
    assert 5 == watched.look(2)[ONE]

    assert 0 == watched.look(2 * LOOKS_A_MINUTE, able=False)[ONE]

    assert 5 == watched.look()[ONE]
    assert [] == said(caplog)


def test_a_stuck_partition_is_told_once_a_minute_and_once_when_it_moves_again(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = watched.consumer.begin()
    watched.look(LOOKS_A_MINUTE)
    assert [] == said(caplog), "it has stood still for 55 s"

    watched.look()
    assert [STUCK] == said(caplog)
    watched.look(LOOKS_A_MINUTE - 1)
    assert [STUCK] == said(caplog)
    watched.look()
    assert [STUCK, STUCK] == said(caplog)

    watched.consumer.tracker.finish(ticket)
    watched.look(3)
    assert [STUCK, STUCK, MOVES] == said(caplog)


def test_one_that_moves_again_before_it_was_told_is_not_told_at_all(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = watched.consumer.begin()
    watched.look(LOOKS_A_MINUTE)
    watched.consumer.tracker.finish(ticket)

    watched.look(LOOKS_A_MINUTE)

    assert [] == said(caplog)


def test_the_lines_say_what_an_operator_needs(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = watched.consumer
    consumer.tracker.finish(consumer.begin())
    ticket = consumer.begin()
    consumer.deliver()
    consumer.flow_active = False
    watched.look(1 + LOOKS_A_MINUTE)
    consumer.tracker.finish(ticket)
    watched.look()

    named = {"group": "orders-order", "topic": "orders", "partition": 0}
    in_flight = {"under_way": 10, "waiting": 10, "flow": False}
    stands = {**named, "position": 10, "lag": 20, "seconds": 60, **in_flight}
    moves = {**named, "position": 20, "seconds": 65}
    assert [stands, moves] == [record.__dict__["data"] for record in caplog.records]
