"""Amounts: nothing is lost between the number outside and the minor units inside."""

import json
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from app.money import MAX_MINOR, Money, text, to_major, to_minor

amounts = st.integers(-MAX_MINOR, MAX_MINOR)
many = settings(max_examples=300, deadline=None)


class Priced(BaseModel):
    price: Money


@many
@given(amounts)
def test_an_amount_survives_the_way_out_and_back(minor: int) -> None:
    assert minor == to_minor(to_major(minor))


@many
@given(amounts)
def test_an_amount_survives_json(minor: int) -> None:
    wire = Priced.model_construct(price=minor).model_dump_json()

    assert minor == Priced.model_validate_json(wire).price
    assert Decimal(minor) == Decimal(str(json.loads(wire)["price"])) * 100


@many
@given(st.decimals(-(10**11), 10**11, places=6))
def test_an_amount_is_rounded_half_to_even(amount: Decimal) -> None:
    expected = int(amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN).scaleb(2))

    assert expected == to_minor(amount)


@many
@given(amounts)
def test_a_half_of_a_minor_unit_goes_to_the_even_one(minor: int) -> None:
    half = Decimal(2 * minor + 1).scaleb(-2) / 2
    if abs(minor) < MAX_MINOR:
        assert 0 == to_minor(half) % 2
        assert Fraction(1, 2) == abs(to_minor(half) - Fraction(half) * 100)


@many
@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_a_float_becomes_the_minor_unit_nearest_to_what_was_written(amount: float) -> None:
    written = Fraction(repr(amount)) * 100

    assert abs(to_minor(amount) - written) <= Fraction(1, 2)


@many
@given(st.one_of(st.integers(), st.floats(), st.decimals(allow_nan=True, allow_infinity=True)))
def test_any_number_is_an_amount_within_bounds_or_refused(amount: float | Decimal) -> None:
    try:
        minor = to_minor(amount)
    except ValueError:
        assert not Decimal(amount).is_finite() or abs(Fraction(amount)) * 100 > MAX_MINOR
    else:
        assert abs(minor) <= MAX_MINOR


@pytest.mark.parametrize(
    ("minor", "amount"),
    [
        (255, 2.55),
        (300, 3),
        (12, 0.125),
        (14, 0.135),
        (2, 0.015),
        (0, 0.005),
        (102, 1.015),  # as written, though the float is less
        (100, 1.005),
        (-12, -0.125),
        (MAX_MINOR, MAX_MINOR // 100),
        (MAX_MINOR, MAX_MINOR / 100 + 0.001),
    ],
)
def test_amounts_by_example(minor: int, amount: float) -> None:
    assert minor == to_minor(amount)


@pytest.mark.parametrize(
    "amount",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("9E+999999"),
        True,
        False,
        "2.55",
        b"1",
        None,
        [1],
        1j,
    ],
    ids=repr,
)
def test_what_is_no_finite_number_is_refused(amount: object) -> None:
    with pytest.raises(ValueError, match=r"must be a( finite)? number"):
        to_minor(amount)


@pytest.mark.parametrize("amount", [MAX_MINOR // 100 + 1, -(MAX_MINOR // 100) - 1, 1e300, 10**400])
def test_what_is_beyond_the_bound_is_refused(amount: float) -> None:
    with pytest.raises(ValueError, match="must be at most"):
        to_minor(amount)


@pytest.mark.parametrize("wire", ["true", '"2.55"', "null", "NaN", "Infinity", "1e999", "{}"])
def test_a_model_refuses_what_is_no_amount(wire: str) -> None:
    with pytest.raises(ValidationError):
        Priced.model_validate_json('{"price": ' + wire + "}")


@many
@given(amounts)
def test_the_text_for_people_says_the_amount_to_the_minor_unit(minor: int) -> None:
    shown = text(minor)

    assert minor == int(Decimal(shown.replace(",", "")).scaleb(2))
    assert "." == shown[-3]


@pytest.mark.parametrize(
    ("shown", "minor"), [("1,234.50", 123450), ("0.05", 5), ("-0.05", -5), ("-1,000.00", -100000)]
)
def test_texts_by_example(shown: str, minor: int) -> None:
    assert shown == text(minor)
