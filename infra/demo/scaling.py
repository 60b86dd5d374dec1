"""test-scaling: workers join and leave while orders go on."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from app.topics import GROUP_PREFIX, INVENTORY
from infra.demo.api import END_SECONDS, Api, Document, own_name, until
from infra.demo.beside import beside, some_of
from infra.demo.claims import Claims, NotUpError
from infra.demo.command import Demo, main
from infra.demo.kafka import Cluster, Partitions, cluster
from infra.local.process import Stage

ABOUT = """Two workers join the running ones and leave again while orders are posted: each time the
partitions are spread over all members, orders go on ending, and in the end none is lost.
With --own: 1 -> 2 -> 3 -> 1 workers."""

GROUP = f"{GROUP_PREFIX}payment"
TOPIC = INVENTORY.name
JOINING = 2
# A leaving member drains, and the others wait for it to come back or go.
REBALANCE_SECONDS = 60.0
# Slow enough that what is proved is the going on, and not the machine's limit.
ORDER_SECONDS = 0.05
# Of each number of workers, undisturbed.
PHASE_ORDERS = 40
MOST_ORDERS = 5_000
BUYERS = 7
# Two starts and two stops of workers take 40 s, and 160 on a machine that is much too busy.
LIMIT_SECONDS = 480.0


@dataclass(slots=True)
class Traffic:
    """Orders, posted one after the other until told to stop."""

    api: Api
    product: str
    ids: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Post."""
        while not self.over.is_set() and len(self.ids) < MOST_ORDERS:
            buyer = f"demo-buyer-{len(self.ids) % BUYERS}"
            self.ids.append(await self.api.place(buyer, self.product))
            await asyncio.sleep(ORDER_SECONDS)

    async def more(self, orders: int) -> None:
        """Wait until so many more are posted."""
        wanted = min(len(self.ids) + orders, MOST_ORDERS)

        async def posted() -> bool:
            return len(self.ids) >= wanted

        await until(posted, END_SECONDS, f"{orders} orders are posted")


@dataclass(frozen=True, slots=True)
class Phase:
    """Orders of one number of workers, or of a change of it."""

    name: str
    orders: list[Document]
    seconds: float
    partitions: Partitions


async def show(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    """Join, join, leave, with orders all the while."""
    some_of(api.system, Stage.WORKER)
    traffic = Traffic(api, own_name("scale"))
    await api.stock(traffic.product, MOST_ORDERS)
    phases: list[Phase] = []
    async with cluster(api.system.kafka) as kafka, beside(api.system) as ours:
        before = (await kafka.group(GROUP)).of(TOPIC)
        partitions = sum(map(len, before.values()))
        if len(before) + JOINING > partitions:
            raise NotUpError(
                f"{len(before)} workers share {partitions} partitions already, so {JOINING} more "
                "would find none: start with fewer (WORKERS=1)."
            )
        running = asyncio.create_task(traffic.run())
        try:
            phases.append(await _phase(kafka, traffic, _workers(len(before)), len(before)))
            joined = []
            for n in range(1, JOINING + 1):
                now = len(before) + n
                change = asyncio.create_task(ours.worker(f"demo-worker-{n}"))
                phases.append(
                    await _during(kafka, traffic, f"{_workers(now)}, joining", change, now)
                )
                joined.append(change.result())
                phases.append(await _phase(kafka, traffic, _workers(now), now))
            leaving = asyncio.create_task(
                asyncio.to_thread(lambda: [one.terminate() for one in joined])
            )
            name = f"{_workers(len(before))}, {JOINING} leaving"
            phases.append(await _during(kafka, traffic, name, leaving, len(before)))
            phases.append(await _phase(kafka, traffic, _workers(len(before)), len(before)))
        finally:
            traffic.over.set()
            await asyncio.gather(running, return_exceptions=True)
        running.result()
        _say(claims, phases, partitions)
        await _none_lost(api, claims, traffic, clean=leaving.result())


def _say(claims: Claims, phases: list[Phase], partitions: int) -> None:
    claims.table(
        "While orders are posted",
        ("workers", "s", "orders", "ended", "p50 s", "slowest s", f"partitions of {TOPIC}"),
        [
            (
                phase.name,
                f"{phase.seconds:.1f}",
                len(phase.orders),
                Counter(order["status"] for order in phase.orders)["CONFIRMED"],
                f"{median(map(_seconds, phase.orders)):.3f}",
                f"{max(map(_seconds, phase.orders)):.3f}",
                _shares(phase.partitions),
            )
            for phase in phases
        ],
    )
    for phase in phases[::2]:
        sizes = [len(some) for some in phase.partitions.values()]
        claims.claim(
            f"{phase.name}: each of {partitions} partitions has one owner, each member its share",
            holds=sorted(n for some in phase.partitions.values() for n in some)
            == list(range(partitions))
            and max(sizes) - min(sizes) <= 1,
            evidence=_shares(phase.partitions),
        )
    for phase in phases[1::2]:
        ended = sum(order["status"] == "CONFIRMED" for order in phase.orders)
        claims.claim(
            f"{phase.name}: orders posted meanwhile were confirmed all the same",
            holds=0 < ended == len(phase.orders),
            evidence=f"{ended} of {len(phase.orders)} in {phase.seconds:.1f} s, the slowest after "
            f"{max(map(_seconds, phase.orders)):.3f} s",
        )


async def _none_lost(api: Api, claims: Claims, traffic: Traffic, *, clean: list[bool]) -> None:
    posted = len(traffic.ids)
    expected = (MOST_ORDERS - posted, 0, posted)

    async def settled() -> bool:
        return (await api.shelf(traffic.product))[1] == 0

    await until(settled, END_SECONDS, "no unit is reserved any more")
    shelf = await api.shelf(traffic.product)
    claims.claim(
        "none was lost and none done twice: as many units are sold as orders were posted",
        holds=shelf == expected and len(set(traffic.ids)) == posted,
        evidence=f"{posted} posted; available {shelf[0]}, reserved {shelf[1]}, sold {shelf[2]}",
    )
    claims.claim(
        "the workers that left ended by themselves",
        holds=all(clean),
        evidence=f"{clean.count(True)} of {len(clean)} within their time",
    )


async def _phase(kafka: Cluster, traffic: Traffic, name: str, members: int) -> Phase:
    """Some orders with so many members."""
    return await _during(kafka, traffic, name, asyncio.create_task(_nothing()), members)


async def _nothing() -> None:
    """No change."""


async def _during(
    kafka: Cluster, traffic: Traffic, name: str, change: asyncio.Task[Any], members: int
) -> Phase:
    """The orders that are posted until the change is done and the group has so many members."""
    first, began = len(traffic.ids), time.monotonic()
    await change

    async def spread() -> Partitions | None:
        group = await kafka.group(GROUP)
        parts = group.of(TOPIC)
        return parts if group.stable and len(parts) == members and all(parts.values()) else None

    partitions = await until(spread, REBALANCE_SECONDS, f"{members} members share {TOPIC}")
    await traffic.more(PHASE_ORDERS)
    seconds = time.monotonic() - began
    orders = await traffic.api.all_ended(traffic.ids[first:])
    return Phase(name, orders, seconds, partitions)


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def _seconds(order: Document) -> float:
    times = [datetime.fromisoformat(entry["at"]) for entry in order["history"]]
    return (times[-1] - times[0]).total_seconds()


def _shares(partitions: Partitions) -> str:
    named = {name.removesuffix("-payment"): some for name, some in partitions.items()}
    return "; ".join(f"{name} {sorted(some)}" for name, some in sorted(named.items()))


DEMO = Demo("test-scaling", ABOUT, show, needs={"WORKERS": "1"}, seconds=LIMIT_SECONDS)

if __name__ == "__main__":
    sys.exit(main(DEMO))
