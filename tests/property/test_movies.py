"""However views are delivered, in whatever batches, with whatever crashes: each counts once."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from app.agents.movies import MoviesService
from app.domain.movies import is_milestone
from app.events import Event
from app.stores.repositories import MOVIE_VIEWS, MOVIES
from tests.builders import viewed
from tests.unit.agents.fakes import CrashError, FakeDatabase, heard, resources, run

MOVIE_NAMES = ("alien", "brazil", "casablanca")
VIEWS_MOST = 25


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """A log of views, some of them there more than once."""
    movies = draw(st.lists(st.sampled_from(MOVIE_NAMES), min_size=1, max_size=VIEWS_MOST))
    log = [viewed(m, number=n, user=f"u{n % 3}") for n, m in enumerate(movies, start=1)]
    for copy in draw(st.lists(st.integers(0, len(log) - 1), max_size=5)):
        log.insert(draw(st.integers(copy + 1, len(log))), log[copy])
    return log


class Delivery:
    """A partition's log, delivered in batches to a service that crashes and begins again at the
    last commit."""

    def __init__(self) -> None:
        self.database = FakeDatabase()
        self.said: dict[str, Event] = {}

    def batch(self, events: Sequence[Event]) -> None:
        service = MoviesService(resources(self.database))
        for event in heard(run(service.handle(events))):
            assert event == self.said.setdefault(event.id, event)

    def crash(self, events: Sequence[Event], collection: str, written: Sequence[int]) -> None:
        kept = self.database[collection]
        kept.crash = lambda writes: [n for n in written if n < writes]
        try:
            self.batch(events)
        except CrashError:
            return
        kept.crash = None  # nothing was to be written

    def movies(self) -> dict[str, dict[str, object]]:
        return self.database[MOVIES].documents()


def in_one_batch(log: Sequence[Event]) -> Delivery:
    delivery = Delivery()
    delivery.batch(log)
    return delivery


@settings(max_examples=150, deadline=None)
@given(log=logs(), data=st.data())
def test_any_delivery_gives_the_same_counts_and_the_same_events(
    log: list[Event], data: st.DataObject
) -> None:
    delivery, committed = Delivery(), 0
    while committed < len(log):
        end = data.draw(st.integers(committed + 1, len(log)))
        batch = log[committed:end]
        for _ in range(data.draw(st.integers(0, 2))):
            delivery.crash(
                batch,
                data.draw(st.sampled_from([MOVIES, MOVIE_VIEWS])),
                data.draw(st.lists(st.integers(0, VIEWS_MOST), max_size=VIEWS_MOST)),
            )
        delivery.batch(batch)
        if data.draw(st.booleans()):  # done, but not committed: it comes again
            delivery.batch(batch)
        committed = end

    straight = in_one_batch(log)
    assert straight.said == delivery.said
    for name, movie in straight.movies().items():
        assert {**movie, "version": 0} == {**delivery.movies()[name], "version": 0}


@settings(max_examples=150, deadline=None)
@given(log=logs())
def test_counts_are_those_of_a_plain_recomputation(log: list[Event]) -> None:
    straight = in_one_batch(log)

    distinct = {event.data.origin: event.key for event in log}
    counts = Counter(distinct.values())
    assert counts == {name: movie["views"] for name, movie in straight.movies().items()}
    types = Counter(event.type for event in straight.said.values())
    assert len(distinct) == types["UserActed"] == types["MovieViewTracked"]
    reached = sum(is_milestone(n) for views in counts.values() for n in range(1, views + 1))
    assert reached == types["MovieMilestoneReached"]


@settings(max_examples=100, deadline=None)
@given(log=logs())
def test_everything_said_again_from_the_start_is_the_same(log: list[Event]) -> None:
    delivery = in_one_batch(log)
    before = delivery.movies()

    delivery.batch(log)

    assert before == delivery.movies()
