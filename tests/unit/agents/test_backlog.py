"""Which orders have not ended, as their partitions' owner sees them."""

from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from app.agents.backlog import LOOK_MAX, PENDING, Backlog
from app.agents.partitions import partition_of
from app.events import timestamp
from app.stores.errors import TransientStoreError
from tests.builders import START, TickingClock, order_id
from tests.unit.agents.fakes import resources, run

PARTITIONS = 6
WAITED = 1.0  # the clock ticks once from the order to the look


class Orders:
    """Pending orders, oldest first; or a server that is away."""

    def __init__(self, *numbers: int) -> None:
        self.pending = [order_id(number) for number in numbers]
        self.away = False
        self.limited: list[int] = []

    def __getitem__(self, name: str) -> "Orders":
        return self

    def find(self, query: Any, fields: Any) -> "Orders":
        assert (PENDING, {"acceptedAt": 1}) == (query, fields)
        return self

    def sort(self, field: str, direction: int) -> "Orders":
        assert ("acceptedAt", 1) == (field, direction)
        return self

    async def limit(self, most: int) -> AsyncIterator[dict[str, Any]]:
        self.limited.append(most)
        if self.away:
            raise ServerSelectionTimeoutError
        for each in self.pending:
            yield {"_id": each, "acceptedAt": timestamp(START)}


class World:
    def __init__(self, *numbers: int, owned: Collection[int] = range(PARTITIONS)) -> None:
        self.orders: Any = Orders(*numbers)
        self.told: list[tuple[int, float]] = []
        self.owned = owned
        self.backlog = Backlog(
            resources(self.orders, clock=TickingClock()),
            owned=lambda: self.owned,
            tell=lambda pending, seconds: self.told.append((pending, seconds)),
        )


def test_the_pending_orders_of_the_owned_partitions_are_told_with_the_oldest_ones_age() -> None:
    world = World(*range(100), owned={0, 3})

    run(world.backlog.look())

    ours = sum(partition_of(order_id(n), PARTITIONS) in {0, 3} for n in range(100))
    assert 0 < ours < 100
    assert [(ours, WAITED)] == world.told
    assert [LOOK_MAX] == world.orders.limited


def test_nobody_is_pending_where_nothing_is_owned_or_left() -> None:
    world = World(1)
    run(world.backlog.look(ours=False))
    world.owned = ()
    run(world.backlog.look())
    world.owned = range(PARTITIONS)
    world.orders.pending.clear()
    run(world.backlog.look())

    assert [(0, 0.0)] * 3 == world.told


def test_while_the_database_is_away_the_oldest_goes_on_growing_older() -> None:
    world = World(1)
    run(world.backlog.look())
    world.orders.away = True

    for _ in range(2):
        with pytest.raises(TransientStoreError):
            run(world.backlog.look())

    assert [(1, WAITED), (1, WAITED + 1), (1, WAITED + 2)] == world.told
