"""What clients of the analytics views ask for, in their queries."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from app.tables.keys import By
from app.tables.reading import Range
from app.web.analytics.queries import CELLS_MOST, FIRST, LAST
from app.web.parameters import choice, whole_number
from app.web.problems import invalid
from app.web.requests import EARLIEST, LATEST, error_of

CELLS_DEFAULT = 500
# Hopping windows are made of those of one minute; each adds up so many at most.
MINUTE = 60
HOP_SIZE_MOST = 15 * MINUTE
# No product's name is longer (64), nor a country's.
KEY_CHARACTERS = 128
EPOCH_SECONDS = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
ISO_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?([Zz]|[+-]\d{2}:?\d{2})?", re.ASCII
)


class Allow(StrEnum):
    """What answer a client takes."""

    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows that are asked for; `hop` seconds apart where they hop."""

    range: Range
    allow_partial: bool
    hop: int | None = None


def allow_partial(query: Mapping[str, str]) -> bool:
    """Whether an answer without some partitions will do.

    Raises:
        ProblemError: 422, as for all that follow.
    """
    return choice(query, "allow", Allow) is Allow.PARTIAL


def window_size(query: Mapping[str, str], sizes: tuple[int, ...], *, default: int) -> int:
    """The parameter `size`: one of those that are kept."""
    given = query.get("size")
    if not given:
        return default
    if given in map(str, sizes):
        return int(given)
    raise invalid([error_of("size", f"must be one of {', '.join(map(str, sizes))} (seconds)")])


def dimension(query: Mapping[str, str], dimensions: tuple[By, ...]) -> By:
    """The parameter `by`: one of those that are kept, `none` by default."""
    given = query.get("by")
    if not given:
        return By.NONE
    for by in dimensions:
        if given == by.name.lower():
            return by
    names = ", ".join(by.name.lower() for by in dimensions)
    raise invalid([error_of("by", f"must be one of {names}")])


def instant(query: Mapping[str, str], name: str) -> datetime | None:
    """The parameter `name`, a time: ISO 8601 (UTC where it names no zone), or seconds since the
    epoch."""
    given = query.get(name)
    if not given:
        return None
    try:
        at = _instant(given)
    except (ValueError, OverflowError):
        at = None
    if at is not None and EARLIEST <= at < LATEST:
        return at
    raise invalid(
        [
            error_of(
                name,
                "must be a time such as 2026-01-31T12:00:00Z, or seconds since 1970, from "
                f"{EARLIEST.year} to {LATEST.year - 1}",
            )
        ]
    )


def _instant(given: str) -> datetime | None:
    if EPOCH_SECONDS.fullmatch(given):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(given))
    if "T" in given:
        given = given.replace(" ", "+")  # which it was, before it was decoded as a query
    if not (ISO_TIME.fullmatch(given) or ISO_DATE.fullmatch(given)):
        return None
    at = datetime.fromisoformat(given.upper())
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def windows(
    query: Mapping[str, str], sizes: tuple[int, ...], dimensions: tuple[By, ...]
) -> Windows:
    """The windows that start at `from` or later and before `to`; without `from` the newest."""
    hop = _hop(query)
    size = _hopping_size(query) if hop else window_size(query, sizes, default=sizes[0])
    by = dimension(query, (By.NONE,) if hop else dimensions)
    first, last = instant(query, "from"), instant(query, "to")
    if first is not None and last is not None and first >= last:
        raise invalid([error_of("from", "must be before `to`")])
    from_key = query.get("fromKey", "")
    if from_key and (first is None or by is By.NONE or len(from_key) > KEY_CHARACTERS):
        raise invalid(
            [error_of("fromKey", "is what an answer's `nextKey` was, with `from` its `next`")]
        )
    return Windows(
        Range(
            size=size,
            by=by,
            first=FIRST if first is None else math.ceil(first.timestamp()),
            last=LAST if last is None else math.ceil(last.timestamp()),
            limit=whole_number(query, "limit", default=CELLS_DEFAULT, most=CELLS_MOST),
            from_key=from_key,
            newest=first is None,
        ),
        allow_partial(query),
        hop,
    )


def _hop(query: Mapping[str, str]) -> int | None:
    given = query.get("hop")
    if not given:
        return None
    if given == str(MINUTE):
        return MINUTE
    raise invalid([error_of("hop", f"must be {MINUTE} (seconds)")])


def _hopping_size(query: Mapping[str, str]) -> int:
    if not query.get("size"):
        return 5 * MINUTE
    size = whole_number(query, "size", default=5 * MINUTE, most=HOP_SIZE_MOST)
    if size % MINUTE:
        raise invalid([error_of("size", f"must be a multiple of {MINUTE}")])
    return size
