"""Queries over any cells on any partitions, in pages of any size, against plain sums of them."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.tables import keys
from app.tables.keys import By
from app.tables.ledger import NEVER, Progress
from app.tables.merging import merge, page
from app.tables.reading import CELLS_LEAST, Part, Question, Range, answer
from app.tables.tally import Summary, Sums
from app.tables.timing import common_watermark, hopping, stream_time
from app.topics import ORDER_WINDOWS
from app.web.analytics import parts as wire
from app.web.analytics.asking import Windows
from app.web.analytics.gathering import Gathered, Gatherer
from app.web.analytics.orders import OrderAnswers
from app.web.analytics.queries import FIRST, LAST, TableQueries
from tests.tables import MemoryTable

PARTITIONS = 3
SIZE = 60
CELLS = st.dictionaries(
    st.tuples(st.integers(-3, 8).map(lambda n: n * SIZE), st.sampled_from("abcde")),
    st.dictionaries(st.integers(0, PARTITIONS - 1), st.integers(1, 1000), min_size=1),
    max_size=30,
)
LIMITS = st.integers(1, 12)
# From one that cuts after the fewest cells to one that never cuts.
BYTES = st.sampled_from([0, 150, 400, 1 << 20])

Cells = dict[tuple[int, str], dict[int, int]]


def decode(key: bytes, stored: bytes) -> Any:
    return (Summary if key[keys.BY_AT] == By.NONE else Sums).decode(stored)


def table_of(cells: Cells, by: By = By.COUNTRY) -> MemoryTable:
    table = MemoryTable()
    for partition in range(PARTITIONS):
        table.partitions[partition] = {keys.PROGRESS: Progress(1, 2, 3, 4).encode()}
    for (start, key), shares in cells.items():
        for partition, orders in shares.items():
            at = keys.window(SIZE, by, start, key)
            sums = Sums(orders=orders)
            tally = Summary(sums) if by is By.NONE else sums
            table.partitions[partition][at] = tally.encode()
    return table


def queries_over(
    table: MemoryTable,
    most_bytes: int,
    *,
    kept: int = 1 << 40,
    answering: Sequence[int] = range(PARTITIONS),
) -> TableQueries:
    async def gather(name: str, changelog: str, question: Question) -> Gathered:
        ask = partial(answer, table, question=question, most_bytes=most_bytes)
        return Gathered({n: ask(n) for n in answering}, PARTITIONS)

    return TableQueries(ORDER_WINDOWS, decode, gather, lambda: 0, 0, 30.0, {SIZE: kept})


def sums(cells: Cells) -> list[tuple[int, str, int]]:
    return [(*at, sum(shares.values())) for at, shares in sorted(cells.items())]


@given(CELLS, LIMITS, BYTES)
def test_pages_from_the_first_window_on_are_all_cells_once(
    cells: Cells, limit: int, most_bytes: int
) -> None:
    async def walk() -> list[tuple[int, str, int]]:
        queries = queries_over(table_of(cells), most_bytes)
        found: list[tuple[int, str, int]] = []
        position: tuple[int, str] | None = (FIRST, "")
        while position is not None:
            first, key = position
            asked = Range(SIZE, By.COUNTRY, first, LAST, limit, from_key=key)
            one = await queries.windows(asked)
            assert len(one.cells) <= limit
            found += [(start, key, tally.orders) for start, key, tally in one.cells]
            # Only a window that is larger than an answer is cut in two.
            if one.next is not None and one.next[1]:
                assert {one.next[0]} == {start for start, _, _ in one.cells}
            position = one.next
        return found

    assert sums(cells) == asyncio.run(walk())


@given(CELLS, LIMITS, BYTES)
def test_pages_from_the_newest_window_back_are_all_cells_once(
    cells: Cells, limit: int, most_bytes: int
) -> None:
    async def walk() -> list[tuple[int, str, int]]:
        queries = queries_over(table_of(cells), most_bytes)
        found: list[tuple[int, str, int]] = []
        last: int | None = LAST
        while last is not None:
            one = await queries.windows(Range(SIZE, By.COUNTRY, FIRST, last, limit, newest=True))
            rest = one
            shown = list(one.cells)
            while rest.next is not None:
                start, key = rest.next
                asked = Range(SIZE, By.COUNTRY, start, start + 1, limit, from_key=key)
                rest = await queries.windows(asked)
                shown += rest.cells
            found[:0] = [(start, key, tally.orders) for start, key, tally in shown]
            last = one.previous
        return found

    assert sums(cells) == asyncio.run(walk())


@given(
    CELLS,
    LIMITS,
    BYTES,
    st.lists(st.integers(-3, 12), min_size=PARTITIONS, max_size=PARTITIONS),
    st.sets(st.integers(0, PARTITIONS - 1), min_size=1),
)
def test_pages_show_no_window_of_which_some_partition_may_have_deleted_its_part(
    cells: Cells, limit: int, most_bytes: int, reached: list[int], answering: set[int]
) -> None:
    kept = 2 * SIZE
    table = table_of(cells)
    for partition, at in enumerate(reached):
        stored = table.partitions[partition]
        stored[keys.PROGRESS] = Progress(1, at * SIZE * 1000, 3, 4).encode()
        end = keys.window(SIZE, By.COUNTRY, at * SIZE - kept - SIZE)
        for key in [key for key in stored if key[:1] == b"w" and key < end]:
            del stored[key]
    queries = queries_over(table, most_bytes, kept=kept, answering=sorted(answering))
    since = max(reached[n] for n in answering) * SIZE - kept - SIZE
    here = {at: {n: o for n, o in cells[at].items() if n in answering} for at in cells}
    expected = sums({at: o for at, o in here.items() if at[0] >= since and o})

    async def walk() -> list[tuple[int, str, int]]:
        found: list[tuple[int, str, int]] = []
        position: tuple[int, str] | None = (FIRST, "")
        while position is not None:
            first, key = position
            asked = Range(SIZE, By.COUNTRY, first, LAST, limit, from_key=key)
            one = await queries.windows(asked, allow_partial=True)
            assert one.cells or one.next is None, "an empty page in between"
            found += [(start, key, tally.orders) for start, key, tally in one.cells]
            position = one.next
        return found

    async def newest() -> None:
        asked = Range(SIZE, By.COUNTRY, FIRST, LAST, limit, newest=True)
        one = await queries.windows(asked, allow_partial=True)
        assert all(start >= since for start, _, _ in one.cells)
        assert one.previous is None or one.previous > since

    assert expected == asyncio.run(walk())
    asyncio.run(newest())
    for start in {at for at, _ in cells}:
        one = asyncio.run(queries.window(SIZE, By.COUNTRY, start, allow_partial=True))
        told = [(at, key, tally.orders) for at, key, tally in one.cells]
        assert [each for each in expected if each[0] == start] == told


@given(CELLS, st.integers(2, 12), BYTES, st.booleans())
def test_the_first_cells_of_each_partition_are_enough_for_the_first_of_all(
    cells: Cells, limit: int, most_bytes: int, newest: bool
) -> None:
    table = table_of(cells)
    asked = Range(SIZE, By.COUNTRY, FIRST, LAST, limit, newest=newest)
    parts = [answer(table, n, asked, most_bytes=most_bytes) for n in range(PARTITIONS)]
    merged, more = merge(parts, newest=newest)

    ordered = sums(cells)[::-1] if newest else sums(cells)
    found = [(*cell.at, cell.tally(decode).orders) for cell in merged]
    assert ordered[: len(found)] == found
    enough = CELLS_LEAST if most_bytes < 1 << 20 else limit
    assert len(found) >= min(enough, len(ordered))
    assert more or len(ordered) == len(found)
    assert len(page(parts, asked).cells) < limit or not more


@given(CELLS, LIMITS)
def test_a_window_is_all_of_its_keys_however_many_pages_it_takes(
    cells: Cells, most_bytes: int
) -> None:
    queries = queries_over(table_of(cells), most_bytes * 60)
    for start in {at for at, _ in cells}:
        found = asyncio.run(queries.window(SIZE, By.COUNTRY, start))
        told = [(at, key, tally.orders) for at, key, tally in found.cells]
        assert [each for each in sums(cells) if each[0] == start] == told


@given(CELLS, LIMITS, st.integers(1, 5), BYTES)
def test_hopping_windows_in_pages_are_the_sums_of_their_minutes(
    cells: Cells, limit: int, slices: int, most_bytes: int
) -> None:
    minutes: defaultdict[int, int] = defaultdict(int)
    one_key = {(start, ""): shares for (start, _), shares in cells.items()}
    for start, _, orders in sums(one_key):
        minutes[start] += orders
    size = slices * SIZE
    begins = sorted({start - back for start in minutes for back in range(0, size, SIZE)})
    expected = [
        (begin, sum(minutes[at] for at in range(begin, begin + size, SIZE) if at in minutes))
        for begin in begins
        if begin >= 0
    ]
    table = table_of(one_key, By.NONE)
    queries = queries_over(table, max(most_bytes, 3000))

    async def walk() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        first: int | None = 0
        while first is not None:
            asked = Range(size, By.NONE, first, LAST, limit)
            document = await OrderAnswers(queries).windows(Windows(asked, False, hop=SIZE))
            assert len(document["windows"]) <= limit
            found += [(seconds(each["start"]), each["orders"]) for each in document["windows"]]
            first = seconds(document["next"]) if "next" in document else None
        return found

    async def walk_back() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        last: int | None = LAST
        while last is not None:
            asked = Range(size, By.NONE, FIRST, last, limit, newest=True)
            document = await OrderAnswers(queries).windows(Windows(asked, False, hop=SIZE))
            found[:0] = [(seconds(each["start"]), each["orders"]) for each in document["windows"]]
            last = seconds(document["previous"]) if "previous" in document else None
        return found

    assert expected == asyncio.run(walk())
    assert expected == [each for each in asyncio.run(walk_back()) if each[0] >= 0]
    slices_of = {start: Sums(orders=orders) for start, orders in minutes.items()}
    assert expected == [
        (start, each.orders) for start, each in hopping(slices_of, size, SIZE).items() if start >= 0
    ]


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@given(
    st.lists(
        st.builds(
            Part,
            partition=st.integers(0, 99),
            progress=st.builds(
                Progress,
                offset=st.integers(0, 1 << 62),
                watermark=st.integers(NEVER, 1 << 62),
            ),
            cells=st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=200))),
            cut=st.booleans(),
            behind=st.booleans(),
        )
    )
)
def test_parts_travel_unchanged_and_broken_ones_are_told(parts: list[Part]) -> None:
    body = wire.encode(parts)

    assert parts == wire.decode(body)
    if any(part.cells for part in parts):
        try:
            wire.decode(body[:-1])
        except ValueError:
            return
        raise AssertionError("it broke off, and nobody noticed")


@given(
    st.builds(
        Range,
        size=st.integers(1, 86_400),
        by=st.sampled_from(By),
        first=st.integers(FIRST, LAST),
        last=st.integers(FIRST, LAST),
        limit=st.integers(1, 10_000),
        from_key=st.text(max_size=20),
        newest=st.booleans(),
    )
    | st.none(),
    st.lists(st.integers(0, 1000), min_size=1),
)
def test_questions_travel_unchanged(question: Question, partitions: list[int]) -> None:
    assert (partitions, question) == wire.asked(wire.query(question, partitions))


HOLDERS = st.lists(
    st.tuples(st.sampled_from(["http://a", "http://b", "http://own"]), st.booleans()),
    min_size=PARTITIONS,
    max_size=PARTITIONS,
)


@settings(deadline=None)
@given(HOLDERS, HOLDERS, CELLS)
def test_each_partition_is_answered_once_by_its_owner_or_reported_missing(
    first: list[tuple[str, bool]], then: list[tuple[str, bool]], cells: Cells
) -> None:
    """What is said of the owners first may be out of date; the second time it is as it is."""
    table = table_of(cells)
    held = {n for n, (_, recovered) in enumerate(then) if recovered}
    own = {n: url == "http://own" for n, (url, _) in enumerate(then)}
    mine, others = MemoryTable(), []
    mine.partitions = {n: table.partitions[n] for n in held if own[n]}

    async def owners(*, anew: bool = False) -> dict[str, dict[int, str]]:
        said = then if anew else first
        return {"log": {n: url for n, (url, _) in enumerate(said)}}

    async def fetch(url: str, name: str, question: Question, asked: list[int]) -> list[Part]:
        assert url != "http://own"
        others.append(asked)
        return [answer(table, n, question) for n in asked if n in held and then[n][0] == url]

    gather = Gatherer("http://own", {"t": mine}, owners, fetch, PARTITIONS, 5.0)
    gathered = asyncio.run(gather("t", "log", Range(SIZE, By.COUNTRY, FIRST, LAST, 1000)))

    assert held == set(gathered.parts)
    assert (held == set(range(PARTITIONS))) == gathered.complete
    merged, _ = merge(gathered.parts.values(), newest=False)
    only = {at: {n: o for n, o in shares.items() if n in held} for at, shares in cells.items()}
    expected = sums({at: shares for at, shares in only.items() if shares})
    assert expected == [(*cell.at, cell.tally(decode).orders) for cell in merged]


PROGRESS = st.lists(
    st.builds(
        Progress,
        watermark=st.integers(0, 1000),
        newest=st.integers(0, 1000),
        arrived=st.integers(0, 1000),
    )
    | st.just(Progress())
)


@given(PROGRESS, st.integers(0, 2000), st.integers(0, 500), st.data())
def test_the_common_watermark_is_one_that_every_partition_with_more_to_come_has_reached(
    progress: list[Progress], now: int, idle: int, data: st.DataObject
) -> None:
    parts = [Part(n, each, behind=data.draw(st.booleans())) for n, each in enumerate(progress)]
    common = common_watermark(parts, now, idle)

    heard = [each for each in progress if each != Progress()]
    busy = [part.progress for part in parts if part.behind or part.progress.arrived >= now - idle]
    assert all(common <= each.watermark for each in busy)
    assert common in [each.watermark for each in progress] or (common == NEVER and not heard)
    if not busy and heard:
        assert max(each.watermark for each in heard) == common


@given(PROGRESS, st.integers(0, 2000), st.integers(0, 500))
def test_stream_time_is_the_newest_event_and_goes_on_with_the_clock(
    progress: list[Progress], now: int, more: int
) -> None:
    heard = [each for each in progress if each != Progress()]
    at = stream_time(progress, now)
    if not heard:
        assert NEVER == at
        return
    last = max(each.arrived for each in heard)
    assert max(each.newest for each in heard) + max(0, now - last) == at
    assert stream_time(progress, max(now, last)) + more == stream_time(
        progress, max(now, last) + more
    )
