"""Amounts: integers of the minor unit (pence) inside, numbers with two decimals outside."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

MINOR_UNITS = 100
# 2**53 minor units is where a JSON number stops being exact; an amount stays far below.
MAX_MINOR = 10**14


def to_minor(amount: Any) -> int:
    """Minor units of a JSON number, rounded half to even.

    >>> to_minor(2.55), to_minor(3), to_minor(0.125)
    (255, 300, 12)

    Raises:
        ValueError: not a number, not finite, or beyond `MAX_MINOR`.
    """
    if isinstance(amount, bool) or not isinstance(amount, int | float | Decimal):
        raise ValueError("must be a number")
    try:
        # The shortest decimal that gives the float back is what its writer wrote.
        exact = Decimal(repr(amount) if isinstance(amount, float) else amount) * MINOR_UNITS
        minor = int(exact.to_integral_value(ROUND_HALF_EVEN))
    except (ArithmeticError, ValueError):
        raise ValueError("must be a finite number") from None
    if abs(minor) > MAX_MINOR:
        raise ValueError(f"must be at most {MAX_MINOR // MINOR_UNITS}")
    return minor


def to_major(minor: int) -> float:
    """The JSON number of an amount in minor units: `255` is `2.55`."""
    return minor / MINOR_UNITS


def text(minor: int) -> str:
    """The amount for people, with two decimals and thousands' commas: `1,234.50`."""
    sign = "-" if minor < 0 else ""
    return f"{sign}{abs(minor) // MINOR_UNITS:,}.{abs(minor) % MINOR_UNITS:02d}"


MONEY_SCHEMA: Mapping[str, Any] = {
    "type": "number",
    "description": "An amount of money, with two decimals.",
}
Money = Annotated[
    int,
    BeforeValidator(to_minor),
    PlainSerializer(to_major, return_type=float),
    WithJsonSchema(dict(MONEY_SCHEMA)),
]
"""A model's amount: a JSON number outside, an `int` of minor units inside."""
