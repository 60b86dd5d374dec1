"""Views and movies on a real wire server: each view counts once, whoever writes it."""

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest
from redis.asyncio import Redis

from app.agents.movies import MoviesService
from app.codec import decode
from app.domain.movies import Milestone, Movie
from app.events import Event
from app.resources import Resources
from app.settings import Settings
from app.stores import movies as stores
from app.stores.errors import ConflictError
from app.stores.mongo import Database
from app.stores.repositories import MOVIE_VIEWS, MOVIES
from app.topics import BY_NAME
from tests.builders import view_id, viewed

pytestmark = pytest.mark.timeout(90)

VIEWS = 1200
AWKWARD = ("a.b$c", "Amélie", "x y/z", "$set")


def service(database: Database, redis: Redis) -> MoviesService:
    return MoviesService(Resources(Settings(), database, database, redis))


async def tell(movies: MoviesService, events: list[Event]) -> list[Event]:
    out = await movies.handle(events)
    return [decode(BY_NAME[r.topic], r.key, r.value, r.headers) for r in out]


def log(count: int) -> list[Event]:
    names = ("alien", *AWKWARD)
    return [viewed(names[n % 5], number=n, user=f"u{n % 7}") for n in range(1, count + 1)]


async def counts(database: Database) -> dict[str, int]:
    return {d["_id"]: d["views"] async for d in database[MOVIES].find({})}


async def test_a_movie_and_its_views_are_read_as_they_were_written(
    database: Database, redis: Redis
) -> None:
    precise = datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)
    await tell(service(database, redis), [viewed("$set", number=n, at=precise) for n in (1, 2)])

    movie = await stores.movies(database).get("$set")
    assert Movie("$set", 2, precise, (Milestone(1, view_id(1), precise),)) == movie
    view = await stores.views(database).get(view_id(2))
    assert view is not None
    assert ("$set", "alice", precise, 2) == (
        view.movie_id,
        view.user_id,
        view.viewed_at,
        view.number,
    )


async def test_batches_that_come_again_change_no_count_and_say_the_same(
    database: Database, redis: Redis
) -> None:
    movies, events = service(database, redis), log(VIEWS)
    said = [
        event
        for start in range(0, VIEWS, 500)
        for event in await tell(movies, events[start : start + 500])
    ]
    expected = dict.fromkeys(("alien", *AWKWARD), VIEWS // 5)
    assert expected == await counts(database)

    again = await tell(service(database, redis), events)

    assert said == again
    assert expected == await counts(database)
    assert VIEWS == await database[MOVIE_VIEWS].count_documents({})


async def test_of_two_workers_that_believe_they_own_a_partition_only_one_counts(
    database: Database, redis: Redis
) -> None:
    events = log(200)

    async def insist(movies: MoviesService) -> list[Event]:
        while True:
            try:
                return await tell(movies, events)
            except ConflictError:
                pass

    one, other = await asyncio.gather(*(insist(service(database, redis)) for _ in range(2)))

    assert one == other
    assert dict.fromkeys(("alien", *AWKWARD), 40) == await counts(database)


async def test_movies_are_paged_by_id(database: Database, redis: Redis) -> None:
    await tell(service(database, redis), log(10))

    names = sorted(("alien", *AWKWARD))
    first = await stores.movies_page(database, after=None, limit=3)
    rest = await stores.movies_page(database, after=first[-1].movie_id, limit=3)

    assert names == [movie.movie_id for movie in (*first, *rest)]
    assert {2} == {cast("int", movie.views) for movie in (*first, *rest)}
