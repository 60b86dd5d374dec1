import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.budget import (
    BACKOFF_MOST_SECONDS,
    HOP_SECONDS,
    KEPT_SECONDS,
    Deadline,
    RetryBudget,
    asked_seconds,
    backoff,
)
from gateway.problem import ProblemError

pytestmark = pytest.mark.timeout(60)

RATIO, FLOOR = 0.2, 3.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_when_everything_fails_resends_are_the_stated_part_of_requests() -> None:
    budget = RetryBudget(ratio=0.2, floor=0, clock=Clock())
    sent_again = 0
    for _ in range(1000):
        budget.earn()
        sent_again += budget.spend()
    assert 200 == pytest.approx(sent_again, abs=2)


def test_where_there_is_little_traffic_some_a_second_are_free() -> None:
    clock = Clock()
    budget = RetryBudget(ratio=0, floor=2, clock=clock)
    while budget.spend():
        pass
    clock.now += 3
    assert [True] * 6 + [False] == [budget.spend() for _ in range(7)]


def test_with_neither_nothing_is_ever_sent_again() -> None:
    budget = RetryBudget(ratio=0, floor=0, clock=Clock())
    budget.earn()
    assert not budget.spend()


class BudgetMachine(RuleBasedStateMachine):
    """Requests and failures in any order, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.budget = RetryBudget(ratio=RATIO, floor=FLOOR, clock=self.clock)
        self.requests = self.resent = 0

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(count=st.integers(1, 50))
    def requests_come(self, count: int) -> None:
        for _ in range(count):
            self.budget.earn()
        self.requests += count

    @rule(count=st.integers(1, 50))
    def requests_break(self, count: int) -> None:
        self.resent += sum(self.budget.spend() for _ in range(count))

    @invariant()
    def resends_are_bounded(self) -> None:
        kept = FLOOR * KEPT_SECONDS
        most = kept + RATIO * self.requests + FLOOR * self.clock.now
        assert self.resent <= most + 1e-6


TestAnyOrder = BudgetMachine.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.integers(0, 10_000))
def test_a_pause_is_drawn_from_nothing_to_twice_the_last_up_to_a_bound(resends: int) -> None:
    assert 0 == backoff(resends, uniform=lambda least, _most: least)
    longest = backoff(resends, uniform=lambda _least, most: most)
    assert longest <= BACKOFF_MOST_SECONDS
    assert longest >= min(backoff(resends - 1, uniform=lambda _, most: most), BACKOFF_MOST_SECONDS)


@pytest.mark.parametrize(
    ("given_values", "expected"),
    [([], 70.0), (["2"], 2.0), (["0.5"], 0.5), ([" 3 "], 3.0), (["0"], 0.0), (["100000"], 70.0)],
)
def test_the_clients_limit_counts_up_to_the_gateways(
    given_values: list[str], expected: float
) -> None:
    assert expected == asked_seconds(given_values, 70.0)


@pytest.mark.parametrize(
    "given_values",
    [[""], ["-1"], ["nan"], ["inf"], ["1e3"], ["5s"], ["1,5"], ["1", "2"], ["9" * 10], ["\u0661"]],
    ids=str,
)
def test_what_is_not_a_number_of_seconds_is_a_bad_request(given_values: list[str]) -> None:
    with pytest.raises(ProblemError) as refused:
        asked_seconds(given_values, 70.0)
    assert 400 == refused.value.status


@pytest.mark.parametrize(("passed", "told"), [(0.0, 2 - HOP_SECONDS), (1.96, 0.02)])
def test_the_worker_is_told_a_little_less_than_is_left(passed: float, told: float) -> None:
    clock = Clock()
    deadline = Deadline(2.0, clock)
    clock.now += passed
    assert told == pytest.approx(float(deadline.for_worker()))
