import asyncio
from collections.abc import Collection, Mapping

import pytest

from app.web.batching import BatchedLookup


class Shelf:
    """Answers when told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.queries: list[set[str]] = []
        self.open = asyncio.Event()
        self.asked = asyncio.Event()
        self.error: Exception | None = None

    async def load(self, keys: Collection[str]) -> Mapping[str, str]:
        self.queries.append(set(keys))
        self.asked.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return {key: key.upper() for key in keys if key != "missing"}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


async def test_what_is_wanted_during_a_query_is_in_the_next(shelf: Shelf) -> None:
    lookup = BatchedLookup(shelf.load)
    first = asyncio.create_task(lookup.get("a"))
    await shelf.asked.wait()
    more = [asyncio.create_task(lookup.get(key)) for key in ("a", "b", "b", "missing")]
    await asyncio.sleep(0)
    shelf.open.set()

    assert "A" == await first
    assert ["A", "B", "B", None] == await asyncio.gather(*more)
    assert [{"a"}, {"a", "b", "missing"}] == shelf.queries


async def test_a_fault_is_told_to_all_and_the_next_query_is_tried(shelf: Shelf) -> None:
    lookup = BatchedLookup(shelf.load)
    shelf.open.set()
    shelf.error = ConnectionError("away")

    answers = await asyncio.gather(lookup.get("a"), lookup.get("b"), return_exceptions=True)
    shelf.error = None

    assert [ConnectionError] * 2 == [type(answer) for answer in answers]
    assert "A" == await lookup.get("a")


async def test_one_who_leaves_takes_the_answer_from_nobody(shelf: Shelf) -> None:
    lookup = BatchedLookup(shelf.load)
    leaving, staying = (asyncio.create_task(lookup.get("a")) for _ in range(2))
    await shelf.asked.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    shelf.open.set()

    assert "A" == await staying
