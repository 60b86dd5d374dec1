"""stock, replay and verify on real servers, with a real worker between them."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from rich.console import Console

from app.cli.rest import Unrest, unrest, until_rest
from app.cli.sources import Source
from app.cli.stock import stock
from app.settings import Settings
from app.stores import mongo
from app.stores.repositories import ORDERS, PAYMENTS, RESERVATIONS, STOCK
from infra.local.testing import LocalServers, WorkerProcess, start_worker

ROOT = Path(__file__).resolve().parents[3]
ORDERS_SENT = 150
SECONDS = 120


@pytest.fixture
async def database(local_servers: LocalServers) -> AsyncIterator[mongo.Database]:
    """A database of the test's own."""
    connected = mongo.connect(Settings(mongodb_url=local_servers.mongodb_url))
    yield connected.client[f"cli-{uuid4().hex[:8]}"]
    connected.client.close()


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
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalServers, WorkerProcess]]:
    """Servers and a worker of this module's own: the registry's topics can't be shared."""
    with (
        LocalServers(tmp_path_factory.mktemp("shop")) as servers,
        # No gateway is to be told that it stops.
        start_worker(servers, env={"SHUTDOWN_DELAY_SECONDS": "0"}) as worker,
    ):
        yield servers, worker


def faust(servers: LocalServers, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            **servers.environment(),
            "DATA_DIR": str(servers.directory / "commands"),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def figures(output: str) -> dict[str, str]:
    rows = (line.split("│")[1:3] for line in output.splitlines() if line.count("│") == 3)
    return {name.strip(): figure.strip() for name, figure in rows}


async def test_orders_sent_by_replay_end_and_the_books_balance(
    shop: tuple[LocalServers, WorkerProcess],
) -> None:
    servers, worker = shop
    source = ["--csv", "-"]
    replay = ["replay", *source, "--orders", str(ORDERS_SENT), "--url", worker.url]

    assert 0 == faust(servers, "stock", *source, "--orders", "100").returncode
    first = faust(servers, *replay)
    again = faust(servers, *replay)
    verified = faust(servers, "verify", "--json")

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


async def test_verify_names_what_does_not_agree(shop: tuple[LocalServers, WorkerProcess]) -> None:
    servers, _ = shop
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
        connected.client.close()
