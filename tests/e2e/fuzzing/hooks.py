"""For Schemathesis: values of our formats, and what a schema can't say of a valid request.

What is meant to be refused goes out as it was made.
"""

import uuid
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis
from hypothesis import strategies as st

# Times that the API takes; the format alone would begin with year 0.
FIRST, LAST = datetime(1970, 1, 2), datetime(2199, 12, 30)  # noqa: DTZ001 (as Hypothesis wants it)
NAME = st.from_regex(r"[a-z][a-z0-9_+-]{0,20}(\.[a-z0-9]{1,10})?", fullmatch=True)
# What an order may come to, and the largest quantity of a line.
LARGEST_SUM, LARGEST_QUANTITY = 10**12, 10**6
SIZES = ("60", "3600", "86400")
LONGEST_HOPPING = 900
# The lessons take their time on purpose: a little is enough. Parameter and what it is cut to.
LESSONS = {"/blocking": ("ms", 5), "/non-blocking": ("ms", 5), "/cpu-bound": ("n", 10_000)}

schemathesis.openapi.format(
    "date-time",
    st.datetimes(FIRST, LAST, timezones=st.just(UTC)).map(
        lambda at: at.isoformat(timespec="seconds").replace("+00:00", "Z")
    ),
)
schemathesis.openapi.format(
    "date",
    st.dates(FIRST.date() + timedelta(days=1), LAST.date()).map(lambda day: day.isoformat()),
)
schemathesis.openapi.format("email", NAME.map(lambda name: f"{name}@example.com"))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Make a request that is meant to be taken such that it can be."""
    query = case.query or {}
    _shorten(case.operation.path, query)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    # A cursor is only handed back, and a key belongs to one body.
    query.pop("cursor", None)
    headers = case.headers or {}
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = uuid.uuid4().hex
    _windows(query)
    if isinstance(case.body, dict) and "items" in case.body:
        _add_up(case.body)


def _shorten(path: str, query: MutableMapping[str, Any]) -> None:
    name, most = LESSONS.get(path, ("", 0))
    given = query.get(name)
    if str(given).isdecimal() and int(given) > most and len(str(given)) <= len(str(10**6)):
        query[name] = most


def _windows(query: MutableMapping[str, Any]) -> None:
    """What goes with what."""
    query.pop("fromKey", None)
    if query.get("from") and query.get("to"):
        query.pop("to")
    size = str(query.get("size") or "")
    if query.get("hop"):
        query["by"] = "none"
        if size.isdecimal() and int(size) > LONGEST_HOPPING:
            query.pop("size")
    elif "hop" in query or ("from" in query or "to" in query or "by" in query):
        if size not in SIZES:
            query.pop("size", None)
    elif size.isdecimal() and size not in SIZES:
        query.pop("size")


def _add_up(order: MutableMapping[str, Any]) -> None:
    """No total, which would be another; and the sum is not too large."""
    order.pop("total", None)
    most = LARGEST_SUM / LARGEST_QUANTITY / max(1, len(order["items"]))
    for item in order["items"]:
        item["price"] = min(item["price"], most)
