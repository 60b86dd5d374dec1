"""The saga from HTTP to its end, through gateway, two workers, Kafka, MongoDB and Redis."""

import asyncio
import json
import random
import shutil
import subprocess
import sys
import uuid
from collections import Counter

import aiohttp
import pytest

from app.codec import decode
from app.topics import BY_NAME, SPECS
from tests.kafka import eventually, producing, read_all
from tests.shop import GROUPS, Shop, order, post, post_all

pytestmark = pytest.mark.timeout(180)
END_SECONDS = 60


async def test_an_order_is_accepted_confirmed_and_its_stock_and_money_are_accounted_for(
    shop: Shop,
) -> None:
    await shop.stock({"lamp": 10})
    async with aiohttp.ClientSession() as session:
        status, accepted = await post(session, shop.url, order(("lamp", 2), ("lamp", 1)))
        assert (202, "PENDING") == (status, accepted["status"])
        url = f"{shop.url}/orders/{accepted['orderId']}"
        async with session.get(url, headers={"Prefer": "wait=20"}) as answer:
            ended = await answer.json()
        assert "CONFIRMED" == ended["status"]
        assert 3.75 == ended["total"]
        assert ["OrderPlaced", "InventoryReserved", "PaymentProcessed", "OrderConfirmed"] == [
            entry["event"] for entry in ended["history"]
        ]
        assert {"order": ["inventory", "payment"], "step": None, "state": "COMPLETED"} == ended[
            "saga"
        ]
        async with session.get(f"{shop.url}/payments/{accepted['orderId']}") as answer:
            payment = await answer.json()
        assert ("CHARGED", 3.75) == (payment["status"], payment["amount"])

        async def settled() -> bool:
            async with session.get(f"{shop.url}/inventory/lamp") as answer:
                shelf = await answer.json()
            return (7, 0, 3) == (shelf["available"], shelf["reserved"], shelf["sold"])

        await eventually(settled, END_SECONDS, "the lamps are sold")


async def test_an_order_for_an_unknown_product_is_cancelled_and_nothing_is_charged(
    shop: Shop,
) -> None:
    async with aiohttp.ClientSession() as session:
        body = order(("lamp", 1), ("no such thing", 1))
        status, ended = await post(session, shop.url, body, headers={"Prefer": "wait=20"})
        assert (200, "CANCELLED", "UNKNOWN_PRODUCT") == (status, ended["status"], ended["reason"])
        async with session.get(f"{shop.url}/payments/{ended['orderId']}") as answer:
            assert 404 == answer.status


async def test_of_ten_concurrent_orders_for_the_last_item_exactly_one_is_confirmed(
    shop: Shop,
) -> None:
    await shop.stock({"last": 1})
    ids = await post_all(shop.url, [order(("last", 1))] * 10)
    ends = await shop.all_end(ids, END_SECONDS)
    assert Counter({("CONFIRMED", None): 1, ("CANCELLED", "OUT_OF_STOCK"): 9}) == Counter(
        ends.values()
    )
    await shop.at_rest()
    with shop.database() as database:
        stock = await database.stock.find_one({"_id": "last"})
    assert (0, {}, 1) == (stock["available"], stock["holds"], stock["sold"])


async def test_a_thousand_concurrent_orders_never_sell_more_than_there_is(shop: Shop) -> None:
    chance = random.Random(11)
    levels = {f"scarce-{n}": chance.randint(5, 60) for n in range(50)}
    await shop.stock(levels)
    bodies = [
        order(*((p, chance.randint(1, 4)) for p in chance.sample(sorted(levels), 3)))
        for _ in range(1000)
    ]
    ids = await post_all(shop.url, bodies, concurrency=200)
    ends = await shop.all_end(ids, END_SECONDS)
    outcomes = Counter(ends.values())
    assert {("CONFIRMED", None), ("CANCELLED", "OUT_OF_STOCK")} == set(outcomes)
    await shop.at_rest()

    sold: Counter[str] = Counter()
    for order_id, body in zip(ids, bodies, strict=True):
        if ends[order_id][0] == "CONFIRMED":
            sold.update({item["productId"]: item["quantity"] for item in body["items"]})
    with shop.database() as database:
        async for stock in database.stock.find({"_id": {"$in": list(levels)}}):
            product = stock["_id"]
            assert sold[product] == stock["sold"]
            assert levels[product] == stock["available"] + stock["sold"]
            assert {} == stock["holds"]
            assert stock["available"] >= 0


async def test_the_same_post_with_one_key_is_one_order_and_another_body_is_refused(
    shop: Shop,
) -> None:
    await shop.stock({"chair": 100})
    key = uuid.uuid4().hex
    async with aiohttp.ClientSession() as session:
        first = await post(session, shop.url, order(("chair", 1)), key=key)
        again = await post(session, shop.url, order(("chair", 1)), key=key)
        other = await post(session, shop.url, order(("chair", 2)), key=key)
    assert first == again
    assert 422 == other[0]


async def test_events_are_plain_json_with_their_envelope_in_headers_for_kcat(shop: Shop) -> None:
    kcat = shutil.which("kcat")
    assert kcat, "kcat is installed by `make test`"
    await shop.stock({"mug": 5})
    (order_id,) = await post_all(shop.url, [order(("mug", 1))])
    await shop.all_end([order_id], END_SECONDS)
    done = await asyncio.to_thread(
        subprocess.run,
        [kcat, "-b", shop.servers.kafka, "-C", "-e", "-q", "-J", "-t", "order.events.v1"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    mine = [r for r in records if r["key"] == order_id]
    headers = [dict(zip(r["headers"][::2], r["headers"][1::2], strict=True)) for r in mine]
    assert ["OrderPlaced", "OrderConfirmed"] == [h["ce_type"] for h in headers]
    assert [order_id] * 2 == [json.loads(r["payload"])["orderId"] for r in mine]
    assert {"1.0"} == {h["ce_specversion"] for h in headers}
    assert {order_id} == {h["correlationid"] for h in headers}
    assert {"application/json"} == {h["content-type"] for h in headers}
    assert "causationid" not in headers[0]
    assert "causationid" in headers[1]


async def test_a_poison_record_on_each_topic_lands_in_its_dead_letters_and_orders_go_on(
    shop: Shop,
) -> None:
    await shop.stock({"pen": 1000})
    mark = uuid.uuid4().hex.encode()
    async with producing(shop.servers.kafka) as producer:
        for spec in SPECS:
            for partition in range(6):
                await producer.send_and_wait(
                    spec.name,
                    value=b"not JSON " + mark,
                    key=mark,
                    partition=partition,
                    headers=[("ce_type", spec.events[0].__name__.encode())],
                )
    ids = await post_all(shop.url, [order(("pen", 1))] * 60)
    ends = await shop.all_end(ids, END_SECONDS)
    assert {("CONFIRMED", None)} == set(ends.values())
    await shop.at_rest()
    for spec in SPECS:
        letters = [
            r for r in await read_all(shop.servers.kafka, spec.dead_letters) if r.key == mark
        ]
        assert set(range(6)) == {letter.partition for letter in letters}
        readers = {group for group, topics in GROUPS.items() if spec.name in topics}
        for letter in letters:
            headers = {name: text.decode() for name, text in letter.headers}
            assert "undecodable" == headers["dlq-reason"]
            assert "not a valid" in headers["dlq-detail"]
            assert spec.name == headers["dlq-topic"]
            assert headers["dlq-group"] in readers
            assert b"not JSON " + mark == letter.value


async def test_a_duplicate_of_every_event_at_a_new_offset_changes_nothing(shop: Shop) -> None:
    await shop.stock({"cup": 50})
    ids = await post_all(shop.url, [order(("cup", 1))] * 60)
    ends = await shop.all_end(ids, END_SECONDS)
    await shop.at_rest()
    events = [r for r in await read_all(shop.servers.kafka, *BY_NAME) if r.key.decode() in set(ids)]
    ids_before = {decode(BY_NAME[r.topic], r.key, r.value, r.headers).id for r in events}
    async with producing(shop.servers.kafka) as producer:
        for record in events:
            await producer.send(
                record.topic, value=record.value, key=record.key, headers=list(record.headers)
            )
        await producer.flush()
    await shop.at_rest()
    assert ends == await shop.statuses(ids)
    with shop.database() as database:
        stock = await database.stock.find_one({"_id": "cup"})
    assert (0, {}, 50) == (stock["available"], stock["holds"], stock["sold"])
    after = [r for r in await read_all(shop.servers.kafka, *BY_NAME) if r.key.decode() in set(ids)]
    replayed: dict[str, set[bytes]] = {}
    for record in after:
        event = decode(BY_NAME[record.topic], record.key, record.value, record.headers)
        replayed.setdefault(event.id, set()).add(record.value)
    assert ids_before == set(replayed), "the same events"
    assert {1} == {len(values) for values in replayed.values()}, "with the same data"


async def test_kafkas_own_tool_shows_each_group_with_zero_lag_at_rest(shop: Shop) -> None:
    await shop.at_rest()
    for group, topics in GROUPS.items():
        done = await asyncio.to_thread(
            subprocess.run,
            [
                sys.executable,
                "-m",
                "infra.local",
                "kafka-tool",
                "consumer-groups",
                "--bootstrap-server",
                shop.servers.kafka,
                "--describe",
                "--group",
                group,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        rows = [line.split() for line in done.stdout.splitlines() if line.startswith(group)]
        # Of the tables' changelogs nothing is committed.
        rows = [row for row in rows if not row[1].endswith("-changelog")]
        assert {(t, str(p)) for t in topics for p in range(6)} == {(r[1], r[2]) for r in rows}
        assert {"0"} <= {r[5] for r in rows} <= {"0", "-"}
        members = Counter(r[6] for r in rows)
        assert [len(rows) // 2] * 2 == list(members.values()), "two workers share it evenly"


async def test_the_books_balance(shop: Shop) -> None:
    await shop.books_balance()
