"""What every Python system does with a record's value: the same, so that none gains by it."""

from datetime import UTC, datetime
from functools import cache

import orjson

HOUR_TEXT = len("2024-01-01T10")


@cache
def hour_start(text: str) -> int:
    """Unix time at which an hour begins, of `2024-01-01T10`."""
    return int(datetime.strptime(text, "%Y-%m-%dT%H").replace(tzinfo=UTC).timestamp())


def sale(value: bytes) -> tuple[int, str, int]:
    """An order's hour, country and total in minor units."""
    order = orjson.loads(value)
    return hour_start(order["placedAt"][:HOUR_TEXT]), order["country"], round(order["total"] * 100)
