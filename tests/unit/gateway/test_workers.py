import heapq
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.breaker import State
from gateway.bulkhead import Kind
from gateway.workers import Balancing, Turn, Worker, Workers, worker_urls

pytestmark = pytest.mark.timeout(30)


def live_workers(count: int, **options: Any) -> Workers:
    workers = Workers([f"http://w{number}" for number in range(count)], **options)
    for worker in workers:
        worker.mark_live()
    return workers


def test_no_worker_is_chosen_before_its_first_successful_check() -> None:
    assert Workers(["http://a"]).choose(()) is None


@given(st.integers(1, 6), st.integers(1, 20))
def test_equal_workers_take_turns(count: int, rounds: int) -> None:
    workers = live_workers(count)
    chosen = Counter(workers.choose(()) for _ in range(count * rounds))
    assert dict.fromkeys(workers, rounds) == chosen


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 20))
def test_the_worker_with_the_fewest_outstanding_requests_is_chosen(
    outstanding: list[int], before: int
) -> None:
    workers = live_workers(len(outstanding))
    for _ in range(before):
        workers.choose(())
    for worker, count in zip(workers, outstanding, strict=True):
        for _ in range(count):
            worker.places[Kind.ORDINARY].enter()
    chosen = workers.choose(())
    assert chosen is not None
    assert min(outstanding) == chosen.outstanding


def test_a_worker_that_was_tried_or_is_down_is_not_chosen() -> None:
    workers = live_workers(3)
    first, second, third = workers
    first.mark_down("gone")
    assert third is workers.choose({second})
    assert workers.choose({second, third}) is None


def test_in_turn_counts_nothing_that_is_under_way() -> None:
    workers = live_workers(3, balancing="round_robin")
    first, second, third = workers
    first.places[Kind.ORDINARY].enter()
    expected = [first, second, third, first]
    assert expected == [workers.choose(()) for _ in range(4)]


def test_of_two_drawn_by_chance_the_one_with_fewer_requests_is_chosen() -> None:
    drawn: list[list[Worker]] = []

    def last_two(able: Sequence[Worker], count: int) -> list[Worker]:
        drawn.append(list(able[-count:]))
        return drawn[-1]

    workers = live_workers(3, balancing="p2c", draw=last_two)
    first, second, third = workers
    for _ in range(2):
        second.places[Kind.ORDINARY].enter()
    third.places[Kind.ORDINARY].enter()
    assert third is workers.choose(())
    assert [[second, third]] == drawn
    # Of two nothing is drawn.
    assert third is workers.choose({first})
    assert 1 == len(drawn)


@pytest.mark.parametrize(
    ("balancing", "least", "most"),
    [("round_robin", 100, 100), ("least_outstanding", 1, 20), ("p2c", 1, 60)],
)
def test_a_worker_that_is_ten_times_slower_gets_fewer_requests_where_they_are_counted(
    balancing: Balancing, least: int, most: int
) -> None:
    drawn = random.Random(7)
    workers = live_workers(3, balancing=balancing, draw=drawn.sample)
    slow, *_ = workers
    sent, ends = 0, list[tuple[int, int, Turn]]()
    for now in range(300):  # a request each moment
        while ends and ends[0][0] <= now:
            heapq.heappop(ends)[2].leave()
        turn = workers.take(())
        assert turn is not None
        sent += turn.worker is slow
        heapq.heappush(ends, (now + (20 if turn.worker is slow else 2), now, turn))
    assert least <= sent <= most


def test_one_that_failed_and_was_down_gets_one_probe_as_soon_as_it_is_back() -> None:
    (worker,) = workers = live_workers(1)
    for _ in range(3):
        turn = workers.take(())
        assert turn is not None
        turn.failed()
        turn.leave()
    worker.mark_down("gone")
    assert workers.take(()) is None
    worker.mark_live()
    assert State.HALF_OPEN is worker.breaker.state
    assert workers.take(()) is not None
    assert workers.take(()) is None


def test_one_late_check_is_forgiven_and_the_second_in_a_row_is_not() -> None:
    (worker,) = live_workers(1)
    worker.mark_late()
    worker.mark_live()
    worker.mark_late()
    assert worker.live
    worker.mark_late()
    assert not worker.live


def test_workers_are_listed_with_commas_and_each_counts_once() -> None:
    expected = ("http://a:1", "https://b")
    assert expected == worker_urls(" http://a:1/, https://b ,http://a:1,")


@pytest.mark.parametrize(
    ("listed", "complaint"),
    [
        ("", "names no worker"),
        (" , ", "names no worker"),
        ("localhost:6066", "is not the URL of a server"),
        ("ftp://a", "is not the URL of a server"),
        ("http://a/base", "more than host and port"),
        ("http://user@a", "more than host and port"),
    ],
)
def test_a_list_of_workers_that_can_not_be_used_is_refused(listed: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        worker_urls(listed)
