from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.workers import Workers, worker_urls

pytestmark = pytest.mark.timeout(30)


def live_workers(count: int) -> Workers:
    workers = Workers([f"http://w{number}" for number in range(count)])
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
        worker.outstanding = count
    chosen = workers.choose(())
    assert chosen is not None
    assert min(outstanding) == chosen.outstanding


def test_a_worker_that_was_tried_or_is_down_is_not_chosen() -> None:
    workers = live_workers(3)
    first, second, third = workers
    first.mark_down("gone")
    assert third is workers.choose({second})
    assert workers.choose({second, third}) is None


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
