"""Whether the Kafka client still works, where a broker is not needed to show it."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaError

from app.streaming.fetching import require_working

pytestmark = pytest.mark.timeout(60)
REFUSED = "Unexpected error in join group response"


class RefusedCoordinator(GroupCoordinator):  # type: ignore[misc]
    """aiokafka's own, that is refused by its group for no reason that passes."""

    async def ensure_coordinator_known(self) -> None:
        """It is."""

    async def _do_rejoin_group(self, subscription: Any) -> bool:
        raise KafkaError(REFUSED)


class Client(SimpleNamespace):
    """What a coordinator asks of its client before it sends anything."""

    def set_topics(self, topics: Any) -> None:
        """Nobody asks for their metadata."""


@pytest.fixture
async def consumer() -> AsyncIterator[Any]:
    """A client that has not joined yet, and fetches."""
    subscription = SubscriptionState()
    subscription.register_fetch_waiters(set())
    cluster = SimpleNamespace(add_listener=lambda listener: None)
    coordinator = RefusedCoordinator(
        Client(cluster=cluster), subscription, assignors=[], enable_auto_commit=False
    )
    fetching = asyncio.get_running_loop().create_future()
    yield SimpleNamespace(
        _coordinator=coordinator,
        _subscription=subscription,
        _fetcher=SimpleNamespace(error_future=fetching),
    )
    coordinator._coordination_task.cancel()


async def test_a_client_that_waits_and_fetches_works(consumer: Any) -> None:
    await asyncio.sleep(0)
    require_working(consumer)


async def test_what_keeps_a_client_out_of_its_group_for_good_is_said(consumer: Any) -> None:
    consumer._subscription.subscribe({"orders"})
    while consumer._coordinator._pending_exception is None:
        await asyncio.sleep(0)
    with pytest.raises(KafkaError, match=REFUSED):
        require_working(consumer)


async def test_a_client_that_fetches_no_more_says_why(consumer: Any) -> None:
    consumer._fetcher.error_future.set_exception(KafkaError("data retrieval"))
    with pytest.raises(KafkaError, match="data retrieval"):
        require_working(consumer)
