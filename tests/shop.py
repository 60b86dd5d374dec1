"""A whole system under test: servers, workers, and what a client and an auditor do with them."""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import AutoReconnect

from app.agents.registry import build_service
from app.parts import SAGA_ORDERS, services_of
from app.settings import Settings
from app.topics import GROUP_PREFIX
from infra.local.testing import LocalServers, Process, WorkerProcess, start_gateway, start_worker
from tests.kafka import committed, end_offsets, eventually
from tests.unit.agents.fakes import resources

ROOT = Path(__file__).parents[1]


def groups(saga_order: str = SAGA_ORDERS[0]) -> dict[str, list[str]]:
    """The topics of each consumer group, as the services themselves say."""
    of = resources(settings=Settings(saga_order=saga_order))
    return {
        GROUP_PREFIX + name: list(build_service(name, of).topics)
        for name in services_of(saga_order)
    }


GROUPS = groups()
COMMAND_SECONDS = 120
# Longer than both workers may be starting again at once, on a busy machine.
CLIENT_PATIENCE_SECONDS = 90.0
RETRY_SECONDS = 0.1
# Of one question to the database: above it, reading the answer is most of a test's work.
PAGE_ORDERS = 1000


@dataclass
class Shop:
    """The servers of one test, its workers, and its gateway."""

    servers: LocalServers
    env: Mapping[str, str] = field(default_factory=dict)
    workers: dict[str, WorkerProcess] = field(default_factory=dict)
    gateway: Process | None = None

    def start(self, *names: str, gateway: bool = True, **env: str) -> None:
        """Start workers, and a gateway before them; returns when all are ready."""
        for name in names:
            known = self.workers.get(name)
            self.workers[name] = start_worker(
                self.servers,
                name,
                port=known.port if known else None,
                env={**self.env, **env},
                wait=False,
            )
        for name in names:
            self.workers[name].wait_ready()
        if gateway and self.gateway is None:
            self.gateway = start_gateway(self.servers, list(self.workers.values()))

    def restart(self, name: str) -> None:
        """Start a worker again that was killed, without waiting for it."""
        self.workers[name].start()

    def stop(self) -> None:
        """Stop workers and gateway."""
        for process in [*self.workers.values(), *([self.gateway] if self.gateway else [])]:
            process.kill9()

    @property
    def url(self) -> str:
        """The gateway's API."""
        assert self.gateway is not None
        return f"{self.gateway.url}/api"

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `faust -A app ...` as an operator would."""
        done = subprocess.run(
            [sys.executable, "-m", "faust", "-A", "app", *arguments],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                **self.servers.environment(),
                **self.env,
                "DATA_DIR": str(self.servers.directory / "data" / "commands"),
            },
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    @contextmanager
    def database(self) -> Iterator[Any]:
        """The database, to look into."""
        client: AsyncIOMotorClient[Any] = AsyncIOMotorClient(self.servers.mongodb_url)
        try:
            yield client.get_default_database()
        finally:
            client.close()

    async def stock(self, levels: Mapping[str, int]) -> None:
        """Put products on the shelf."""
        with self.database() as database:
            await database.stock.insert_many(
                [
                    {
                        "_id": product,
                        "available": units,
                        "initial": units,
                        "holds": {},
                        "sold": 0,
                        "fence": 0,
                    }
                    for product, units in levels.items()
                ]
            )

    async def statuses(self, order_ids: Iterable[str]) -> dict[str, tuple[str, str | None]]:
        """Status and reason of each order."""
        with self.database() as database:
            found = database.orders.find({"_id": {"$in": list(order_ids)}})
            return {o["_id"]: (o["status"], o["reason"]) async for o in found}

    async def all_end(self, order_ids: Iterable[str], seconds: float) -> dict[str, Any]:
        """Wait until each order has ended; status and reason of each."""
        waiting = list(dict.fromkeys(order_ids))
        ends: dict[str, Any] = {}

        async def ended() -> bool:
            # The earliest first, and no further than to one that is under way.
            while waiting:
                page = waiting[:PAGE_ORDERS]
                try:
                    found = await self.statuses(page)
                except AutoReconnect:  # the server is away, or so busy that it seems to be
                    return False
                ends.update((key, end) for key, end in found.items() if end[0] != "PENDING")
                waiting[: len(page)] = under_way = [key for key in page if key not in ends]
                if under_way:
                    return False
            return True

        await eventually(ended, seconds, f"all of {len(waiting)} orders end", every=0.3)
        return ends

    async def at_rest(self, seconds: float = 60) -> None:
        """Wait until no group has anything left to do.

        A group commits after what it said is in the log. So nobody is at work where all have
        committed up to the ends, and the ends are still the same afterwards.
        """
        of = groups(self.env.get("SAGA_ORDER", SAGA_ORDERS[0]))
        kafka, heard = self.servers.kafka, {topic for topics in of.values() for topic in topics}

        async def all_done() -> bool:
            ends = await end_offsets(kafka, *heard)
            done = await asyncio.gather(*(committed(kafka, group) for group in of))
            for topics, offsets in zip(of.values(), done, strict=True):
                if any(end > offsets.get(tp, 0) for tp, end in ends.items() if tp.topic in topics):
                    return False
            return ends == await end_offsets(kafka, *heard)

        await eventually(all_done, seconds, "no group lags", every=0.3)

    async def books_balance(self) -> None:
        """`faust -A app verify` says so."""
        await self.at_rest()
        done = await asyncio.to_thread(self.command, "verify", check=False)
        assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}"


def order(*items: tuple[str, int], price: float = 1.25, user: str = "alice") -> dict[str, Any]:
    """The body of a post."""
    return {
        "userId": user,
        "items": [{"productId": p, "quantity": q, "price": price} for p, q in items],
    }


async def post(
    session: aiohttp.ClientSession,
    url: str,
    body: Mapping[str, Any],
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Post an order as a careful client does: with a key, again after a 5xx or a broken connection.

    The answer is the first that is none of those.
    """
    sent = {"Idempotency-Key": key or uuid.uuid4().hex, **(headers or {})}
    give_up = time.monotonic() + CLIENT_PATIENCE_SECONDS
    while time.monotonic() < give_up:
        try:
            async with session.post(f"{url}/orders", json=body, headers=sent) as answer:
                # 409: an earlier try of ours is still in flight.
                if answer.status < 500 and answer.status != 409:
                    return answer.status, await answer.json()
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(RETRY_SECONDS)
    raise AssertionError("no answer but faults")


async def post_all(
    url: str, bodies: Iterable[Mapping[str, Any]], concurrency: int = 64
) -> list[str]:
    """Post orders side by side; their ids, all of them accepted."""
    gate = asyncio.Semaphore(concurrency)
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=30), connector=aiohttp.TCPConnector(limit=concurrency)
    ) as session:

        async def one(body: Mapping[str, Any]) -> str:
            async with gate:
                status, answer = await post(session, url, body)
            assert 202 == status, answer
            return str(answer["orderId"])

        return await asyncio.gather(*(one(body) for body in bodies))
