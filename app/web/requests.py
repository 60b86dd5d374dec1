"""What clients send: parsed and checked before anything is done with it."""

import asyncio
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import orjson
from aiohttp import hdrs, web
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from app.events import Item, OrderPlaced
from app.money import MAX_MINOR, MONEY_SCHEMA, Money, text, to_major
from app.schemas import PRINTABLE
from app.web import answers
from app.web.problems import ProblemError, invalid

ERRORS_SHOWN = 50
# Each costs 8 us to put into words, and a body of 1 MiB can have 100,000.
ERRORS_PUT_INTO_WORDS = 10_000
# Any that is meant well is shorter. Those that are not are parsed in quadratic time: 8 kB took 3 s.
CONTENT_TYPE_CHARACTERS = 127
IDENTITY = "identity"
# A body of 1 MiB takes 8 s at 1 Mbit/s; who is much slower holds the connection on purpose.
BODY_SECONDS = 30.0
NAME_SHOWN = 100
RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII
)
# Windows count from the epoch. The upper end only keeps times well inside what every store and
# language can hold.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def printable(value: str) -> str:
    """A text of people or programs: nothing that would garble a log, a key or a screen."""
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in value):
        raise ValueError("must not contain control characters")
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def _rfc3339(value: Any) -> Any:
    if isinstance(value, str) and RFC3339.fullmatch(value):
        return value
    raise ValueError("must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z")


def _stored_precision(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise ValueError(f"must be from {EARLIEST.year} to {LATEST.year - 1}")
    return milliseconds(value)


def milliseconds(at: datetime) -> datetime:
    """`at` in UTC, as precise as the database keeps it, so that no later answer differs."""
    return at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)


ProductId = Annotated[
    str,
    Field(min_length=1, max_length=64, json_schema_extra=PRINTABLE),
    AfterValidator(printable),
]
UserId = Annotated[
    str,
    Field(min_length=1, max_length=128, json_schema_extra=PRINTABLE),
    AfterValidator(printable),
]
Country = Annotated[
    str,
    Field(min_length=1, max_length=64, json_schema_extra=PRINTABLE),
    AfterValidator(printable),
]
PlacedAt = Annotated[AwareDatetime, BeforeValidator(_rfc3339), AfterValidator(_stored_precision)]


# `GET /movies/top` is the list of top movies.
RESERVED_MOVIES = frozenset({"top", "windows"})


def _not_reserved(value: str) -> str:
    if value in RESERVED_MOVIES:
        raise ValueError("is the name of something else under /movies")
    return value


MovieId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        json_schema_extra=PRINTABLE,
    ),
    AfterValidator(printable),
    AfterValidator(_not_reserved),
]

UNITS_MOST = 1_000_000_000
# As browsers check it (HTML, 4.10.5.1.5), but with a dot in the domain and none astray before it.
EMAIL = re.compile(
    r"(?=.{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)


def _address(value: str) -> str:
    if not EMAIL.fullmatch(value):
        raise ValueError("must be an e-mail address, such as alice@example.com")
    return value


Name = Annotated[
    str,
    Field(min_length=1, max_length=200, json_schema_extra=PRINTABLE),
    AfterValidator(printable),
]
Email = Annotated[
    str,
    Field(max_length=254, json_schema_extra={"format": "email"}),
    AfterValidator(_address),
]


Price = Annotated[
    Money,
    Field(ge=0),
    WithJsonSchema({**MONEY_SCHEMA, "minimum": 0, "maximum": to_major(MAX_MINOR)}),
]


def _whole(value: Any) -> Any:
    """JSON has one kind of numbers: 2.0 is the integer 2 (JSON Schema, 6.1.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _not_empty(items: tuple[Any, ...]) -> tuple[Any, ...]:
    # After the items, because pydantic's own limit counts only those that are valid.
    if not items:
        raise ValueError("must have at least one item")
    return items


class RequestModel(BaseModel):
    """Base of request bodies: camelCase, and a field that nobody reads is refused, not ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class PlaceItem(RequestModel):
    """One order line; `price` is a unit's."""

    product_id: ProductId
    quantity: Annotated[int, Field(strict=True, ge=1, le=1_000_000), BeforeValidator(_whole)]
    price: Price


class PlaceOrder(RequestModel):
    """The body of `POST /orders`. A price has two decimals; more are rounded half to even."""

    user_id: UserId
    items: Annotated[
        tuple[PlaceItem, ...],
        AfterValidator(_not_empty),
        Field(json_schema_extra={"minItems": 1}),
    ]
    total: Price | None = None
    country: Country | None = None
    placed_at: PlacedAt | None = None

    @property
    def sum(self) -> int:
        """Quantity times price over all items, in minor units."""
        return sum(item.quantity * item.price for item in self.items)

    def fingerprint(self) -> str:
        """The same for bodies that ask for the same, however they are written."""
        lines = [[item.product_id, item.quantity, item.price] for item in self.items]
        content = [self.user_id, lines, self.sum, self.country, self.placed_at]
        return sha256(answers.encoded(content)).hexdigest()

    def placed(self, order_id: str, now: datetime) -> OrderPlaced:
        """The event's data; `now` is when it was placed unless it says so itself."""
        return OrderPlaced.model_construct(
            order_id=order_id,
            user_id=self.user_id,
            items=tuple(
                Item.model_construct(product_id=i.product_id, quantity=i.quantity, price=i.price)
                for i in self.items
            ),
            total=self.sum,
            country=self.country,
            placed_at=self.placed_at or milliseconds(now),
            fingerprint=self.fingerprint(),
        )


class NewUser(RequestModel):
    """The body of `POST /users`; without an id one is made up."""

    user_id: UserId | None = None
    name: Name
    email: Email


class ViewMovie(RequestModel):
    """The body of `POST /movies/{movieId}/views`: who viewed it."""

    user_id: UserId


class StockLevel(RequestModel):
    """The body of `PUT /inventory/{productId}`, in units."""

    available: Annotated[int, Field(strict=True, ge=0, le=UNITS_MOST), BeforeValidator(_whole)]


M = TypeVar("M", bound=RequestModel)


def parse(model: type[M], body: bytes) -> M:
    """What a body says.

    Raises:
        ProblemError: 400 for what is no JSON, 422 naming each field that is wrong.
    """
    return _validated(model, _json(body))


def parse_order(body: bytes, *, max_items: int) -> PlaceOrder:
    """The order in a body.

    Raises:
        ProblemError: 400 for what is no JSON, 422 naming each field that is wrong.
    """
    content = _json(body)
    items = content.get("items") if isinstance(content, dict) else None
    if isinstance(items, list) and len(items) > max_items:
        raise invalid([error_of("items", f"must be at most {max_items} items, not {len(items)}")])
    order = _validated(PlaceOrder, content)
    if order.sum > MAX_MINOR:
        raise invalid([error_of("items", f"must add up to at most {text(MAX_MINOR)}")])
    if order.total is not None and order.total != order.sum:
        raise invalid(
            [
                error_of(
                    "total", f"is {text(order.total)} but the items add up to {text(order.sum)}"
                )
            ],
            kind="total-mismatch",
        )
    return order


async def read_json_body(request: web.Request) -> bytes:
    """The body of a request that says it is JSON.

    Raises:
        ProblemError: 415 where it says something else, 408 where it does not arrive.
    """
    if not _is_json(request):
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Send {answers.CONTENT_TYPE} in UTF-8.",
            headers={"Accept-Post" if request.method == "POST" else "Accept": answers.CONTENT_TYPE},
        )
    if request.headers.get("Content-Encoding", IDENTITY).lower() != IDENTITY:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "Send the body as it is, without a Content-Encoding.",
            headers={"Accept-Encoding": IDENTITY},
        )
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {BODY_SECONDS:.0f} s.",
            headers={"Connection": "close"},
        ) from None


def _is_json(request: web.Request) -> bool:
    if len(request.headers.get(hdrs.CONTENT_TYPE, "")) > CONTENT_TYPE_CHARACTERS:
        return False
    charset = (request.charset or "utf-8").lower()
    return request.content_type == answers.CONTENT_TYPE and charset in ("utf-8", "utf8")


def _validated(model: type[M], content: Any) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(errors_of(error)) from None


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        detail = f"The body is not JSON: {error}." if body else "The body is empty."
        raise ProblemError(HTTPStatus.BAD_REQUEST, detail, kind="bad-json") from None


def errors_of(error: ValidationError) -> Sequence[Mapping[str, str]]:
    """What is wrong with which field."""
    if error.error_count() > ERRORS_PUT_INTO_WORDS:
        return [error_of("body", f"has {error.error_count()} faults")]
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        error_of(
            ".".join(str(part)[:NAME_SHOWN] for part in each["loc"]) or "body",
            "is not a field of this request"
            if each["type"] == "extra_forbidden"
            else each["msg"].removeprefix("Value error, "),
        )
        for each in found[:ERRORS_SHOWN]
    ]


def error_of(field: str, detail: str) -> Mapping[str, str]:
    """One field, and what is wrong with it."""
    return {"field": field, "detail": detail}
