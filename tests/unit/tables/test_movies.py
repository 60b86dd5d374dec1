"""Views of movies and actions of users, in windows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.agents.analytics import AnalyticsService, TopicFold, happenings
from app.codec import UndecodableError
from app.events import MovieViewed, UserActed
from app.tables import keys
from app.tables.folding import Plan
from app.tables.keys import By
from app.tables.ledger import Progress
from app.tables.movies import (
    ACTION_DIMENSIONS,
    VIEW_DIMENSIONS,
    decode_action,
    decode_view,
)
from app.tables.tally import Views
from app.topics import ACTION_WINDOWS, MOVIE_VIEWS, USER_ACTIONS, VIEW_WINDOWS
from tests.tables import MemoryTable, record

HOUR = 3600
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = int(NOON.timestamp())
RETENTION = {60: 4 * HOUR, HOUR: 8 * HOUR}


def view_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def viewed(number: int, movie: str = "alien", minutes: float = 0, user: str = "ann") -> MovieViewed:
    return MovieViewed(
        view_id=view_id(number),
        movie_id=movie,
        user_id=user,
        viewed_at=NOON + timedelta(minutes=minutes),
    )


async def hear(fold: TopicFold, chunks: list[list[Any]]) -> MemoryTable:
    table = MemoryTable()
    service = AnalyticsService([fold])
    service.tables[fold.spec.source.name] = table
    offset = 0
    for chunk in chunks:
        batch = []
        for event in chunk:
            arrived = round(NOON.timestamp() * 1000)
            batch.append(service.decode(record(event, offset, arrived=arrived)))
            offset += 1
        await service.handle(batch)
    return table


def views(chunks: list[list[Any]]) -> Any:
    plan = Plan(RETENTION, VIEW_DIMENSIONS, HOUR, HOUR, 1000)
    return hear(happenings(VIEW_WINDOWS, plan, decode_view), chunks)


def seen(table: MemoryTable, key: bytes) -> tuple[int, int, int]:
    stored = table.read(0, [key])[0]
    assert stored is not None
    tally = Views.decode(stored)
    return tally.views, tally.late, round(tally.users.get_estimate())


async def test_views_are_counted_by_movie_and_in_all_with_their_users() -> None:
    table = await views([[viewed(1), viewed(2, user="bob")], [viewed(3, "heat", user="bob")]])
    assert (2, 0, 2) == seen(table, keys.window(HOUR, By.MOVIE, START, "alien"))
    assert (1, 0, 1) == seen(table, keys.window(60, By.MOVIE, START, "heat"))
    assert (3, 0, 2) == seen(table, keys.window(HOUR, By.NONE, START))
    assert (3, 0, 2) == seen(table, keys.TOTALS)


async def test_a_view_sent_again_counts_once() -> None:
    table = await views([[viewed(1), viewed(1)], [viewed(1)]])
    assert (1, 0, 1) == seen(table, keys.TOTALS)


async def test_a_view_beyond_the_grace_is_in_the_totals_alone() -> None:
    table = await views([[viewed(1)], [viewed(2, minutes=-61)]])
    assert (2, 1, 1) == seen(table, keys.TOTALS)
    assert [None] == table.read(0, [keys.window(60, By.MOVIE, START - 61 * 60, "alien")])


async def test_a_view_of_the_future_does_not_hold_the_time_of_now() -> None:
    table = await views([[viewed(1, minutes=30)]])
    (stored,) = table.read(0, [keys.PROGRESS])
    assert stored is not None
    progress = Progress.decode(stored)
    assert (START, START + 1800) == (progress.newest // 1000, progress.watermark // 1000)


async def test_actions_are_counted_by_user_and_by_action() -> None:
    acted = [
        UserActed(
            view_id=view_id(n), user_id="ann", action="VIEWED_MOVIE", movie_id="alien", at=NOON
        )
        for n in range(3)
    ]
    plan = Plan(RETENTION, ACTION_DIMENSIONS, HOUR, HOUR, 1000)
    table = await hear(happenings(ACTION_WINDOWS, plan, decode_action), [acted])
    assert (3, 0, 1) == seen(table, keys.window(60, By.USER, START, "ann"))
    assert (3, 0, 1) == seen(table, keys.window(60, By.ACTION, START, "VIEWED_MOVIE"))


def test_what_is_no_view_is_undecodable() -> None:
    with pytest.raises(UndecodableError):
        decode_view(record(viewed(1), 0, value=b"{}"))
    assert USER_ACTIONS.name != MOVIE_VIEWS.name
    with pytest.raises(UndecodableError):
        decode_action(record(viewed(1), 0))
