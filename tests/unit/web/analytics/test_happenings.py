"""`/movies/top`, `/movies/windows` and what users did, over all partitions."""

from datetime import timedelta
from typing import Any

import pytest

from app.events import MovieViewed, UserActed
from tests.unit.web.analytics.conftest import NOON, OTHER, PARTITIONS, Cluster

ALL = {"covered": PARTITIONS, "total": PARTITIONS}


def view_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def viewed(number: int, movie: str, minutes: float = 0) -> MovieViewed:
    return MovieViewed(
        view_id=view_id(number),
        movie_id=movie,
        user_id=f"user-{number % 2}",
        viewed_at=NOON + timedelta(minutes=minutes),
    )


async def fill(cluster: Cluster) -> None:
    """A movie is in one partition, as its key is."""
    for partition, (movie, count) in enumerate({"alien": 3, "brazil": 5, "cube": 3}.items()):
        views = [viewed(100 * partition + n, movie, n * 20) for n in range(count)]
        await cluster.hear(partition, *views, arrived=90)


async def test_top_movies_are_those_of_the_window_ties_by_id(cluster: Cluster) -> None:
    await fill(cluster)

    found = await cluster.get(f"/movies/top?size=86400&n=2&at={NOON.timestamp():.0f}")

    expected = [
        {"movieId": "brazil", "views": 5, "users": 2},
        {"movieId": "alien", "views": 3, "users": 2},
    ]
    assert expected == found["movies"]
    assert ALL == found["partitions"]
    assert "2026-03-01T00:00:00Z" == found["window"]["start"]


async def test_without_a_time_it_is_the_newest_window_that_counts(cluster: Cluster) -> None:
    await fill(cluster)
    found = await cluster.get("/movies/top?size=3600")
    assert "2026-03-01T13:00:00Z" == found["window"]["start"]
    assert [{"movieId": "brazil", "views": 2, "users": 2}] == found["movies"]


async def test_where_nothing_was_viewed_there_is_no_window(cluster: Cluster) -> None:
    found = await cluster.get("/movies/top")
    assert (None, []) == (found["window"], found["movies"])


async def test_views_are_told_by_window_and_movie(cluster: Cluster) -> None:
    await fill(cluster)
    found = await cluster.get("/movies/windows?size=3600&by=movie&from=2026-03-01T12:00:00Z")
    rows = [(each["start"][11:13], each["movieId"], each["views"]) for each in found["windows"]]
    assert [("12", "alien", 3), ("12", "brazil", 3), ("12", "cube", 3), ("13", "brazil", 2)] == rows

    everything = await cluster.get("/movies/windows?size=86400")
    assert [(11, 2)] == [(each["views"], each["users"]) for each in everything["windows"]]


async def test_actions_are_told_by_user(cluster: Cluster) -> None:
    acted = [
        UserActed(view_id=view_id(n), user_id="ann", action="VIEWED_MOVIE", movie_id="m", at=NOON)
        for n in range(3)
    ]
    await cluster.hear(1, *acted)
    top = await cluster.get("/actions/top?size=60")
    assert [{"userId": "ann", "actions": 3, "users": 1}] == top["users"]
    by_action = await cluster.get("/actions/windows?size=60&by=action")
    assert [("VIEWED_MOVIE", 3)] == [(e["action"], e["actions"]) for e in by_action["windows"]]


@pytest.mark.parametrize("path", ["/movies/top", "/movies/windows", "/actions/windows"])
async def test_missing_partitions_are_503_or_marked(cluster: Cluster, path: str) -> None:
    await fill(cluster)
    cluster.away.add(OTHER)
    await cluster.get(path, status=503)
    found: dict[str, Any] = await cluster.get(f"{path}?allow=partial")
    assert {"covered": PARTITIONS // 2, "total": PARTITIONS} == found["partitions"]


@pytest.mark.parametrize("query", ["size=61", "n=0", "at=noon", "allow=all"])
async def test_a_parameter_that_can_not_be_used_is_named(cluster: Cluster, query: str) -> None:
    problem = await cluster.get(f"/movies/top?{query}", status=422)
    assert query.partition("=")[0] == problem["errors"][0]["field"]
