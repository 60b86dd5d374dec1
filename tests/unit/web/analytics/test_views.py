"""`/analytics`, `/windows` and `/top` over all partitions, and what happens when some are away."""

from datetime import timedelta
from typing import Any

import pytest

from app.events import Item
from tests.unit.web.analytics.conftest import (
    NOON,
    PARTITIONS,
    Cluster,
    cancelled,
    confirmed,
    placed,
)

ALL = {"covered": PARTITIONS, "total": PARTITIONS}
MEMBERS = ("start", "key", "orders", "confirmed", "cancelled", "revenue")


async def fill(cluster: Cluster) -> None:
    """Ten orders over two hours and all partitions: 7 confirmed, 2 cancelled, 1 under way."""
    for n in range(10):
        country = "France" if n % 3 else "Spain"
        events: list[Any] = [placed(n, n * 10, country=country)]
        if n in (3, 4):
            events.append(cancelled(n, n * 10, country=country))
        elif n != 9:
            events.append(confirmed(n, n * 10, country=country))
        await cluster.hear(n % PARTITIONS, *events, arrived=n * 10)
    cluster.clock[0] = NOON + timedelta(minutes=90)


def rows(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [tuple(each.get(name) for name in MEMBERS) for each in document["windows"]]


async def test_the_summary_is_the_sum_over_all_partitions(cluster: Cluster) -> None:
    await fill(cluster)

    expected = {
        "revenue": 17.5,
        "orders": 10,
        "confirmed": 7,
        "cancelled": 2,
        "successRate": 7 / 9,
        "units": 14,
        # The newest five minutes have one order.
        "ordersPerMinute": 0.2,
        "cancelledBy": {"OUT_OF_STOCK": 2},
        "sagaSeconds": {"p50": 0.0, "p99": 0.0},
        "customers": 5,
        "lateEvents": {},
        "at": "2026-03-01T13:30:00.000Z",
        "partitions": ALL,
    }
    found = await cluster.get("/analytics")
    assert found.pop("customersError") < 0.001
    assert expected == found
    assert [(1, 3)] == sorted({tuple(each) for each in cluster.asked})


async def test_where_nothing_was_heard_there_is_nothing_and_no_rate(cluster: Cluster) -> None:
    found = await cluster.get("/analytics")

    assert (0, 0.0, None, 0.0, None) == tuple(
        found[name] for name in ("orders", "revenue", "successRate", "ordersPerMinute", "at")
    )
    assert {"p50": None, "p99": None} == found["sagaSeconds"]
    assert (await cluster.get("/analytics/top"))["window"] is None
    assert [] == (await cluster.get("/analytics/windows?size=60"))["windows"]


async def test_orders_per_minute_fall_to_zero_when_orders_stop(cluster: Cluster) -> None:
    await fill(cluster)
    rates = []
    for minutes in (0, 4, 5):
        cluster.clock[0] = NOON + timedelta(minutes=90 + minutes)
        rates.append((await cluster.get("/analytics"))["ordersPerMinute"])
    assert [0.2, 0.2, 0.0] == rates


async def test_an_order_of_the_future_does_not_stop_the_count_of_those_of_now(
    cluster: Cluster,
) -> None:
    await cluster.hear(0, placed(1, 50), confirmed(1, 50))
    for minutes in (10, 30):
        cluster.clock[0] = NOON + timedelta(minutes=minutes)
        events = [placed(minutes * 10 + n, minutes) for n in range(5)]
        await cluster.hear(1, *events, arrived=minutes)

        found = await cluster.get("/analytics")

        assert 1.0 == found["ordersPerMinute"]
        assert f"2026-03-01T12:{minutes}:00.000Z" == found["at"]


async def test_windows_are_told_by_country_in_order(cluster: Cluster) -> None:
    await fill(cluster)

    found = await cluster.get("/analytics/windows?size=3600&by=country&from=2026-03-01T12:00:00Z")

    assert [
        ("2026-03-01T12:00:00Z", "France", 4, 3, 1, 7.5),
        ("2026-03-01T12:00:00Z", "Spain", 2, 1, 1, 2.5),
        ("2026-03-01T13:00:00Z", "France", 2, 2, 0, 5.0),
        ("2026-03-01T13:00:00Z", "Spain", 2, 1, 0, 2.5),
    ] == rows(found)
    assert ALL == found["partitions"]
    assert "next" not in found
    one = found["windows"][1]
    assert ("2026-03-01T13:00:00Z", 0.5, 2, False) == tuple(
        one[name] for name in ("end", "successRate", "units", "final")
    )


async def test_windows_of_all_tell_what_is_only_kept_of_all(cluster: Cluster) -> None:
    await fill(cluster)

    (day,) = (await cluster.get("/analytics/windows?size=86400"))["windows"]

    assert ({"OUT_OF_STOCK": 2}, 5, 10) == (day["cancelledBy"], day["customers"], day["orders"])
    assert "key" not in day


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01T13:00:00Z", "2026-03-01T14:00:00Z"),
        ("2026-03-01T14:00:00%2B01:00", "2026-03-01T15:00:00+01:00"),
        ("2026-03-01T13:00", "2026-03-01 14:00:00"),
        ("1772370000", "1772373600.0"),
        ("2026-03-01T12:00:00.5Z", "2026-03-02"),
    ],
)
async def test_times_are_iso_8601_or_seconds(cluster: Cluster, start: str, end: str) -> None:
    await fill(cluster)

    found = await cluster.get(f"/analytics/windows?size=3600&from={start}&to={end}")

    assert ["2026-03-01T13:00:00Z"] == [each["start"] for each in found["windows"]]


async def test_an_answer_that_is_cut_says_where_to_go_on(cluster: Cluster) -> None:
    await fill(cluster)
    path = "/analytics/windows?size=60&limit=4"

    first = await cluster.get(f"{path}&from=0")
    assert "2026-03-01T12:40:00Z" == first["next"]
    second = await cluster.get(f"{path}&from={first['next']}")
    newest = await cluster.get(path)
    before = await cluster.get(f"{path}&to={newest['previous']}")

    starts = [[each["start"][11:16] for each in page["windows"]] for page in (first, second)]
    assert [["12:00", "12:10", "12:20", "12:30"], ["12:40", "12:50", "13:00", "13:10"]] == starts
    assert ["13:00", "13:10", "13:20", "13:30"] == [e["start"][11:16] for e in newest["windows"]]
    assert ["12:20", "12:30", "12:40", "12:50"] == [e["start"][11:16] for e in before["windows"]]


async def test_a_window_larger_than_an_answer_is_cut_at_a_key_that_is_named(
    cluster: Cluster,
) -> None:
    await fill(cluster)
    path = "/analytics/windows?size=3600&by=country&limit=1"

    first = await cluster.get(f"{path}&from=0")
    assert ("2026-03-01T12:00:00Z", "Spain") == (first["next"], first["nextKey"])
    second = await cluster.get(f"{path}&from={first['next']}&fromKey={first['nextKey']}")
    assert ["France", "Spain"] == [page["windows"][0]["key"] for page in (first, second)]
    assert "2026-03-01T13:00:00Z" == second["next"]
    newest = await cluster.get(path)
    assert [("2026-03-01T13:00:00Z", "France")] == [row[:2] for row in rows(newest)]
    assert ("Spain", "2026-03-01T13:00:00Z") == (newest["nextKey"], newest["previous"])


async def test_hopping_windows_are_sums_of_minutes(cluster: Cluster) -> None:
    await fill(cluster)

    found = await cluster.get(
        "/analytics/windows?size=300&hop=60&from=2026-03-01T12:06:00Z&to=2026-03-01T12:12:00Z"
    )

    told = [(each["start"][11:16], each["orders"]) for each in found["windows"]]
    assert [(f"12:{n:02d}", 1) for n in range(6, 11)] == told
    assert 0.2 == found["windows"][0]["ordersPerMinute"]
    assert 300 == (await cluster.get("/analytics/windows?hop=60&size="))["size"]


async def test_a_window_is_final_once_every_busy_partition_is_past_its_grace(
    cluster: Cluster,
) -> None:
    async def final() -> list[bool]:
        found = await cluster.get("/analytics/windows?size=3600")
        return [each["final"] for each in found["windows"]]

    await cluster.hear(0, confirmed(1, 0))
    await cluster.hear(1, confirmed(2, 0))
    # Two hours later: an hour of grace after the end of the first.
    await cluster.hear(0, confirmed(3, 120), arrived=120)
    cluster.clock[0] = NOON + timedelta(minutes=120)
    assert [True, False] == await final(), "the other partition is idle"
    await cluster.hear(1, confirmed(4, 1), arrived=120)
    assert [False, False] == await final(), "the other partition may bring more"
    cluster.clock[0] = NOON + timedelta(minutes=121)
    assert [True, False] == await final(), "all are idle"
    cluster.away.add("http://127.0.0.1:6067")
    partial = await cluster.get("/analytics/windows?size=3600&allow=partial")
    assert [False, False] == [each["final"] for each in partial["windows"]]


async def test_no_window_is_final_while_a_partition_has_a_backlog(cluster: Cluster) -> None:
    """Its last record may be as old as that of one that has heard nothing: it catches up."""

    async def final() -> list[bool]:
        found = await cluster.get("/analytics/windows?size=3600")
        return [each["final"] for each in found["windows"]]

    await cluster.hear(0, confirmed(1, 0), confirmed(2, 300), arrived=300)
    await cluster.hear(1, confirmed(3, 0))
    cluster.clock[0] = NOON + timedelta(minutes=600)
    cluster.other.lagging = {1}
    assert [False, False] == await final(), "the other has counted its first order alone"
    cluster.own.lagging, cluster.other.lagging = {2}, set()
    assert [False, False] == await final(), "one has counted nothing of what it holds"
    cluster.own.lagging = set()
    assert [True, False] == await final(), "all are idle, and there is no more"


async def test_top_products_are_those_of_the_window_ties_by_id(cluster: Cluster) -> None:
    for n, (product, quantity, price) in enumerate(
        [("b", 1, 4.0), ("a", 2, 2.0), ("c", 3, 1.0), ("d", 9, 0.0), ("a", 1, 2.0), ("b", 1, 2.0)]
    ):
        items = (Item(product_id=product, quantity=quantity, price=price),)
        await cluster.hear(n % PARTITIONS, confirmed(n, items=items, total=quantity * price))
    await cluster.hear(0, confirmed(9, -60), cancelled(10))

    async def top(query: str) -> list[tuple[Any, ...]]:
        found = await cluster.get(f"/analytics/top?{query}")
        return [(each["productId"], each["revenue"]) for each in found["products"]]

    assert [("a", 6.0), ("b", 6.0), ("c", 3.0)] == await top("size=3600&at=2026-03-01T12:59:59Z")
    assert ["d", "a", "c", "b"] == [p for p, _ in await top("metric=quantity")][:4]
    assert [("a", 6.0)] == await top("n=1")
    earlier = (NOON - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert [("cup", 2.5)] == await top(f"size=3600&at={earlier}")
    assert [] == await top("at=2020-01-01")


X = Item(product_id="x", quantity=1, price=2.5)


async def test_the_newest_window_is_one_that_has_begun(cluster: Cluster) -> None:
    far = NOON.replace(year=2199)
    await cluster.hear(0, confirmed(1, placed_at=far, items=(X,)))
    found = await cluster.get("/analytics/top")
    assert ("2199-03-01T00:00:00Z", ["x"]) == named(found), "there is no other"

    await cluster.hear(1, confirmed(2, 10), arrived=10)
    cluster.clock[0] = NOON - timedelta(days=1)

    # By the newest event, where the wall clock is behind.
    assert ("2026-03-01T00:00:00Z", ["cup"]) == named(await cluster.get("/analytics/top"))
    cluster.clock[0] = NOON + timedelta(days=1)
    assert ("2026-03-01T00:00:00Z", ["cup"]) == named(await cluster.get("/analytics/top"))


def named(top: dict[str, Any]) -> tuple[str, list[str]]:
    return top["window"]["start"], [each["productId"] for each in top["products"]]


@pytest.mark.parametrize(
    "path", ["/analytics", "/analytics/windows?size=60&by=product", "/analytics/top"]
)
async def test_missing_partitions_are_503_or_marked(cluster: Cluster, path: str) -> None:
    await fill(cluster)
    cluster.away.add("http://127.0.0.1:6067")

    answer = await cluster.client.get(path)
    problem = await answer.json(content_type=None)
    joint = "&" if "?" in path else "?"
    partial = await cluster.get(f"{path}{joint}allow=partial")

    assert (503, "1") == (answer.status, answer.headers["Retry-After"])
    assert "urn:orderflow:problem:partitions-missing" == problem["type"]
    some = {"covered": 2, "total": PARTITIONS}
    assert some == problem["partitions"]
    assert (some, True) == (partial["partitions"], partial["partial"])


async def test_where_no_partition_answers_even_a_partial_answer_is_503(cluster: Cluster) -> None:
    cluster.away |= {"http://127.0.0.1:6066", "http://127.0.0.1:6067"}

    await cluster.get("/analytics?allow=partial", 503)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("windows?size=61", "size"),
        ("windows?size=abc", "size"),
        ("windows?by=movie", "by"),
        ("windows?limit=0", "limit"),
        ("windows?limit=10001", "limit"),
        ("windows?from=yesterday", "from"),
        ("windows?from=2026-02-30", "from"),
        ("windows?to=99999999999", "to"),
        ("windows?from=2026-03-02&to=2026-03-01", "from"),
        ("windows?fromKey=x", "fromKey"),
        ("windows?hop=30", "hop"),
        ("windows?hop=60&size=90", "size"),
        ("windows?hop=60&size=3600", "size"),
        ("windows?hop=60&by=country", "by"),
        ("windows?allow=all", "allow"),
        ("top?metric=orders", "metric"),
        ("top?n=1001", "n"),
        ("top?size=7", "size"),
        ("top?at=noon", "at"),
    ],
)
async def test_a_parameter_that_can_not_be_used_is_named(
    cluster: Cluster, query: str, field: str
) -> None:
    problem = await cluster.get(f"/analytics/{query}", 422)

    assert [field] == [error["field"] for error in problem["errors"]]


async def test_a_time_at_the_end_of_all_dates_breaks_no_answer(cluster: Cluster) -> None:
    last = NOON.replace(year=9999, month=12, day=31)
    await cluster.hear(0, confirmed(1, placed_at=last))

    (day,) = (await cluster.get("/analytics/windows?size=86400"))["windows"]

    assert ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59Z") == (day["start"], day["end"])
    assert 1 == (await cluster.get("/analytics"))["confirmed"]
    assert 1 == len((await cluster.get("/analytics/top"))["products"])


async def test_late_events_are_told_by_the_size_of_window(cluster: Cluster) -> None:
    await cluster.hear(0, confirmed(1, 0), confirmed(2, 180), confirmed(3, 0), arrived=180)

    found = await cluster.get("/analytics")

    assert ({"60": 1, "3600": 1}, 3) == (found["lateEvents"], found["confirmed"])


async def test_orders_of_past_years_stay_beside_one_of_today_and_a_half_sum_is_never_shown(
    cluster: Cluster,
) -> None:
    """Partitions delete their minutes (kept for 800 days) each at its own time."""
    years_ago = -3 * 366 * 24 * 60
    for n in range(PARTITIONS):
        await cluster.hear(n, confirmed(n, years_ago), confirmed(n + 10, years_ago))
    hours = "/analytics/windows?size=3600&from=2010-01-01"
    minutes = "/analytics/windows?size=60&from=2010-01-01"
    assert [8] == [each["orders"] for each in (await cluster.get(minutes))["windows"]]

    await cluster.hear(0, confirmed(99))

    assert [8, 1] == [each["orders"] for each in (await cluster.get(hours))["windows"]]
    for query in (minutes, minutes + "&limit=1", "/analytics/windows?size=60&limit=1"):
        found = await cluster.get(query)
        assert [1] == [each["orders"] for each in found["windows"]]
        assert not {"next", "previous"} & found.keys()
    hopping = await cluster.get("/analytics/windows?hop=60&size=120&from=2010-01-01")
    assert [1, 1] == [each["orders"] for each in hopping["windows"]]
