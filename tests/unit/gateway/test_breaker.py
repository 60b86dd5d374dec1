import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.breaker import FAILURES, OPEN_MOST_SECONDS, OPEN_SECONDS, Breaker, State

pytestmark = pytest.mark.timeout(60)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def longest(_least: float, most: float) -> float:
    return most


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(clock=clock, uniform=longest)
    for _ in range(FAILURES):
        breaker.failed(breaker.enter())
    return breaker


def test_it_opens_with_the_third_failure_in_a_row_and_not_before() -> None:
    breaker = Breaker(clock=Clock())
    states = []
    for _ in range(3):
        breaker.failed(breaker.enter())
        states.append(breaker.state)
    assert [State.CLOSED, State.CLOSED, State.OPEN] == states
    assert not breaker.admits


def test_a_success_ends_the_row() -> None:
    breaker = Breaker(clock=Clock())
    for _ in range(5):
        breaker.failed(breaker.enter())
        breaker.failed(breaker.enter())
        breaker.succeeded(breaker.enter())
    assert (State.CLOSED, 0) == (breaker.state, breaker.failures)


def test_answers_that_begin_and_never_end_open_it_too() -> None:
    breaker = Breaker(clock=Clock())
    for _ in range(3):
        request = breaker.enter()
        breaker.answered(request)
        breaker.failed(request)
    assert State.OPEN == breaker.state


def test_once_its_time_is_over_it_admits_one_probe_and_its_success_closes_it() -> None:
    clock = Clock()
    breaker = opened(clock)
    assert (clock.now, clock.now + OPEN_SECONDS) == (breaker.opened_at, breaker.retry_at)
    clock.now += OPEN_SECONDS
    assert (State.HALF_OPEN, True) == (breaker.state, breaker.admits)
    probe = breaker.enter()
    assert (State.HALF_OPEN, False) == (breaker.state, breaker.admits)
    breaker.succeeded(probe)
    assert (State.CLOSED, True, 0) == (breaker.state, breaker.admits, breaker.failures)
    assert breaker.opened_at is breaker.retry_at is None


def test_a_probe_that_fails_opens_it_for_longer_each_time_up_to_a_bound() -> None:
    clock = Clock()
    breaker = opened(clock)
    first = breaker.opened_at
    pauses = []
    for _ in range(30):
        assert breaker.retry_at is not None
        pauses.append(breaker.retry_at - clock.now)
        clock.now = breaker.retry_at
        breaker.failed(breaker.enter())
    assert [1, 2, 4, 8, 16, 30, 30] == pauses[:7]
    assert OPEN_MOST_SECONDS == max(pauses)
    assert first == breaker.opened_at


def test_pauses_are_drawn_from_the_upper_half_so_that_gateways_do_not_probe_together() -> None:
    clock = Clock()
    drawn = []

    def draw(least: float, most: float) -> float:
        drawn.append((least, most))
        return least

    breaker = Breaker(clock=clock, uniform=draw)
    for _ in range(FAILURES):
        breaker.failed(breaker.enter())
    assert [(OPEN_SECONDS / 2, OPEN_SECONDS)] == drawn


def test_a_probe_whose_client_leaves_makes_room_for_the_next() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += OPEN_SECONDS
    breaker.left(breaker.enter())
    assert breaker.admits


def test_a_probe_whose_answer_goes_on_for_hours_holds_nobody_up() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += OPEN_SECONDS
    stream = breaker.enter()
    breaker.answered(stream)
    assert (State.CLOSED, True) == (breaker.state, breaker.admits)
    # It is on trial still: no further two failures are needed.
    breaker.failed(stream)
    assert State.OPEN == breaker.state
    assert breaker.retry_at == clock.now + 2 * OPEN_SECONDS


def test_what_comes_of_requests_from_before_it_opened_says_nothing_about_the_probe() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock, uniform=longest)
    late, later = breaker.enter(), breaker.enter()
    for _ in range(FAILURES):
        breaker.failed(breaker.enter())
    clock.now += OPEN_SECONDS
    probe = breaker.enter()
    breaker.succeeded(late)
    breaker.left(later)
    assert (State.HALF_OPEN, False) == (breaker.state, breaker.admits)
    breaker.succeeded(probe)
    breaker.failed(later)
    assert 0 == breaker.failures


def test_checks_that_find_nobody_confirm_failures_and_make_none() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock, uniform=longest)
    for _ in range(10):
        breaker.unreachable()
    assert (State.CLOSED, 0) == (breaker.state, breaker.failures)
    breaker.failed(breaker.enter())
    breaker.unreachable()
    breaker.unreachable()
    assert State.OPEN == breaker.state
    # While it can't be reached it does not look as if a probe could go.
    clock.now += OPEN_SECONDS
    breaker.unreachable()
    assert State.OPEN == breaker.state


def test_a_long_absence_does_not_make_the_next_pause_longer() -> None:
    clock = Clock()
    breaker = opened(clock)
    for _ in range(20):
        clock.now += OPEN_MOST_SECONDS
        breaker.unreachable()
    breaker.retry_now()
    breaker.failed(breaker.enter())
    assert clock.now + 2 * OPEN_SECONDS == breaker.retry_at


def test_a_target_that_is_there_again_gets_its_probe_at_once() -> None:
    clock = Clock()
    breaker = opened(clock)
    breaker.retry_now()
    assert State.HALF_OPEN == breaker.state
    breaker.enter()
    breaker.retry_now()
    assert not breaker.admits


class BreakerMachine(RuleBasedStateMachine):
    """Any order of requests, ends, checks and time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(clock=self.clock, uniform=longest)
        self.under_way: list[int] = []
        self.probe: int | None = None

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.breaker.admits)
    @rule()
    def a_request_comes(self) -> None:
        half_open = self.breaker.state is State.HALF_OPEN
        request = self.breaker.enter()
        if half_open:
            assert self.probe is None, "one probe at a time"
            self.probe = request
        else:
            self.under_way.append(request)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), end=st.sampled_from(["succeeded", "failed", "left", "answered"]))
    def an_old_request_ends(self, data: st.DataObject, end: str) -> None:
        request = data.draw(st.sampled_from(self.under_way))
        before = self.breaker.state
        getattr(self.breaker, end)(request)
        if end != "answered":
            self.under_way.remove(request)
        if before is State.HALF_OPEN and self.probe is not None:
            assert State.HALF_OPEN == self.breaker.state
            assert not self.breaker.admits

    @precondition(lambda self: self.probe is not None)
    @rule(end=st.sampled_from(["succeeded", "failed", "left"]))
    def the_probe_ends(self, end: str) -> None:
        assert self.probe is not None
        getattr(self.breaker, end)(self.probe)
        self.probe = None
        expected = {"succeeded": State.CLOSED, "failed": State.OPEN, "left": State.HALF_OPEN}
        assert expected[end] == self.breaker.state

    @rule()
    def a_check_finds_nobody(self) -> None:
        self.breaker.unreachable()

    @rule()
    def it_is_back(self) -> None:
        self.breaker.retry_now()

    @invariant()
    def it_is_open_for_a_bounded_time(self) -> None:
        if self.breaker.retry_at is not None:
            assert self.breaker.retry_at <= self.clock.now + OPEN_MOST_SECONDS
            assert self.breaker.failures >= FAILURES

    @invariant()
    def it_admits_nobody_beside_a_probe(self) -> None:
        if self.probe is not None:
            assert not self.breaker.admits

    @invariant()
    def what_is_closed_has_fewer_failures_and_admits(self) -> None:
        if self.breaker.state is State.CLOSED:
            assert self.breaker.failures < FAILURES
            assert self.breaker.admits


TestAnyOrder = BreakerMachine.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
