"""The operator's views, where Kafka can't be reached and where what is asked for can't be."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from infra.local.ports import free_ports
from tests.unit.web.conftest import SETTINGS, World, made_of

IDS = {"ids": ["order.events.v1.dlq-2-15"]}


@pytest.fixture
async def alone() -> AsyncIterator[World]:
    """A worker whose Kafka is away."""
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    async with made_of(SETTINGS.model_copy(update={"kafka_bootstrap_servers": nowhere})) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/topics", None),
        ("GET", "/topics/order.events.v1/messages", None),
        ("GET", "/groups", None),
        ("GET", "/dlq", None),
        ("POST", "/dlq/order.events.v1/replay", {}),
        ("POST", "/dlq/order.events.v1.dlq/replay", IDS),
        ("POST", "/dlq/order.events.v1/discard", {**IDS, "why": "sent by mistake"}),
    ],
)
async def test_without_kafka_all_are_unavailable_for_now(
    alone: World, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = await alone.client.request(method, path, json=body)

    assert (503, "5") == (answer.status, answer.headers["Retry-After"])
    assert "Kafka" in (await answer.json())["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/topics/no-such-topic/messages", None, 404),
        ("GET", "/topics/__consumer_offsets/messages", None, 404),
        ("GET", "/topics/order.events.v1/messages?partition=-1", None, 422),
        ("GET", "/topics/order.events.v1/messages?partition=x", None, 422),
        ("GET", "/topics/order.events.v1/messages?offset=1e3", None, 422),
        ("GET", "/topics/order.events.v1/messages?offset=9999999999999999999", None, 422),
        ("GET", "/topics/order.events.v1/messages?limit=201", None, 422),
        ("GET", "/dlq?topic=no-such-topic", None, 404),
        ("GET", "/dlq?state=unknown", None, 422),
        ("GET", "/dlq?cursor=x", None, 400),
        ("POST", "/dlq/no-such-topic/replay", {}, 404),
        ("POST", "/dlq/orders-analytics-order-windows-changelog/replay", {}, 404),
        ("POST", "/dlq/order.events.v1/replay", {"ids": []}, 422),
        ("POST", "/dlq/order.events.v1/replay", {"ids": [1]}, 422),
        ("POST", "/dlq/order.events.v1/replay", {"all": True}, 422),
        ("POST", "/dlq/order.events.v1/discard", {"why": "\n"}, 422),
    ],
)
async def test_what_can_not_be_is_refused_before_kafka_is_asked(
    alone: World, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    answer = await alone.client.request(method, path, json=body)

    assert status == answer.status
