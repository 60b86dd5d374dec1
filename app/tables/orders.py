"""What an order's events add to which windows.

A window is chosen by the order's `placedAt`. An order is counted when it is first heard of, and its
end once; revenue and units are those of confirmed orders.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, compress
from typing import Any

from app.tables import keys
from app.tables.decoding import MINOR, MS, Entry, Kind
from app.tables.folding import Decided, Late, Plan, WindowFold
from app.tables.keys import By
from app.tables.ledger import NEVER, Ledger, Progress, Seen
from app.tables.tally import Summary, Sums, Tally

NO_COUNTRY = "unknown"

CountedOrder = tuple[int, int, Late, Mapping[str, Any], Kind, bool, int, int, float | None]
"""A record that counts: its offset, when the order was placed (ms), the windows it is too late for,
the event's data, and what is counted. It counts as a new order (a bool says so), or as an end (its
kind), or both; the total in minor units and the units are those of a confirmed order, and last come
the seconds it took. A bare tuple, for there is one a record."""


class OrderFold(WindowFold[CountedOrder]):
    """Orders into windows by country, by product and in all, and into the totals."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._country = By.COUNTRY in plan.by
        self._product = By.PRODUCT in plan.by
        self._all = By.NONE in plan.by

    def decide(self, ledger: Ledger, entries: Sequence[Entry]) -> Decided:
        """Which of the entries count."""
        before = ledger.progress
        watermark, newest, arrived = before.watermark, before.newest, before.arrived
        known, over = ledger.opened, ledger.ended
        opened: dict[bytes, int] = {}
        ended: set[bytes] = set()
        seen: list[Seen] = []
        counted: list[CountedOrder] = []
        ahead, grace = self.plan.ahead_seconds * MS, self.plan.grace_seconds * MS
        offset = before.offset
        # Looked up once, not once a record.
        other, placed, confirmed = Kind.OTHER, Kind.PLACED, Kind.CONFIRMED
        for record, kind, ident, at, total, data in entries:
            at_offset = record.offset
            if at_offset < offset or kind is other or ident in over or ident in ended:
                continue
            begun = opened.get(ident)
            if begun is None:
                begun = known.get(ident)
            arrived = came = record.timestamp
            # The end of an order that came in time is in time, however long it took: orders that
            # end sooner must not make those under way late. But a window that is deleted must not
            # begin anew with it.
            if at + grace >= watermark:
                late: Late = ()
            elif begun is not None and begun >= 0:
                late = self.gone_for(at, watermark)
            else:
                late = self.late_for(at, watermark)
            # The time of now goes no further than the record's own: else the rate would stand still
            # until what was placed in the future is the present.
            if at > newest and came > newest:
                newest = min(at, came)
            if kind is placed:
                if begun is None:
                    opened[ident] = begun = _late_mark(came) if late else came
                    seen.append((at_offset, ident, begun))
                    counted.append((at_offset, at, late, data, kind, True, 0, 0, None))
                continue
            ended.add(ident)
            seen.append((at_offset, ident, NEVER))
            # An event time moves the watermark no further than this.
            reached = min(came + ahead, at)
            if reached > watermark:
                watermark = reached
            seconds = None if begun is None else max(came - _came(begun), 0) / MS
            money, quantity = (total, units(data)) if kind is confirmed else (0, 0)
            counted.append(
                (at_offset, at, late, data, kind, begun is None, money, quantity, seconds)
            )
        progress = Progress(max(offset, entries[-1][0].offset + 1), watermark, newest, arrived)
        return Decided(progress, counted, seen)

    def tallies(self, counted: Sequence[CountedOrder]) -> Mapping[bytes, Tally]:
        """What these orders add, by the tally's key."""
        sizes = self.plan.sizes
        smallest = sizes[0]
        cells: dict[tuple[int, By, int, str], Sums] = {}
        groups: dict[tuple[int, int], list[CountedOrder]] = {}
        for each in counted:
            at, late = each[1:3]
            start = at // MS
            start -= start % smallest
            if late:
                for size in sizes:
                    if size not in late:
                        self._count(cells, size, start - start % size, each)
                        groups.setdefault((size, start - start % size), []).append(each)
                continue
            self._count(cells, smallest, start, each)
            if self._all:
                groups.setdefault((smallest, start), []).append(each)
        self._roll_up(cells, groups)
        found: dict[bytes, Tally] = {
            keys.window(size, by, start, key): sums
            for (size, by, start, key), sums in cells.items()
        }
        if self._all:
            for (size, start), orders in groups.items():
                found[keys.window(size, By.NONE, start)] = summary(orders)
        found[keys.TOTALS] = summary(counted, totals=True)
        return found

    def decode_tally(self, key: bytes, stored: bytes) -> Tally:
        """Summaries of all orders, sums of the rest."""
        if key == keys.TOTALS or key[keys.BY_AT] == By.NONE:
            return Summary.decode(stored)
        return Sums.decode(stored)

    def _count(
        self, cells: dict[tuple[int, By, int, str], Sums], size: int, start: int, each: CountedOrder
    ) -> None:
        _, _, _, data, kind, opens, total, quantity, _ = each
        if self._country:
            cell = size, By.COUNTRY, start, data.get("country") or NO_COUNTRY
            sums = cells.get(cell)
            if sums is None:
                sums = cells[cell] = Sums()
            note(sums, kind, opens, total, quantity)
        if self._product:
            for product, (revenue, quantity) in lines(data).items():
                cell = size, By.PRODUCT, start, product
                sums = cells.get(cell)
                if sums is None:
                    sums = cells[cell] = Sums()
                note(sums, kind, opens, revenue, quantity)

    def _roll_up(
        self,
        cells: dict[tuple[int, By, int, str], Sums],
        groups: dict[tuple[int, int], list[CountedOrder]],
    ) -> None:
        """Larger windows are sums of the smallest; what is late for some has its own way."""
        smallest, *larger = self.plan.sizes
        small = [(cell, sums) for cell, sums in cells.items() if cell[0] == smallest]
        small_groups = [(at, orders) for at, orders in groups.items() if at[0] == smallest]
        for size in larger:
            for (_, by, start, key), sums in small:
                cells.setdefault((size, by, start - start % size, key), Sums()).add(sums)
            for (_, start), orders in small_groups:
                groups.setdefault((size, start - start % size), []).extend(orders)


def _late_mark(came: int) -> int:
    """When an order came, in ms, that was too late for some window: below zero."""
    return -1 - came


def _came(begun: int) -> int:
    return -1 - begun if begun < 0 else begun


def note(sums: Sums, kind: Kind, opens: bool, revenue: int, quantity: int) -> None:
    """Add one order to sums; its revenue and units only where it is confirmed."""
    if opens:
        sums.orders += 1
    if kind is Kind.CONFIRMED:
        sums.confirmed += 1
        sums.revenue += revenue
        sums.units += quantity
    elif kind is Kind.CANCELLED:
        sums.cancelled += 1


def units(data: Mapping[str, Any]) -> int:
    """How many things were ordered."""
    total = 0
    for item in data["items"]:
        total += item["quantity"]
    return total


def lines(data: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Of each product its revenue in minor units, and its quantity; lines of a product add up."""
    found: dict[str, tuple[int, int]] = {}
    for item in data["items"]:
        product, quantity = item["productId"], item["quantity"]
        revenue = round(item["price"] * MINOR) * quantity
        known = found.get(product)
        found[product] = (
            (revenue, quantity) if known is None else (known[0] + revenue, known[1] + quantity)
        )
    return found


def summary(counted: Sequence[CountedOrder], *, totals: bool = False) -> Summary:
    """All orders together; the totals also count who came late, and for what."""
    found = Summary()
    if not counted:
        return found
    # A column at a time is quicker than an order at a time, and this is done for each size.
    _, _, lates, datas, kinds, opens, money, quantities, times = zip(*counted, strict=True)
    found.sums = Sums(
        orders=sum(opens),
        confirmed=kinds.count(Kind.CONFIRMED),
        cancelled=kinds.count(Kind.CANCELLED),
        revenue=sum(money),
        units=sum(quantities),
    )
    for data in compress(datas, [kind is Kind.CANCELLED for kind in kinds]):
        reason = data.get("reason") or "UNKNOWN"
        found.reasons[reason] = found.reasons.get(reason, 0) + 1
    if totals:
        for size in chain.from_iterable(lates):
            found.late[str(size)] = found.late.get(str(size), 0) + 1
    found.note(
        {data["userId"] for data in compress(datas, opens)},
        [seconds for seconds in times if seconds is not None],
    )
    return found
