"""A poisoned record, from the fault to the order's one end: over HTTP and on the command line.

One worker with every service, a gateway, and a real mail server.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiokafka import TopicPartition

from app.streaming.dead_letters import DeadLetter
from app.topics import GROUP_PREFIX, ORDER
from infra.local.testing import LocalServers
from tests.faults import break_product, mend_product, send_nonsense
from tests.groups import description
from tests.integration.notifications.mail import MailServer
from tests.kafka import end_offsets, eventually, producing, read_all
from tests.shop import GROUPS, Shop, order, post_all

SECONDS = 90.0
HEARING_ORDERS = [group for group, topics in GROUPS.items() if ORDER.name in topics]


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, mail: MailServer) -> Iterator[Shop]:
    with LocalServers(tmp_path_factory.mktemp("letters")) as servers:
        shop = Shop(servers, env={"SMTP_URL": mail.url, "SMTP_FROM": "Shop <shop@shop.example>"})
        try:
            shop.start("worker-1")
            yield shop
        finally:
            shop.stop()


async def get(shop: Shop, path: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(shop.url + path) as answer:
        found: dict[str, Any] = await answer.json()
        assert 200 == answer.status, found
        return found


async def act(shop: Shop, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(shop.url + path, json=body) as answer,
    ):
        done: dict[str, Any] = await answer.json()
        assert 200 == answer.status, done
        return done


async def open_letters(shop: Shop, count: int, **by: str) -> list[dict[str, Any]]:
    """The open letters with these members, once there are so many."""

    async def found() -> list[dict[str, Any]] | None:
        letters = (await get(shop, "/dlq?state=open&limit=200"))["deadLetters"]
        those = [one for one in letters if all(one.get(k) == v for k, v in by.items())]
        return those if len(those) == count else None

    letters: list[dict[str, Any]] = await eventually(found, SECONDS, f"{count} letters of {by}")
    return letters


async def events_of(shop: Shop, order_id: str) -> Counter[str]:
    """How often each event of an order is in the topics."""
    topics = ("order.events.v1", "inventory.events.v1", "payment.events.v1")
    return Counter(
        dict(record.headers)["ce_type"].decode()
        for record in await read_all(shop.servers.kafka, *topics)
        if record.key == order_id.encode()
    )


async def test_a_poisoned_record_waits_as_a_dead_letter_and_its_order_ends_once_when_replayed(
    shop: Shop, mail: MailServer
) -> None:
    await shop.stock({"pot": 100, "pan": 100})
    with shop.database() as database:
        await break_product(database, "pot")
        order_id, cancelled_id = await post_all(shop.url, [order(("pot", n)) for n in (2, 1)])
        others = await post_all(shop.url, [order(("pan", 1))] * 20)
        ends = await shop.all_end(others, SECONDS)
        assert {("CONFIRMED", None)} == set(ends.values()), "all other orders go on"

        (letter,) = await open_letters(shop, 1, orderId=order_id)
        assert ("unprocessable", "orders-inventory") == (letter["reason"], letter["group"])
        assert "OrderPlaced" == letter["headers"]["ce_type"]
        assert order_id == letter["value"]["orderId"]
        assert "PENDING" == (await get(shop, f"/orders/{order_id}"))["status"]

        in_vain = await act(shop, f"/dlq/{letter['topic']}/replay", {"ids": [letter["id"]]})
        assert (1, [letter["id"]]) == (in_vain["replayed"], in_vain["ids"])
        (again,) = await open_letters(shop, 1, orderId=order_id)
        assert (1, True) == (again["replays"], again["id"] != letter["id"])

        (left,) = await open_letters(shop, 1, orderId=cancelled_id)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{shop.url}/orders/{cancelled_id}/cancel") as answer,
        ):
            assert 202 == answer.status
        cancelled = {cancelled_id: ("CANCELLED", "CANCELLED_BY_USER")}
        assert cancelled == await shop.all_end([cancelled_id], SECONDS)
        await mend_product(database, "pot")
    done = json.loads(
        shop.command("dlq", "replay", "--reason", "unprocessable", "--yes", "--json").stdout
    )
    assert {again["id"], left["id"]} == set(done["ids"])
    assert {order_id: ("CONFIRMED", None)} == await shop.all_end([order_id], SECONDS)
    await shop.books_balance()
    assert cancelled == await shop.statuses([cancelled_id]), "what was cancelled stays so"

    # By now the event was there three times, and each group of its topic has heard it as often.
    events = await events_of(shop, order_id)
    assert 3 == events["OrderPlaced"]
    assert 1 == events["PaymentProcessed"] == events["OrderConfirmed"]
    with shop.database() as database:
        audited = [entry["type"] async for entry in database.audit.find({"orderId": order_id})]
    assert {*events, "NotificationSent"} == set(audited)
    assert len(set(audited)) == len(audited), "each event is in the audit once"
    assert {1} == set(mail.counts().values())
    assert 22 == len(mail.taken)


async def test_what_was_processed_already_changes_nothing_when_it_is_replayed_to_all_groups(
    shop: Shop, mail: MailServer
) -> None:
    await shop.stock({"cup": 100})
    (order_id,) = await post_all(shop.url, [order(("cup", 1))])
    await shop.all_end([order_id], SECONDS)
    await shop.at_rest()
    sent = mail.counts()
    records = await read_all(shop.servers.kafka, ORDER.name)
    of_order = [record for record in records if record.key == order_id.encode()]
    letters = [DeadLetter(r, "unprocessable", "a test", "orders-audit").out() for r in of_order]
    async with producing(shop.servers.kafka) as producer:
        for each in letters:
            await producer.send_and_wait(
                each.topic, each.value, each.key, each.partition, None, each.headers
            )

    found = await open_letters(shop, len(letters), orderId=order_id)
    done = await act(
        shop, "/dlq/order.events.v1.dlq/replay", {"ids": [each["id"] for each in found]}
    )

    assert len(letters) == done["replayed"]
    await shop.books_balance()
    again = await read_all(shop.servers.kafka, ORDER.name)
    # Whoever did its step before says so again, in the same words.
    said = Counter((r.value, r.headers) for r in again if r.key == order_id.encode())
    assert {(r.value, r.headers) for r in of_order} == set(said)
    assert min(said.values()) >= 2
    assert sent == mail.counts(), "no mail goes out twice"
    summary = await get(shop, "/analytics")
    assert summary["orders"] == len(mail.taken)


async def test_nonsense_is_given_up_by_each_group_and_discarded_on_the_command_line(
    shop: Shop,
) -> None:
    key = await send_nonsense(shop.servers.kafka, ORDER.name, 3)
    letters = await open_letters(shop, len(HEARING_ORDERS), key=key)
    assert set(HEARING_ORDERS) == {letter["group"] for letter in letters}
    assert {"not an order"} == {letter["value"]["text"] for letter in letters}

    shown = shop.command("dlq", "show", letters[0]["id"], "--json").stdout
    assert letters[0] == json.loads(shown)
    done = shop.command("dlq", "discard", "--since", "10m", "--all", "--why", "a test", "--yes")
    assert f"{len(letters)} of {len(letters)} discarded." in done.stdout

    page = await get(shop, "/dlq?topic=order.events.v1&state=discarded")
    assert {"a test"} == {letter["why"] for letter in page["deadLetters"]}
    assert all(letter["handledBy"].startswith("cli:") for letter in page["deadLetters"])
    assert 0 == page["counts"][0]["open"]


async def test_groups_and_topics_are_told_as_kafkas_own_tool_tells_them(shop: Shop) -> None:
    await shop.at_rest()
    told = {group["group"]: group for group in (await get(shop, "/groups"))["groups"]}

    assert set(GROUPS) == set(told)
    assert {0} == {group["lag"] for group in told.values()}
    rows = await asyncio.to_thread(description, shop, f"{GROUP_PREFIX}payment")
    payment = told[f"{GROUP_PREFIX}payment"]
    assert {
        TopicPartition(row["TOPIC"], int(row["PARTITION"])): row["CURRENT-OFFSET"] for row in rows
    } == {
        TopicPartition(each["topic"], each["partition"]): str(each["committed"])
        if each["committed"] is not None
        else "-"
        for each in payment["partitions"]
    }
    (member,) = payment["members"]
    assert len(rows) == len(member["partitions"])
    topics = {topic["name"]: topic for topic in (await get(shop, "/topics"))["topics"]}
    ends = await end_offsets(shop.servers.kafka, ORDER.name)
    assert {tp.partition: end for tp, end in ends.items()} == {
        each["partition"]: each["end"] for each in topics[ORDER.name]["partitions"]
    }
    newest = await get(shop, f"/topics/{ORDER.name}/messages?limit=1")
    (message,) = newest["messages"]
    page = await get(
        shop,
        f"/topics/{ORDER.name}/messages?partition={message['partition']}"
        f"&offset={message['offset']}",
    )
    assert message == page["messages"][0]
