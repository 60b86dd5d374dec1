"""test-saga: one order of each outcome, and what it left behind."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from infra.demo import system as systems
from infra.demo.api import END_SECONDS, PRICE, Api, connect, own_name, until
from infra.demo.claims import Claims, NotInTimeError
from infra.demo.command import Demo, main
from infra.demo.system import System

ABOUT = """The saga's three ways: an order that is confirmed, one that finds no stock, one whose
payment is declined; each with its events in order, its payment, and what is on the shelf then.
Where the running system never declines a payment (PAYMENT_FAILURE_RATE=0, as after `make up`),
that way is shown on a small system of its own."""

UNITS = 10
# The start of another system may be part of it.
LIMIT_SECONDS = 300.0
QUANTITY = 2
INVENTORY_FIRST = ["inventory", "payment"]


@dataclass(frozen=True, slots=True)
class Way:
    """An outcome of the saga.

    Attributes:
        units: on the shelf beforehand.
        declined: whether the provider is to decline the payment.
        events: with inventory first, and with payment first.
        payment: its status afterwards, with inventory first and with payment first.
    """

    name: str
    units: int
    declined: bool
    outcome: tuple[str, str | None]
    events: tuple[list[str], list[str]]
    payment: tuple[str | None, str | None]
    sold: int = 0


SUCCESS = Way(
    "success",
    UNITS,
    False,
    ("CONFIRMED", None),
    (
        ["OrderPlaced", "InventoryReserved", "PaymentProcessed", "OrderConfirmed"],
        ["OrderPlaced", "PaymentProcessed", "InventoryReserved", "OrderConfirmed"],
    ),
    ("CHARGED", "CHARGED"),
    sold=QUANTITY,
)
NO_STOCK = Way(
    "inventory failure",
    0,
    False,
    ("CANCELLED", "OUT_OF_STOCK"),
    (
        ["OrderPlaced", "InventoryRejected", "OrderCancelled"],
        [
            "OrderPlaced",
            "PaymentProcessed",
            "InventoryRejected",
            "PaymentRefunded",
            "OrderCancelled",
        ],
    ),
    (None, "REFUNDED"),
)
DECLINED = Way(
    "payment failure",
    UNITS,
    True,
    ("CANCELLED", "PAYMENT_FAILED"),
    (
        [
            "OrderPlaced",
            "InventoryReserved",
            "PaymentFailed",
            "InventoryReleased",
            "OrderCancelled",
        ],
        ["OrderPlaced", "PaymentFailed", "OrderCancelled"],
    ),
    ("FAILED", "FAILED"),
)


async def show(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    """Go each way."""
    await _go(api, claims, SUCCESS)
    await _go(api, claims, NO_STOCK)
    if api.system.simulation.payment_rate:
        await _go(api, claims, DECLINED)
        return
    claims.note("This system declines no payment (PAYMENT_FAILURE_RATE=0), so another is started:")
    async with _another(claims.note) as system, connect(system) as other:
        await _go(other, claims, DECLINED)


async def _go(api: Api, claims: Claims, way: Way) -> None:
    product = own_name("saga")
    await api.stock(product, way.units)
    order_id = await api.place("demo-buyer", product, quantity=QUANTITY, declined=way.declined)
    order = await api.ended(order_id)
    claims.equal(
        f"{way.name}: the order of {QUANTITY} units, with {way.units} on the shelf, has ended",
        _outcome(*way.outcome),
        _outcome(order["status"], order.get("reason")),
    )
    which = 0 if order["saga"]["order"] == INVENTORY_FIRST else 1
    claims.equal(
        f"{way.name}: each step and compensation happened, in this order",
        " -> ".join(way.events[which]),
        " -> ".join(entry["event"] for entry in order["history"]),
    )
    expected = (way.units - way.sold, 0, way.sold)

    async def settled() -> bool:
        return await api.shelf(product) == expected

    # A reservation is settled just after the order's end. What is there in the end is said below.
    with suppress(NotInTimeError):
        await until(settled, END_SECONDS, "the shelf is settled")
    shelf, paid = await api.shelf(product), await api.payment(order_id)
    claims.claim(
        f"{way.name}: money and stock are as that end says",
        holds=(expected, way.payment[which]) == (shelf, paid),
        evidence=f"payment {paid or 'none'}"
        + (f" of {QUANTITY * PRICE:.2f}" if paid else "")
        + "; available {}, reserved {}, sold {}".format(*shelf),
    )


def _outcome(status: str, reason: str | None) -> str:
    return f"{status}, {reason}" if reason else status


@asynccontextmanager
async def _another(say: Callable[[str], None]) -> AsyncIterator[System]:
    """A system of its own; it starts and stops beside the event loop."""
    with_it = ExitStack()
    starting = asyncio.ensure_future(asyncio.to_thread(with_it.enter_context, systems.own(say)))
    try:
        yield await asyncio.shield(starting)
    finally:
        await asyncio.wait([starting])
        await asyncio.to_thread(with_it.close)


DEMO = Demo("test-saga", ABOUT, show, seconds=LIMIT_SECONDS)

if __name__ == "__main__":
    sys.exit(main(DEMO))
