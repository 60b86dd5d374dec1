import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.bulkhead import Compartment, Kind, kind_of
from gateway.workers import Turn, Workers

pytestmark = pytest.mark.timeout(60)

LIMITS = {Kind.ORDINARY: 2, Kind.HELD: 1}


@pytest.mark.parametrize(
    ("target", "headers", "kind"),
    [
        ("/orders", {}, Kind.ORDINARY),
        ("/orders", {"Prefer": "return=minimal", "Accept": "application/json"}, Kind.ORDINARY),
        ("/orders", {"Prefer": "wait=5"}, Kind.HELD),
        ("/orders", {"Prefer": 'return=minimal, WAIT = "5"'}, Kind.HELD),
        ("/analytics/stream", {}, Kind.HELD),
        ("/analytics/stream?x=1", {}, Kind.HELD),
        ("/analytics/%73tream", {}, Kind.HELD),
        ("/orders?next=/stream", {}, Kind.ORDINARY),
        ("/analytics", {"Accept": "text/event-stream"}, Kind.HELD),
    ],
)
def test_what_is_held_on_purpose_is_told_from_what_is_not(
    target: str, headers: dict[str, str], kind: Kind
) -> None:
    assert kind is kind_of(target, CIMultiDict(headers))


def test_a_preference_in_a_second_header_counts_too() -> None:
    headers = CIMultiDict([("Prefer", "return=minimal"), ("Prefer", "wait=5")])
    assert Kind.HELD is kind_of("/orders", headers)


def live(count: int) -> Workers:
    workers = Workers([f"http://w{number}" for number in range(count)], limits=LIMITS)
    for worker in workers:
        worker.mark_live()
    return workers


def test_full_workers_are_passed_over_and_when_all_are_full_there_is_none() -> None:
    workers = live(2)
    turns = [workers.take(()) for _ in range(4)]
    assert None not in turns
    assert [2, 2] == [worker.outstanding for worker in workers]
    assert workers.take(()) is None


def test_held_requests_take_no_ordinary_places() -> None:
    workers = live(1)
    assert workers.take((), Kind.HELD) is not None
    assert workers.take((), Kind.HELD) is None
    assert workers.take(()) is not None


@given(st.lists(st.tuples(st.sampled_from(Kind), st.booleans()), max_size=60))
def test_no_worker_has_more_than_its_limit_and_every_place_comes_back(
    steps: list[tuple[Kind, bool]],
) -> None:
    workers = live(3)
    under_way: list[Turn] = []
    for kind, comes in steps:
        if comes:
            all_full = all(worker.places[kind].full for worker in workers)
            turn = workers.take((), kind)
            assert all_full is (turn is None)
            if turn is not None:
                under_way.append(turn)
        elif under_way:
            under_way.pop(0).leave()
        for worker in workers:
            assert all(0 <= worker.places[kind].taken <= LIMITS[kind] for kind in Kind)
    for turn in under_way:
        turn.leave()
    assert [0, 0, 0] == [worker.outstanding for worker in workers]


def test_a_place_is_given_back_once() -> None:
    place = Compartment(1)
    place.enter()
    place.leave()
    with pytest.raises(AssertionError):
        place.leave()
