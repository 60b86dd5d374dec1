"""`/movies`: a view is taken once it is in the log, and once a key."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse

from app.domain.movies import Movie, track
from app.events import MovieViewed
from app.stores.movies import encode_movie, encode_view
from app.stores.repositories import MOVIE_VIEWS, MOVIES
from app.web.viewing import derived_id
from tests.unit.web.conftest import NOW, World

BODY = {"userId": "alice"}


async def view(
    world: World, movie: str = "alien", body: Any = None, **headers: str
) -> ClientResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.client.post(
        f"/movies/{movie}/views", json=BODY if body is None else body, headers=names
    )


def count(world: World) -> Movie:
    """What the movies service does with the last view in the log."""
    event = world.log.events[-1]
    stored = world.database[MOVIES].documents.get(event.key)
    movie = Movie(event.key, views=stored["views"]) if stored else None
    tracking = track(movie, None, event).state
    world.database[MOVIES].put(event.key, **encode_movie(tracking.movie))
    world.database[MOVIE_VIEWS].put(tracking.view.view_id, **encode_view(tracking.view))
    return tracking.movie


async def test_a_view_is_taken_with_an_id_of_its_own_once_it_is_in_the_log(world: World) -> None:
    response = await view(world)

    answer = await response.json()
    (event,) = world.log.events
    assert 202 == response.status
    assert "/movies/alien" == response.headers["Location"]
    assert {
        "movieId": "alien",
        "userId": "alice",
        "viewId": event.data.origin,
        "viewedAt": "2026-01-31T12:00:00.123Z",
    } == answer
    assert MovieViewed(
        view_id=answer["viewId"],
        movie_id="alien",
        user_id="alice",
        viewed_at=datetime.fromisoformat("2026-01-31T12:00:00.123+00:00"),
    ) == (event.data)
    assert ("orderflow/movies", answer["viewId"]) == (event.source, event.correlation_id)


async def test_two_posts_without_a_key_are_two_views(world: World) -> None:
    ids = {(await (await view(world)).json())["viewId"] for _ in range(2)}

    assert 2 == len(ids) == len(world.log.events)


async def test_a_key_makes_two_posts_one_view(world: World) -> None:
    first = await view(world, Idempotency_Key="k")
    again = await view(world, Idempotency_Key="k")

    assert await first.json() == await again.json()
    assert ("true", 1) == (again.headers["Idempotency-Replayed"], len(world.log.events))
    assert derived_id("alien", "alice", "k") == world.log.events[0].data.origin


async def test_a_key_is_its_users_and_its_movies_and_no_orders(world: World) -> None:
    await world.post(Idempotency_Key="k")
    for movie, user in (("alien", "u1"), ("alien", "bob"), ("brazil", "u1")):
        response = await view(world, movie, {"userId": user}, Idempotency_Key="k")
        assert 202 == response.status
        assert "Idempotency-Replayed" not in response.headers

    assert 4 == len({event.data.origin for event in world.log.events})


async def test_a_view_whose_key_redis_has_forgotten_is_the_stored_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await (await view(world, Idempotency_Key="k")).json()
    count(world)
    world.keys.forget_all()
    monkeypatch.setattr("app.web.viewing.milliseconds", lambda at: at + timedelta(hours=1))

    again = await view(world, Idempotency_Key="k")

    assert first == await again.json()
    assert ("true", 1) == (again.headers["Idempotency-Replayed"], len(world.log.events))


async def test_without_redis_and_before_it_is_stored_the_view_has_the_same_id(
    world: World,
) -> None:
    world.redis.down = True
    for _ in range(2):
        assert 202 == (await view(world, Idempotency_Key="k")).status

    first, again = world.log.events
    assert first.id == again.id


@pytest.mark.parametrize("key", [None, "k"])
async def test_without_the_log_no_view_is_taken_and_the_client_is_told_when_to_come_back(
    world: World, key: str | None
) -> None:
    world.log.down = True
    headers = {"Idempotency_Key": key} if key else {}
    for _ in range(2):  # the second one is refused without asking the log
        refused = await view(world, **headers)
        assert 503 == refused.status
        assert "application/problem+json" == refused.content_type
        assert 1 <= int(refused.headers["Retry-After"])
    assert [] == world.log.events


async def test_a_view_that_the_log_did_not_confirm_may_be_posted_again_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.log.down = True
    refused = await (await view(world, Idempotency_Key="k")).json(content_type=None)
    world.log.down = False
    monkeypatch.setattr("app.web.claims.Pause.asked_now", lambda _: True)

    answer = await view(world, Idempotency_Key="k")

    assert 202 == answer.status
    assert refused["viewId"] == (await answer.json())["viewId"]


async def test_a_post_under_way_is_a_conflict(world: World) -> None:
    await world.keys.begin("alien\0alice", "k", "view")

    response = await view(world, Idempotency_Key="k")

    assert (409, "1") == (response.status, response.headers["Retry-After"])
    assert [] == world.log.events


@pytest.mark.parametrize("movie", ["x" * 65, "%20", "%00", "a%0Ab", "top"])
async def test_an_id_that_no_movie_can_have_is_named(world: World, movie: str) -> None:
    response = await view(world, movie)

    assert 422 == response.status
    assert "movieId" == (await response.json(content_type=None))["errors"][0]["field"]
    assert [] == world.log.events


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "userId"),
        ({"userId": ""}, "userId"),
        ({"userId": 7}, "userId"),
        ({"userId": "x" * 129}, "userId"),
        ({"userId": "a\nb"}, "userId"),
        ({"userId": "a", "viewedAt": "2026-01-01T00:00:00Z"}, "viewedAt"),
        ([], "body"),
    ],
)
async def test_what_is_wrong_in_a_body_is_named(world: World, body: Any, field: str) -> None:
    response = await view(world, body=body)

    assert 422 == response.status
    assert field == (await response.json(content_type=None))["errors"][0]["field"]
    assert [] == world.log.events


async def test_a_body_that_is_no_json_or_too_large_is_refused(world: World) -> None:
    for content, status in ((b"{", 400), (b'"' + b"x" * 30_000, 413)):
        response = await world.client.post(
            "/movies/alien/views", data=content, headers={"Content-Type": "application/json"}
        )
        assert status == response.status


@pytest.mark.parametrize("movie", ["alien", "Amélie/é?#", "x" * 64])
async def test_the_location_leads_to_the_movie_as_it_was_counted(world: World, movie: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in movie.encode())
    created = await view(world, quoted)
    count(world)

    found = await world.get(created.headers["Location"])

    view_id = (await created.json())["viewId"]
    at = "2026-01-31T12:00:00.123Z"
    assert (200, movie) == (found.status, (await found.json())["movieId"])
    assert {
        "movieId": movie,
        "views": 1,
        "lastViewedAt": at,
        "milestones": [{"views": 1, "viewId": view_id, "viewedAt": at}],
    } == await found.json()


@pytest.mark.parametrize("movie", ["none", "%00", "x" * 65])
async def test_a_movie_that_was_never_viewed_is_not_found(world: World, movie: str) -> None:
    assert 404 == (await world.get(f"/movies/{movie}")).status


async def test_movies_are_listed_page_by_page(world: World) -> None:
    for movie in ("c", "a", "b"):
        await view(world, movie)
        count(world)

    first = await (await world.get("/movies?limit=2")).json()
    last = await (await world.get(f"/movies?limit=2&cursor={first['nextCursor']}")).json()

    assert ["a", "b"] == [movie["movieId"] for movie in first["movies"]]
    assert (["c"], None) == ([m["movieId"] for m in last["movies"]], last["nextCursor"])
    assert NOW > datetime.fromisoformat(last["movies"][0]["lastViewedAt"])


async def test_without_the_database_views_are_taken_and_movies_are_not_to_be_had(
    world: World,
) -> None:
    world.database.down = True

    assert 202 == (await view(world, Idempotency_Key="k")).status
    assert 503 == (await world.get("/movies/alien")).status
