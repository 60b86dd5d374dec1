"""One process a service, and a second one of payments: shared out by Kafka, killed one by one."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from app.codec import decode
from app.parts import services_of
from app.topics import BY_NAME
from infra.local.testing import LocalServers, start_worker
from tests.groups import description, shares
from tests.integration.notifications.mail import MailServer
from tests.kafka import PARTITIONS, eventually, read_all
from tests.shop import GROUPS, Shop, order, post_all

# Of the default saga.
SERVICES = services_of()

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]

PROCESSES = {f"{name}-1": name for name in SERVICES} | {"payment-2": "payment", "web-1": "web"}
ROUNDS = 2
ORDERS_A_KILL = 60
ORDERS = ROUNDS * len(SERVICES) * ORDERS_A_KILL
END_SECONDS = 150
REST_SECONDS = 120
# Slow enough that a kill finds messages on their way.
MAIL_SECONDS = 0.02
# What a killed process had sent still arrives; the next one needs longer to start.
DYING_SECONDS = 0.5
SENDER_DOMAIN = "shop.example"


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with MailServer(delay=MAIL_SECONDS) as server:
        yield server


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, mail: MailServer) -> Iterator[Shop]:
    with LocalServers(tmp_path_factory.mktemp("split")) as servers:
        shop = Shop(
            servers,
            env={
                "SMTP_URL": mail.url,
                "SMTP_FROM": f"Shop <shop@{SENDER_DOMAIN}>",
                "PAYMENT_FAILURE_RATE": "0.1",
                "SESSION_TIMEOUT_SECONDS": "6",
            },
        )
        try:
            for name, service in PROCESSES.items():
                env = {**shop.env, "SERVICES": service}
                shop.workers[name] = start_worker(servers, name, env=env, wait=False)
            for worker in shop.workers.values():
                worker.wait_ready()
            shop.start()  # the gateway in front of all of them
            yield shop
        finally:
            shop.stop()


async def log_of(shop: Shop) -> dict[str, list[Any]]:
    """Every record of every topic, by the id of its event, the oldest first."""
    found: dict[str, list[Any]] = defaultdict(list)
    for record in await read_all(shop.servers.kafka, *BY_NAME):
        event = decode(BY_NAME[record.topic], record.key, record.value, record.headers)
        found[event.id].append(record)
    return found


async def everything_is_audited_once(shop: Shop) -> None:
    log = await log_of(shop)
    with shop.database() as database:
        audit = {entry["_id"]: entry async for entry in database.audit.find({})}
    assert log.keys() == audit.keys()
    heard_first = {
        event_id: (records[0].topic, records[0].partition, min(r.offset for r in records))
        for event_id, records in log.items()
    }
    assert heard_first == {
        event_id: (entry["topic"], entry["partition"], entry["offset"])
        for event_id, entry in audit.items()
    }
    types = Counter(entry["type"] for entry in audit.values())
    assert types["NotificationSent"] == types["OrderConfirmed"] + types["OrderCancelled"]


async def every_end_was_mailed(
    shop: Shop, mail: MailServer, ends: dict[str, tuple[str, str | None]], kills: list[float]
) -> int:
    """Each once; or again under the same id, word by word, after a kill. How often that was."""
    with shop.database() as database:
        kept = {n["_id"]: n async for n in database.notifications.find({})}
    expected = {f"{order_id}:{status}" for order_id, (status, _) in ends.items()}
    assert expected <= kept.keys()
    assert {"SENT"} == {kept[key]["status"] for key in expected}
    assert len(expected) == sum(note["orderId"] in ends for note in kept.values())
    taken = defaultdict(list)
    for one in list(mail.taken):
        taken[one.id].append(one)
    ids = {f"<{key.replace(':', '.')}@{SENDER_DOMAIN}>".lower() for key in expected}
    assert ids == {mail_id for mail_id in taken if mail_id.split(".")[0].strip("<") in ends}
    again = [taken[mail_id] for mail_id in ids if len(taken[mail_id]) > 1]
    for copies in again:
        assert 1 == len({copy.content for copy in copies})
        for before, after in pairwise(copies):
            assert any(before.at < kill + DYING_SECONDS < after.at for kill in kills)
    return sum(len(copies) - 1 for copies in again)


async def test_two_processes_of_a_service_share_its_partitions_and_every_group_hears_all(
    shop: Shop, mail: MailServer
) -> None:
    await shop.stock({"book": 1000})
    # A process that has web views alone, and is in no group, takes orders like any other.
    doors = (shop.url, shop.workers["web-1"].url)
    ids = [one for door in doors for one in await post_all(door, [order(("book", 1))] * 30)]
    ends = await shop.all_end(ids, END_SECONDS)
    await shop.at_rest()

    groups = await asyncio.gather(*(asyncio.to_thread(description, shop, g) for g in GROUPS))
    for (group, topics), rows in zip(GROUPS.items(), groups, strict=True):
        service = group.removeprefix("orders-")
        members = [name for name, runs in PROCESSES.items() if runs == service]
        share = {f"{name}-{service}": PARTITIONS // len(members) for name in members}
        assert dict.fromkeys(topics, share) == shares(rows), group
        assert {"0"} >= {row["LAG"] for row in rows if row["LOG-END-OFFSET"] != "0"}, group
    await everything_is_audited_once(shop)
    assert 0 == await every_end_was_mailed(shop, mail, ends, kills=[])


async def test_each_service_killed_twice_under_load_ends_every_order_and_mails_every_end(
    shop: Shop, mail: MailServer
) -> None:
    products = [f"p{n}" for n in range(20)]
    await shop.stock(dict.fromkeys(products, ORDERS // 12))
    bodies = iter(
        [order((products[n % 20], 1), (products[(n + 7) % 20], 1)) for n in range(ORDERS)]
    )
    ids: list[str] = []
    kills: list[float] = []
    for _ in range(ROUNDS):
        for service in SERVICES:
            name = f"{service}-1"
            taken = len(mail.taken)
            load = [next(bodies) for _ in range(ORDERS_A_KILL)]
            posting = asyncio.create_task(post_all(shop.url, load, concurrency=8))
            if service == "notification":
                await eventually(
                    lambda taken=taken: len(mail.taken) > taken + 5,
                    END_SECONDS,
                    "mail goes out",
                    every=0.01,
                )
            else:
                await asyncio.wait([posting], timeout=0.5)
            shop.workers[name].kill9()
            if service == "notification":
                kills.append(time.monotonic())
            shop.restart(name)
            ids += await posting
    ends = await shop.all_end(ids, END_SECONDS)
    assert ORDERS == len(ends)
    assert {None, "OUT_OF_STOCK", "PAYMENT_FAILED"} == {reason for _, reason in ends.values()}
    await shop.at_rest(REST_SECONDS)
    await shop.books_balance()
    await everything_is_audited_once(shop)
    again = await every_end_was_mailed(shop, mail, ends, kills)
    print(f"{ORDERS} orders, {2 * len(SERVICES)} kills, {again} messages sent twice")
