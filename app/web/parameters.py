"""What clients say beside a body: in a path, a query, a header."""

import re
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import TypeVar

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from app.web.problems import ProblemError, invalid
from app.web.requests import error_of, errors_of
from app.web.tracing import about_order

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
KEY_HEADER = "Idempotency-Key"
VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")
# Twenty years: long before the first order, and well inside what dates can tell.
SECONDS_MOST = 630_000_000.0
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

S = TypeVar("S", bound=StrEnum)


def idempotency_key(request: web.Request) -> str | None:
    """The request's idempotency key, if it has one.

    Raises:
        ProblemError: 400 where it is not a usable one.
    """
    given = request.headers.getall(KEY_HEADER, [])
    if not given:
        return None
    if len(given) > 1 or not VISIBLE_ASCII.fullmatch(given[0]):
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"{KEY_HEADER} must be 1 to 255 visible ASCII characters, given once.",
            kind="bad-idempotency-key",
        )
    return given[0]


def order_id_of(request: web.Request) -> str:
    """The order id in the path, in its canonical text.

    Raises:
        ProblemError: 404 where it is no UUID, so no order's.
    """
    order_id = request.match_info["orderId"].lower()
    if not UUID.fullmatch(order_id):
        raise ProblemError(HTTPStatus.NOT_FOUND, "There is no such order: its id is not a UUID.")
    about_order(request, order_id)
    return order_id


def whole_number(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """The query parameter `name`, from 1 to `most`.

    Raises:
        ProblemError: 422 where it is something else.
    """
    given = query.get(name)
    if given is None:
        return default
    if re.fullmatch(r"[0-9]{1,9}", given) and 1 <= int(given) <= most:
        return int(given)
    raise invalid([error_of(name, f"must be a whole number from 1 to {most}")])


def choice(query: Mapping[str, str], name: str, of: type[S]) -> S | None:
    """The query parameter `name`, one of an enumeration's values; None where it is not given.

    Raises:
        ProblemError: 422 where it is something else.
    """
    given = query.get(name)
    if not given:
        return None
    if given in list(of):
        return of(given)
    raise invalid([error_of(name, f"must be one of {', '.join(of)}")])


def text_filter(query: Mapping[str, str], name: str, of: TypeAdapter[str]) -> str | None:
    """The query parameter `name`, a text of some kind; None where it is not given.

    Raises:
        ProblemError: 422 where it could not be one.
    """
    given = query.get(name)
    if not given:
        return None
    try:
        return of.validate_python(given)
    except ValidationError as error:
        raise invalid([error_of(name, errors_of(error)[0]["detail"])]) from None


def seconds_of(query: Mapping[str, str], name: str) -> float | None:
    """The query parameter `name`, a number of seconds; None where it is not given.

    Raises:
        ProblemError: 422 where it is something else.
    """
    given = query.get(name)
    if not given:
        return None
    if SECONDS.fullmatch(given) and float(given) <= SECONDS_MOST:
        return float(given)
    raise invalid([error_of(name, f"must be a number of seconds from 0 to {SECONDS_MOST:.0f}")])


def valid_or_none(of: TypeAdapter[str], given: str) -> str | None:
    """A part of the path, None where it could be no such thing's id."""
    try:
        return of.validate_python(given)
    except ValidationError:
        return None
