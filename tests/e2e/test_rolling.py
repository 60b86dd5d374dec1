"""Workers and gateways restarted under load: no client sees an error, and nothing is done twice.

The clients are the worst there can be: they never send anything again.
"""

import asyncio
import os
import re
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from app.codec import decode
from app.topics import BY_NAME
from gateway.upstream import sent_once
from infra.local.nginx import Front
from infra.local.nginx import nginx as nginx_program
from infra.local.ports import LOOPBACK, Port, free_ports
from infra.local.testing import LocalServers, Process, start_gateway
from tests.kafka import eventually, read_all
from tests.shop import GROUPS, ROOT, Shop, order, post_all

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]

WORKERS = ("worker-1", "worker-2")
PRODUCTS = [f"p{n}" for n in range(20)]
UNITS = 100_000
PAYMENT_FAILURE_RATE = 0.1
CLIENTS = 18
# Some 150 requests a second altogether, of which half are posts: the machine may be small.
PAUSE_SECONDS = 0.1
# What is asked for between two restarts.
REQUESTS_BETWEEN = 200
ROUNDS = 2
ANSWER_SECONDS = 30.0
END_SECONDS = 120
TOOL_SECONDS = 60
# Longer than a worker needs to start on a busy machine, and so to be back as the same member.
LONG_SESSION_SECONDS = 60


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with LocalServers(tmp_path_factory.mktemp("rolling")) as servers:
        shop = Shop(
            servers,
            env={
                "PAYMENT_FAILURE_RATE": str(PAYMENT_FAILURE_RATE),
                # Long enough that a stop always finds orders in flight.
                "PAYMENT_DELAY_SECONDS": "0.2",
                "SESSION_TIMEOUT_SECONDS": str(LONG_SESSION_SECONDS),
            },
        )
        try:
            shop.start(*WORKERS)
            yield shop
        finally:
            shop.stop()


@dataclass
class Load:
    """What the clients have seen so far."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    async def more(self) -> None:
        """Wait until the clients have asked for more."""
        enough = self.answers.total() + REQUESTS_BETWEEN
        await eventually(
            lambda: self.errors or self.answers.total() >= enough, END_SECONDS, "clients go on"
        )

    def without_an_error(self) -> None:
        """Every single answer was the one that a client hopes for."""
        assert [] == self.errors
        unhoped = {
            what: count
            for what, count in self.answers.items()
            if what[1] != (202 if what[0] == "POST /orders" else 200)
        }
        assert {} == unhoped, self.answers
        assert self.ids


class Client:
    """Posts orders, reads them, reads what else there is, and never tries anything twice.

    Every other one only posts; of the others, one in three waits for the ends of its orders, which
    may be longer than the worker that it asks still runs.
    """

    def __init__(self, load: Load, session: aiohttp.ClientSession, url: str, number: int) -> None:
        self.load = load
        self.session = session
        self.url = url
        self.turn = number
        self.reads = number % 2 == 0
        self.waits = number % 6 == 0

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.turn += 1
            posted = await self.post()
            await asyncio.sleep(PAUSE_SECONDS)
            if self.reads and posted:
                await self.read(f"/orders/{posted}")

    async def post(self) -> str | None:
        body = order((PRODUCTS[self.turn % 20], 1), (PRODUCTS[(self.turn + 7) % 20], 1))
        # With a key the gateway itself may send a post again, without one nobody may.
        headers = {"Idempotency-Key": uuid.uuid4().hex} if self.turn % 4 == 0 else {}
        accepted = await self.ask("POST", "/orders", json=body, headers=headers)
        if accepted is None:
            return None
        self.load.ids.append(accepted["orderId"])
        return str(accepted["orderId"])

    async def read(self, posted: str) -> None:
        await self.ask("GET", posted, "/orders/{id}")
        for path in ("/inventory", "/orders?limit=5", "/livez"):
            await self.ask("GET", path)
            await asyncio.sleep(PAUSE_SECONDS)
        if self.waits:
            await self.ask("GET", posted, "/orders/{id} waiting", headers={"Prefer": "wait=20"})

    async def ask(self, method: str, path: str, kind: str = "", **sent: Any) -> Any:
        """The answer's content, if it is none of an error."""
        what = f"{method} {kind or path}"
        try:
            async with self.session.request(method, self.url + path, **sent) as answer:
                self.load.answers[what, answer.status] += 1
                content = await answer.json()
                if answer.ok:
                    return content
                self.load.errors.append(f"{what}: {answer.status} {content}")
        except Exception as error:  # whatever it is, this client has no answer
            self.load.errors.append(f"{what}: {error!r} of {error.__cause__!r}")
        return None


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[Load]:
    """Clients that ask as long as this is entered, each over connections that it keeps."""
    load, stop = Load(), asyncio.Event()
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
        # Else aiohttp itself sends what is idempotent again.
        middlewares=(sent_once,),
    ) as session:
        running = [
            asyncio.create_task(Client(load, session, url, number).run(stop))
            for number in range(CLIENTS)
        ]
        try:
            yield load
        finally:
            stop.set()
            await asyncio.gather(*running)


async def restart(process: Process) -> None:
    """Stop it as an operator does, and start it again at the same place under the same name."""
    assert await asyncio.to_thread(process.terminate), f"{process.name} ended by itself, in time"
    assert 0 == process.exit_status, process.log_tail()
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.wait_ready)


async def every_event_is_in_the_log_once(shop: Shop) -> None:
    """An event's id follows from its cause, so a record that was handled twice shows as two."""
    records = await read_all(shop.servers.kafka, *BY_NAME)
    copies = Counter(
        (r.topic, decode(BY_NAME[r.topic], r.key, r.value, r.headers).id) for r in records
    )
    assert {} == {event: count for event, count in copies.items() if count > 1}
    assert [] == await read_all(shop.servers.kafka, *(f"{topic}.dlq" for topic in BY_NAME))


async def all_is_well(shop: Shop, ids: list[str]) -> None:
    ends = await shop.all_end(ids, END_SECONDS)
    assert {None, "PAYMENT_FAILED"} >= {reason for _, reason in ends.values()}
    await shop.books_balance()
    await every_event_is_in_the_log_once(shop)


async def stocked(shop: Shop) -> None:
    with shop.database() as database:
        known = await database.stock.count_documents({})
    if not known:
        await shop.stock(dict.fromkeys(PRODUCTS, UNITS))


async def restarted_in_turn(url: str, processes: list[Process]) -> Load:
    async with clients(url) as load:
        await load.more()
        for _ in range(ROUNDS):
            for process in processes:
                await restart(process)
                await load.more()
    return load


async def test_workers_restarted_in_turn_under_load_show_no_client_an_error(shop: Shop) -> None:
    await stocked(shop)
    load = await restarted_in_turn(shop.url, [shop.workers[name] for name in WORKERS])
    load.without_an_error()
    await all_is_well(shop, load.ids)
    print(f"{load.answers.total()} answers, {len(load.ids)} orders, no error")


async def test_a_worker_that_is_told_to_stop_serves_until_the_gateway_turns_away_from_it(
    shop: Shop,
) -> None:
    await stocked(shop)
    leaving = shop.workers["worker-2"]
    assert shop.gateway is not None
    async with aiohttp.ClientSession() as session:

        async def live() -> int:
            async with session.get(f"{shop.gateway.url}/readyz") as answer:
                return int((await answer.json())["workers"]["live"])

        assert len(WORKERS) == await live()
        ending = asyncio.create_task(asyncio.to_thread(leaving.terminate))

        async def turned_away() -> bool:
            return await live() < len(WORKERS)

        await eventually(turned_away, END_SECONDS, "the gateway turns away", every=0.05)
        async with session.post(f"{leaving.url}/orders", json=order(("p0", 1))) as answer:
            assert (202, "close") == (answer.status, answer.headers["Connection"])
            accepted = (await answer.json())["orderId"]
    assert await ending, "it ended by itself, in time"
    assert 0 == leaving.exit_status, leaving.log_tail()
    await asyncio.to_thread(leaving.start)
    await asyncio.to_thread(leaving.wait_ready)
    await all_is_well(shop, [accepted])


async def test_gateways_behind_nginx_restarted_in_turn_show_no_client_an_error(
    shop: Shop,
) -> None:
    await stocked(shop)
    behind = list(shop.workers.values())
    with (
        start_gateway(shop.servers, behind, "gateway-a") as one,
        start_gateway(shop.servers, behind, "gateway-b") as two,
        nginx(shop, one, two) as front,
    ):
        load = await restarted_in_turn(f"{front.url}/api", [one, two])
        load.without_an_error()
    await all_is_well(shop, load.ids)
    print(f"{load.answers.total()} answers, {len(load.ids)} orders, no error")


def nginx(shop: Shop, *gateways: Process) -> Process:
    folder = shop.servers.directory / "nginx"
    front = Process(
        nginx_program(
            folder,
            folder / "nginx.log",
            Front(Port(free_ports(1)[0], "NGINX_PORT")),
            [f"{LOOPBACK}:{gateway.port}" for gateway in gateways],
        )
    )
    front.start()
    front.wait_ready()
    return front


@dataclass(frozen=True)
class Membership:
    """What Kafka says of the groups: whose the partitions are, and how often all were dealt."""

    partitions: dict[tuple[str, str], str]
    generations: dict[str, int]


def membership(shop: Shop) -> Membership:
    rows = kafka_tool(shop, "--describe", "--members", "--verbose", "--all-groups")
    partitions = {
        (row["GROUP"], row["GROUP-INSTANCE-ID"]): row["CURRENT-ASSIGNMENT"]
        for row in rows
        if row["GROUP"] in GROUPS
    }
    log = shop.servers.process("kafka").program.log.read_text()
    found = re.findall(r"Stabilized group (\S+) generation (\d+)", log)
    return Membership(partitions, {group: int(generation) for group, generation in found})


def kafka_tool(shop: Shop, *arguments: str) -> list[dict[str, str]]:
    """What Kafka's own tool says: rows under headers, of all groups."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "infra.local", "kafka-tool", "consumer-groups"),
            *("--bootstrap-server", shop.servers.kafka, *arguments),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=TOOL_SECONDS,
        check=True,
    )
    rows: list[dict[str, str]] = []
    header: list[str] = []
    for line in done.stdout.splitlines():
        cells = line.split()
        if cells[:1] == ["GROUP"]:
            header = cells
        elif cells:
            rows.append(dict(zip(header, cells, strict=False)))
    return rows


async def test_a_worker_that_is_back_in_time_keeps_its_partitions_and_moves_nobody_elses(
    shop: Shop,
) -> None:
    await stocked(shop)
    before = await asyncio.to_thread(membership, shop)
    assert len(GROUPS) * len(WORKERS) == len(before.partitions)
    assert "-" not in before.partitions.values(), "each member has partitions"
    named = {f"{name}-{shop.workers[name].port}" for name in WORKERS}
    assert named == {member.rpartition("-")[0] for _, member in before.partitions}
    await restart(shop.workers["worker-1"])
    ids = await post_all(shop.url, [order(("p0", 1))] * 60)
    await shop.all_end(ids, END_SECONDS)

    assert before == await asyncio.to_thread(membership, shop)


async def test_a_worker_that_ends_hands_its_orders_over_and_none_is_handled_twice(
    shop: Shop,
) -> None:
    await stocked(shop)
    before = await asyncio.to_thread(membership, shop)
    async with clients(shop.url) as load:
        await load.more()
        leaving = shop.workers["worker-1"]
        assert await asyncio.to_thread(leaving.terminate), "it ended by itself, in time"
        assert 0 == leaving.exit_status, leaving.log_tail()
        await load.more()
    load.without_an_error()
    # Not back within the session time-out: the other takes over what was in flight.
    await all_is_well(shop, load.ids)
    after = await asyncio.to_thread(membership, shop)
    assert len(GROUPS) == len(after.partitions)
    assert all(after.generations[group] > before.generations[group] for group in GROUPS)
