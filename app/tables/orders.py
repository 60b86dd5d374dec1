"""What an order's events add to which windows.

A window is chosen by the order's `placedAt`. An order is counted when it is first heard of, and its
end once; revenue and units are those of confirmed orders.
"""

from binascii import unhexlify
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from typing import Any

import orjson

from app import codec
from app.codec import UndecodableError
from app.events import OrderCancelled, OrderConfirmed, OrderPlaced
from app.tables import keys
from app.tables.folding import MS, Counted, Decided, Plan, WindowFold
from app.tables.keys import By
from app.tables.ledger import NEVER, Ledger, Progress, Seen
from app.tables.tally import Summary, Sums, Tally
from app.topics import ORDER

NO_COUNTRY = "unknown"
# More than a year has: a replay goes through the hours in their order, near enough.
HOURS_KEPT = 10_000
MINUTE_MS = 60_000
TWO_DIGITS = {f"{number:02d}": number for number in range(60)}
MINOR = 100


class Kind(IntEnum):
    """What a record says of its order."""

    OTHER = 0
    PLACED = 1
    CONFIRMED = 2
    CANCELLED = 3


KINDS = {
    OrderPlaced.__name__.encode(): Kind.PLACED,
    OrderConfirmed.__name__.encode(): Kind.CONFIRMED,
    OrderCancelled.__name__.encode(): Kind.CANCELLED,
}


Entry = tuple[int, Kind, bytes, int, int, int, Mapping[str, Any]]
"""A record as the fold needs it: offset, kind, the order's id, when the record came and when the
order was placed (ms since the epoch), its total in minor units, and the event's data. A bare tuple,
for there is one a record."""
NOTHING: Mapping[str, Any] = {}
# What is raised where a record is not as the services write it.
NOT_AS_WRITTEN = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


@dataclass(slots=True)
class CountedOrder(Counted):
    """`entry` holds the event's data; it counts as a new order (`opens`) or as an end (`kind`), or
    both. `total` in minor units and `units` are those of a confirmed order, `seconds` it took."""

    kind: Kind = Kind.OTHER
    opens: bool = False
    total: int = 0
    units: int = 0
    seconds: float | None = None


def milliseconds(text: str) -> int:
    """An ISO 8601 time with its zone, in ms since the epoch.

    Raises:
        ValueError: it is none.
    """
    hour = _hour(text[:14])
    minutes, seconds = TWO_DIGITS.get(text[14:16]), TWO_DIGITS.get(text[17:19])
    if minutes is None or seconds is None or text[16:17] != ":" or text[19:] != "Z":
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("a time without its zone")
        return round(at.timestamp() * MS)
    return hour + minutes * MINUTE_MS + seconds * MS


@lru_cache(HOURS_KEPT)
def _hour(text: str) -> int:
    """`2026-01-31T12:`, in ms since the epoch: most of a time's cost, and shared by many."""
    return round(datetime.fromisoformat(f"{text}00Z").timestamp() * MS)


def decode(record: Any) -> Entry:
    """The entry of a record of the order topic.

    The quick way for what the services write; what does not fit is told by the codec.

    Raises:
        UndecodableError: it is no event of its topic.
    """
    try:
        return _entry(record, orjson.loads(record.value))
    except UndecodableError:
        raise
    except NOT_AS_WRITTEN as error:
        codec.decode(ORDER, record.key, record.value, record.headers)
        raise UndecodableError(f"{type(error).__name__}: {error}") from error


def decode_all(records: Sequence[Any]) -> list[Entry]:
    """The entries of many records, parsed as one document: a third quicker.

    Raises:
        UndecodableError: one of them is no event of its topic.
    """
    try:
        parsed = orjson.loads(b"[" + b",".join([record.value for record in records]) + b"]")
        # Values that are no JSON by themselves may be so together; then a key does not fit.
        return [_entry(record, data) for record, data in zip(records, parsed, strict=True)]
    except NOT_AS_WRITTEN as error:
        raise UndecodableError(f"{type(error).__name__}: {error}") from error


def _entry(record: Any, data: Any) -> Entry:
    for name, content in record.headers:
        if name == "ce_type":
            kind = KINDS.get(content)
            break
    else:
        kind = None
    key = record.key
    if kind is None:
        codec.decode(ORDER, key, record.value, record.headers)
        return record.offset, Kind.OTHER, b"", 0, 0, 0, NOTHING
    total = round(data["total"] * MINOR)
    if data["orderId"].encode() != key or total < 0 or not data["userId"] or not data["items"]:
        raise ValueError("not as the services write it")
    return (
        record.offset,
        kind,
        unhexlify(key.replace(b"-", b"")),
        record.timestamp,
        milliseconds(data["placedAt"]),
        total,
        data,
    )


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
        for at_offset, kind, ident, came, at, total, data in entries:
            if at_offset < offset or kind is other or ident in over or ident in ended:
                continue
            begun = opened.get(ident)
            if begun is None:
                begun = known.get(ident)
            arrived = came
            # The end of an order that came in time is in time, however long it took: orders that
            # end sooner must not make those under way late.
            in_time = at + grace >= watermark or (begun is not None and begun >= 0)
            late = () if in_time else self.late_for(at, watermark)
            # An event time moves the clocks no further than this.
            reached = min(at, came + ahead)
            if reached > newest:
                newest = reached
            if kind is placed:
                if begun is None:
                    opened[ident] = begun = _late_mark(came) if late else came
                    seen.append((at_offset, ident, begun))
                    counted.append(CountedOrder(at_offset, at, data, late, kind, True))
                continue
            ended.add(ident)
            seen.append((at_offset, ident, NEVER))
            if reached > watermark:
                watermark = reached
            seconds = None if begun is None else max(came - _came(begun), 0) / MS
            money, quantity = (total, units(data)) if kind is confirmed else (0, 0)
            counted.append(
                CountedOrder(
                    at_offset, at, data, late, kind, begun is None, money, quantity, seconds
                )
            )
        progress = Progress(max(offset, entries[-1][0] + 1), watermark, newest, arrived)
        return Decided(progress, counted, seen)

    def tallies(self, counted: Sequence[CountedOrder]) -> Mapping[bytes, Tally]:
        """What these orders add, by the tally's key."""
        sizes = self.plan.sizes
        smallest = sizes[0]
        cells: dict[tuple[int, By, int, str], Sums] = {}
        groups: dict[tuple[int, int], list[CountedOrder]] = {}
        for each in counted:
            start = each.at // MS
            start -= start % smallest
            if each.late:
                for size in sizes:
                    if size not in each.late:
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
        if self._country:
            cell = size, By.COUNTRY, start, each.entry.get("country") or NO_COUNTRY
            sums = cells.get(cell)
            if sums is None:
                sums = cells[cell] = Sums()
            note(sums, each, each.total, each.units)
        if self._product:
            for product, (revenue, quantity) in lines(each.entry).items():
                cell = size, By.PRODUCT, start, product
                sums = cells.get(cell)
                if sums is None:
                    sums = cells[cell] = Sums()
                note(sums, each, revenue, quantity)

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


def note(sums: Sums, each: CountedOrder, revenue: int, quantity: int) -> None:
    """Add one order to sums; its revenue and units only where it is confirmed."""
    if each.opens:
        sums.orders += 1
    kind = each.kind
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
    sums = found.sums
    confirmed = [each for each in counted if each.kind is Kind.CONFIRMED]
    cancelled = [each for each in counted if each.kind is Kind.CANCELLED]
    sums.orders = sum([each.opens for each in counted])
    sums.confirmed, sums.cancelled = len(confirmed), len(cancelled)
    sums.revenue = sum([each.total for each in confirmed])
    sums.units = sum([each.units for each in confirmed])
    for each in cancelled:
        reason = each.entry.get("reason") or "UNKNOWN"
        found.reasons[reason] = found.reasons.get(reason, 0) + 1
    if totals:
        for late in [each.late for each in counted if each.late]:
            for size in late:
                found.late[str(size)] = found.late.get(str(size), 0) + 1
    found.note(
        {each.entry["userId"] for each in counted if each.opens},
        [each.seconds for each in counted if each.seconds is not None],
    )
    return found
