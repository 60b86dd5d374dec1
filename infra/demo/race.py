"""test-race-condition: many orders for few units, all at once."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter

from infra.demo.api import END_SECONDS, PRICE, Api, own_name, until
from infra.demo.claims import Claims
from infra.demo.command import Demo, main, number

ABOUT = """Concurrent orders for the last units of one product: exactly as many are confirmed as
there are units, at no moment are more promised than there were, and the books balance."""

ORDERS = 60
UNITS = 7
MOST_ORDERS = 2000
# Between two looks at the shelf while the orders race.
LOOK_SECONDS = 0.02

Shelf = tuple[int, int, int]


async def show(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    """Let the orders race, watch the shelf, count."""
    orders, units = options.orders, options.units
    product = own_name("race")
    await api.stock(product, units)
    claims.note(f"{orders} orders for {units} units of {product}, each for one, all at once")

    seen: Counter[Shelf] = Counter()
    over = asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            seen[await api.shelf(product)] += 1
            await asyncio.sleep(LOOK_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        ids = await asyncio.gather(
            *(api.place(f"demo-racer-{n % 10}", product) for n in range(orders))
        )
        ends = await api.all_ended(ids)
    finally:
        over.set()
        await asyncio.gather(watching, return_exceptions=True)
    watching.result()

    outcomes = Counter(end.get("reason", end["status"]) for end in ends)
    claims.claim(
        "every order was accepted as one of its own, and ended",
        holds=len(set(ids)) == orders == len(ends),
        evidence=f"{len(set(ids))} different ids, {len(ends)} ended",
    )
    sold = min(units, orders)
    expected = +Counter({"CONFIRMED": sold, "OUT_OF_STOCK": orders - sold})
    claims.equal(
        f"exactly {sold} of them are confirmed, the others were out of stock",
        dict(sorted(expected.items())),
        dict(sorted(outcomes.items())),
    )

    async def settled() -> Shelf | None:
        shelf = await api.shelf(product)
        return shelf if shelf[1] == 0 else None

    shelf = await until(settled, END_SECONDS, "no unit is reserved any more")
    seen[shelf] += 1
    wrong = [one for one in seen if sum(one) != units or min(one) < 0]
    claims.claim(
        f"available, reserved and sold were {units} together at every look, none ever below 0",
        holds=not wrong,
        evidence=f"{seen.total()} looks, {len(seen)} different: "
        + (f"wrong were {wrong[:3]}" if wrong else ", ".join(map(_text, list(seen)[:6]))),
    )
    claims.equal(
        "afterwards the shelf holds what was not sold",
        _text((units - sold, 0, sold)),
        _text(shelf),
    )
    paid = await asyncio.gather(*(api.payment(one) for one in ids))
    unlike = [
        end["orderId"]
        for end, status in zip(ends, paid, strict=True)
        if (end["status"] == "CONFIRMED") != (status == "CHARGED")
    ]
    charged = paid.count("CHARGED")
    claims.claim(
        "the books balance: who was confirmed has paid, and nobody else",
        holds=not unlike and charged == shelf[2],
        evidence=f"{charged} charged {PRICE:,.2f} each, {charged * PRICE:,.2f} in all; "
        f"{shelf[2]} sold at {PRICE:,.2f} are {shelf[2] * PRICE:,.2f}",
    )


def _text(shelf: Shelf) -> str:
    return "/".join(map(str, shelf))


def arguments(parser: argparse.ArgumentParser) -> None:
    """How many of each."""
    parser.add_argument("--orders", type=number(MOST_ORDERS), default=ORDERS)
    parser.add_argument("--units", type=number(MOST_ORDERS), default=UNITS)


DEMO = Demo("test-race-condition", ABOUT, show, arguments)

if __name__ == "__main__":
    sys.exit(main(DEMO))
