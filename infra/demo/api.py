"""The API as a client of the system sees it: through nginx and a gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp

from infra.demo.claims import DemoError, NotInTimeError, NotUpError
from infra.demo.system import System

T = TypeVar("T")
Document = dict[str, Any]

# Above the longest wait for an order's end that we ask for.
REQUEST_SECONDS = 60.0
# An order of a loaded machine ends within seconds; a rebalance may come in between.
END_SECONDS = 45
# Of our requests at once: enough to be concurrent, and no load test.
CONCURRENCY = 64
# A limited or unready gateway says when to come back; so often we do.
TRIES = 20
RETRY_SECONDS = 0.5
POLL_SECONDS = 0.1
PRICE = 2.5


@dataclass(frozen=True, slots=True)
class Api:
    """Requests, each within a time limit; what is answered but not expected is a `DemoError`."""

    session: aiohttp.ClientSession
    system: System

    async def call(
        self,
        method: str,
        path: str,
        *,
        expected: Iterable[int] = (HTTPStatus.OK,),
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        """The JSON that is answered, `{}` for a 404 that is expected."""
        for attempt in range(TRIES):
            try:
                async with self.session.request(
                    method, self.system.api + path, json=body, headers=headers
                ) as answer:
                    if answer.status in expected:
                        return {} if answer.status == HTTPStatus.NOT_FOUND else await answer.json()
                    if answer.status not in (
                        HTTPStatus.TOO_MANY_REQUESTS,
                        HTTPStatus.SERVICE_UNAVAILABLE,
                    ):
                        raise DemoError(
                            f"{method} {path}: {answer.status} {(await answer.text())[:300]}"
                        )
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                if attempt + 1 == TRIES:
                    raise NotUpError(f"{method} {path}: {error!r}") from error
            await asyncio.sleep(RETRY_SECONDS)
        raise DemoError(f"{method} {path}: refused {TRIES} times, last with {answer.status}")

    async def stock(self, product: str, units: int) -> None:
        """Put a product on the shelf."""
        await self.call(
            "PUT",
            f"/inventory/{product}",
            body={"available": units},
            expected=(HTTPStatus.OK, HTTPStatus.CREATED),
        )

    async def shelf(self, product: str) -> tuple[int, int, int]:
        """Units available, reserved, sold."""
        found = await self.call("GET", f"/inventory/{product}")
        return found["available"], found["reserved"], found["sold"]

    async def payment(self, order_id: str) -> str | None:
        """The status of the order's payment; None where there is none."""
        found = await self.call(
            "GET", f"/payments/{order_id}", expected=(HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        )
        return found.get("status")

    async def place(
        self,
        user: str,
        product: str,
        *,
        quantity: int = 1,
        declined: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Post an order; its id. Its payment will go through, unless it is to be declined."""
        key = self.system.simulation.key(user, declined=declined)
        accepted = await self.call(
            "POST",
            "/orders",
            body={
                "userId": user,
                "items": [{"productId": product, "quantity": quantity, "price": PRICE}],
            },
            headers={"Idempotency-Key": key, **(headers or {})},
            expected=(HTTPStatus.ACCEPTED,),
        )
        return str(accepted["orderId"])

    async def ended(self, order_id: str, seconds: int = END_SECONDS) -> Document:
        """The order once it has ended.

        Raises:
            NotInTimeError: it has not in time.
        """
        found = await self.call("GET", f"/orders/{order_id}", headers={"Prefer": f"wait={seconds}"})
        if found["status"] == "PENDING":
            raise NotInTimeError(f"Order {order_id} has not ended after {seconds} s.")
        return found

    async def all_ended(self, order_ids: Iterable[str]) -> list[Document]:
        """The orders, each once it has ended."""
        gate = asyncio.Semaphore(CONCURRENCY)

        async def one(order_id: str) -> Document:
            async with gate:
                return await self.ended(order_id)

        return await asyncio.gather(*map(one, order_ids))


@asynccontextmanager
async def connect(system: System, token: str | None = None) -> AsyncIterator[Api]:
    """A client of the system; where the system wants a token and none is given, one is asked for.

    Raises:
        NotUpError: a token is wanted, and not to be had.
    """
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    # What is told must be so now, and not a moment ago.
    fresh = {"Cache-Control": "no-cache, no-store"}
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, headers=fresh
    ) as session:
        token = token or await _token(session, system.api)
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        yield Api(session, system)


async def _token(session: aiohttp.ClientSession, url: str) -> str | None:
    try:
        async with session.get(f"{url}/inventory?limit=1") as answer:
            if answer.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                return None
        wanted = {"userId": "demo-admin", "role": "admin"}
        async with session.post(f"{url}/token", json=wanted) as answer:
            if answer.ok:
                document = await answer.json()
                return str(document["token"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
        raise NotUpError(f"{url}: {error!r}") from error
    raise NotUpError("The system wants a token: give one of an admin with --token.")


def own_name(what: str) -> str:
    """A product, user, topic or group that nobody else has."""
    return f"demo-{what}-{uuid4().hex[:8]}"


async def until(
    look: Callable[[], Awaitable[T | None]], seconds: float, what: str, every: float = POLL_SECONDS
) -> T:
    """Look again and again until there is something.

    Raises:
        NotInTimeError: there was nothing in time.
    """
    give_up = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > give_up:
            raise NotInTimeError(f"Not within {seconds:g} s: {what}.")
        await asyncio.sleep(every)
