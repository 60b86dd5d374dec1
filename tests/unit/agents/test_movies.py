"""The movies service over an in-memory server: counted once, split whenever it is asked."""

import pytest
from pymongo import InsertOne

from app.agents.movies import MoviesService
from app.events import Event
from app.stores.errors import ConflictError
from app.stores.repositories import MOVIE_VIEWS, MOVIES
from tests.builders import view_id, viewed
from tests.unit.agents.fakes import CrashError, FakeDatabase, heard, resources, run


class Cinema:
    def __init__(self) -> None:
        self.database = FakeDatabase()
        self.service = MoviesService(resources(self.database))

    def tell(self, *events: Event) -> list[Event]:
        return heard(run(self.service.handle(events)))

    def counts(self) -> dict[str, int]:
        return {k: d["views"] for k, d in self.database[MOVIES].documents().items()}


@pytest.fixture
def cinema() -> Cinema:
    return Cinema()


BATCH = [viewed("alien" if n % 3 else "brazil", number=n, user=f"u{n % 4}") for n in range(1, 31)]


def test_a_batch_is_one_query_and_one_write_a_collection(cinema: Cinema) -> None:
    cinema.tell(*BATCH)

    assert {"alien": 20, "brazil": 10} == cinema.counts()
    for name in (MOVIES, MOVIE_VIEWS):
        kept = cinema.database[name]
        assert (1, 1) == (kept.finds, kept.bulk_writes)
    assert 30 == len(cinema.database[MOVIE_VIEWS].stored)


def test_each_view_is_split_and_each_milestone_said_with_the_view_that_reached_it(
    cinema: Cinema,
) -> None:
    said = cinema.tell(*BATCH)

    types = [event.type for event in said]
    assert (30, 30, 4) == (
        types.count("UserActed"),
        types.count("MovieViewTracked"),
        types.count("MovieMilestoneReached"),
    )
    assert len(said) == len({event.id for event in said})
    assert {view_id(30), view_id(3), view_id(1), view_id(14)} == {
        e.data.origin for e in said if e.type == "MovieMilestoneReached"
    }
    kept = cinema.database[MOVIES].documents()["brazil"]["milestones"]
    assert [(1, view_id(3)), (10, view_id(30))] == [(one["views"], one["viewId"]) for one in kept]


def test_a_redelivered_batch_writes_nothing_and_says_the_same(cinema: Cinema) -> None:
    said = cinema.tell(*BATCH)
    before = cinema.counts(), cinema.database[MOVIES].bulk_writes

    assert said == cinema.tell(*BATCH)
    assert before == (cinema.counts(), cinema.database[MOVIES].bulk_writes)


def test_a_view_twice_in_a_batch_is_one(cinema: Cinema) -> None:
    said = cinema.tell(viewed(number=1), viewed(number=1), viewed(number=2))

    assert {"alien": 2} == cinema.counts()
    assert 5 + 3 == len(said)
    assert said[:3] == said[3:6]


def test_a_crash_between_the_views_and_their_movies_counts_each_view_once(cinema: Cinema) -> None:
    cinema.tell(*BATCH[:5])
    cinema.database[MOVIES].crash = lambda writes: [0]
    with pytest.raises(CrashError):
        cinema.tell(*BATCH[5:20])
    assert 20 == len(cinema.database[MOVIE_VIEWS].stored)

    again = cinema.tell(*BATCH[5:20])

    unharmed = Cinema()
    unharmed.tell(*BATCH[:5])
    assert unharmed.tell(*BATCH[5:20]) == again
    assert unharmed.database[MOVIES].stored.keys() == cinema.database[MOVIES].stored.keys()
    assert unharmed.counts() == cinema.counts()


def test_a_crash_in_the_middle_of_the_views_gives_each_its_number(cinema: Cinema) -> None:
    cinema.database[MOVIE_VIEWS].crash = lambda writes: range(0, writes, 2)
    with pytest.raises(CrashError):
        cinema.tell(*BATCH)

    assert Cinema().tell(*BATCH) == cinema.tell(*BATCH)
    assert {"alien": 20, "brazil": 10} == cinema.counts()


def test_a_worker_that_lost_its_partition_can_not_count_what_its_successor_has(
    cinema: Cinema,
) -> None:
    cinema.tell(viewed(number=1))

    def successor() -> None:
        cinema.tell(viewed(number=2), viewed(number=3))

    cinema.database[MOVIE_VIEWS].meanwhile = successor
    with pytest.raises(ConflictError):
        cinema.tell(viewed(number=2))
    assert {"alien": 3} == cinema.counts()

    cinema.tell(viewed(number=2))
    assert {"alien": 3} == cinema.counts()


def test_a_view_is_known_from_its_document_alone(cinema: Cinema) -> None:
    cinema.tell(viewed(number=1))
    written = cinema.database[MOVIE_VIEWS].documents()[view_id(1)]

    other = Cinema()
    run(other.database[MOVIE_VIEWS].bulk_write([InsertOne(written)], ordered=False))
    other.tell(viewed(number=1))

    assert {"alien": 1} == other.counts()
