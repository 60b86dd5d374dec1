"""stock, replay and verify on real servers, through a real gateway and worker that want tokens."""

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp
import pytest
from rich.console import Console

from app.cli.rest import Unrest, unrest, until_rest
from app.cli.sources import Source
from app.cli.stock import stock
from app.identity import Principal, Role
from app.identity.tokens import Issuer
from app.parts import SERVICE_NAMES
from app.settings import Settings
from app.stores import mongo
from app.stores.repositories import ORDERS, PAYMENTS, RESERVATIONS, STOCK
from infra.local.secrets import command_token
from infra.local.testing import (
    GatewayProcess,
    LocalServers,
    WorkerProcess,
    start_gateway,
    start_worker,
)

ROOT = Path(__file__).resolve().parents[3]
ORDERS_SENT = 150
SECONDS = 120
# The gateway is gone before the worker: nobody is to be told that it stops.
CLOSED = {"AUTH": "on", "SHUTDOWN_DELAY_SECONDS": "0"}


class Shop(NamedTuple):
    """What the orders are sent to."""

    servers: LocalServers
    worker: WorkerProcess
    gateway: GatewayProcess


@pytest.fixture
async def database(local_servers: LocalServers) -> AsyncIterator[mongo.Database]:
    """A database of the test's own."""
    connected = mongo.connect(Settings(mongodb_url=local_servers.mongodb_url))
    yield connected.client[f"cli-{uuid4().hex[:8]}"]
    await mongo.close(connected)


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=120)


def printed(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def test_stock_creates_what_is_missing_and_leaves_what_is_there(
    database: mongo.Database, console: Console
) -> None:
    await stock(database, console, Source(None), orders=10, level=7)
    few = await database[STOCK].count_documents({})
    await stock(database, console, Source(None))

    levels = [d["initial"] async for d in database[STOCK].find({})]
    assert 500 == len(levels)
    assert few == levels.count(7)
    assert 500 - few == levels.count(1200)
    assert f"{few} were there and are unchanged" in printed(console)


async def test_rest_is_when_no_order_and_no_reservation_is_under_way(
    database: mongo.Database,
) -> None:
    assert not await until_rest(database, 5)
    await database[ORDERS].insert_many([{"status": "PENDING"}, {"status": "CONFIRMED"}])
    await database[RESERVATIONS].insert_one({"status": "RESERVED"})

    assert Unrest(1, 1) == await unrest(database)
    assert Unrest(1, 1) == await until_rest(database, 0.1, poll_seconds=0.02)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A system of this module's own: the registry's topics can't be shared."""
    with (
        LocalServers(tmp_path_factory.mktemp("shop")) as servers,
        start_worker(servers, env=CLOSED) as worker,
        start_gateway(servers, [worker], env=CLOSED) as gateway,
    ):
        yield Shop(servers, worker, gateway)


def bearer(servers: LocalServers, user: str, role: Role) -> dict[str, str]:
    """A token of this user for the shop."""
    issuer = Issuer(servers.environment()["AUTH_SECRET"], "orderflow", "orderflow", 600)
    return {"Authorization": f"Bearer {issuer.issue(Principal(user, role), time.time())}"}


def faust(
    servers: LocalServers, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            **servers.environment(),
            "DATA_DIR": str(servers.directory / "commands"),
            **(env or {}),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def figures(output: str) -> dict[str, str]:
    rows = (line.split("│")[1:3] for line in output.splitlines() if line.count("│") == 3)
    return {name.strip(): figure.strip() for name, figure in rows}


async def test_orders_sent_by_replay_end_and_the_books_balance(shop: Shop) -> None:
    servers = shop.servers
    source = ["--csv", "-"]
    replay = ["replay", *source, "--orders", str(ORDERS_SENT), "--url", f"{shop.gateway.url}/api"]
    token = command_token({**servers.environment(), **CLOSED})

    assert 0 == faust(servers, "stock", *source, "--orders", "100").returncode
    without = faust(servers, *replay, "--no-wait")
    assert (1, True) == (without.returncode, "HTTP 401" in without.stdout)
    first = faust(servers, *replay, env=token)
    again = faust(servers, *replay, env=token)
    verified = faust(servers, "verify", "--json", "--topics", env=token)

    shown = figures(first.stdout)
    assert (0, "") == (first.returncode, first.stderr)
    assert str(ORDERS_SENT) == shown["orders sent"] == shown["accepted"]
    ended = [int(shown[n]) for n in shown if n == "confirmed" or n.startswith("cancelled: ")]
    assert ORDERS_SENT == sum(ended)
    # The first hundred orders' products are on the shelf, and not enough of each.
    assert int(shown["cancelled: UNKNOWN_PRODUCT"]) > 0
    assert int(shown["cancelled: OUT_OF_STOCK"]) > 0
    assert float(shown["accepted to ended, p99"].removesuffix(" s")) > 0

    assert str(ORDERS_SENT) == figures(again.stdout)["already there"]
    assert shown["revenue"] == figures(again.stdout)["revenue"]

    books = json.loads(verified.stdout)
    assert (0, True, []) == (verified.returncode, books["balanced"], books["discrepancies"])
    assert shown["revenue"] == f"{books['money']['revenue']:,.2f}"
    assert int(shown["confirmed"]) == books["orders"]["confirmed"]
    # The topics tell the same, and so do the analytics of the worker, which Kafka knows of.
    topics = books["topics"]
    assert books["money"]["revenue"] == topics["revenue"] == books["analytics"]["revenue"]
    assert (ORDERS_SENT, 0) == (topics["orders"], topics["underWay"])
    assert [] == books["notes"]


def test_the_doctor_finds_the_shop_in_order_and_its_worker_by_itself(shop: Shop) -> None:
    gateway = {"GATEWAY_PORT": str(shop.gateway.port)}

    result = faust(shop.servers, "doctor", "--json", "--timeout", "30", env={**CLOSED, **gateway})

    found = json.loads(result.stdout)
    broken = [each for each in found["findings"] if each["level"] == "failed"]
    assert (0, True, []) == (result.returncode, found["ok"], broken)
    details = {each["name"]: each["detail"] for each in found["findings"]}
    assert "worker, ready, 7 services" in details[shop.worker.url.removeprefix("http://")]
    assert "gateway, 1 of 1 workers live" == details[shop.gateway.url.removeprefix("http://")]
    assert all(f"orders-{name}" in details for name in SERVICE_NAMES)


def test_one_frame_of_what_flows_is_shown_to_who_may_see_it(shop: Shop) -> None:
    token = command_token({**shop.servers.environment(), **CLOSED})
    through = ["watch", "--once", "--url", f"{shop.gateway.url}/api"]

    shown = faust(shop.servers, *through, env=token)
    refused = faust(shop.servers, *through)

    assert (0, 24) == (shown.returncode, len(shown.stdout.splitlines()))
    for words in ("live", f"orders  {ORDERS_SENT}", "1 member", "ready", "dead letters"):
        assert words in shown.stdout
    assert (1, True) == (refused.returncode, "ORDERFLOW_TOKEN" in refused.stderr)


async def test_an_order_is_seen_by_its_user_alone_at_the_gateway_and_at_the_worker(
    shop: Shop,
) -> None:
    alice, bob = (bearer(shop.servers, user, Role.CUSTOMER) for user in ("alice", "bob"))
    admin = bearer(shop.servers, "ada", Role.ADMIN)
    order = {"userId": "alice", "items": [{"productId": "p", "quantity": 1, "price": 1.0}]}
    through, straight = f"{shop.gateway.url}/api", shop.worker.url
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session:

        async def status(method: str, url: str, headers: Mapping[str, str], **more: Any) -> int:
            async with session.request(method, url, headers=headers, **more) as answer:
                await answer.read()
                return answer.status

        async with session.post(f"{through}/orders", json=order, headers=alice) as answer:
            assert 202 == answer.status
            path = f"/orders/{(await answer.json())['orderId']}"
        assert 403 == await status("POST", f"{through}/orders", bob, json=order)
        for base in (through, straight):
            assert 200 == await status("GET", base + path, alice)
            assert 404 == await status("GET", base + path, bob)
            assert 404 == await status("POST", f"{base}{path}/cancel", bob)
            assert 401 == await status("GET", base + path, {})
            assert 403 == await status("PUT", f"{base}/inventory/p", alice, json={"available": 1})
            assert 403 == await status("GET", f"{base}/analytics", alice)
            assert 200 == await status("GET", f"{base}/analytics", admin)
            assert 200 == await status("GET", f"{base}/metrics", {})


async def test_verify_names_what_does_not_agree(shop: Shop) -> None:
    servers = shop.servers
    connected = mongo.connect(Settings(mongodb_url=servers.mongodb_url))
    try:
        charged = await connected[PAYMENTS].find_one({"status": "CHARGED"})
        assert charged is not None
        await connected[PAYMENTS].update_one({"_id": charged["_id"]}, {"$inc": {"amount": 100}})

        result = faust(servers, "verify")

        assert 1 == result.returncode
        assert "The books do not balance." in result.stdout
        assert charged["_id"] in result.stdout
    finally:
        await connected[PAYMENTS].update_one({"_id": charged["_id"]}, {"$inc": {"amount": -100}})
        await mongo.close(connected)
