"""The independent recomputation."""

from itertools import islice

import pytest

from benchmarks.windows.events import records
from benchmarks.windows.peers.orders import sale
from benchmarks.windows.reference import revenue

NINE = 1704099600  # 2024-01-01T09:00:00Z


def order(at: str, country: str, total: str) -> bytes:
    return f'{{"placedAt":"{at}","country":"{country}","total":{total}}}'.encode()


def test_revenue_is_added_up_by_hour_and_country_in_minor_units():
    assert {f"{NINE}|UK": 1240, f"{NINE}|Spain": 5, f"{NINE + 3600}|UK": 100} == revenue(
        [
            order("2024-01-01T09:00:00Z", "UK", "2.4"),
            order("2024-01-01T09:59:59.999000Z", "UK", "10.0"),
            order("2024-01-01T10:30:00+01:00", "Spain", "0.05"),
            order("2024-01-01T10:00:00Z", "UK", "1.0"),
        ]
    )


def test_many_amounts_add_up_exactly():
    orders = [order("2024-01-01T09:00:00Z", "UK", "0.1")] * 1000

    assert {f"{NINE}|UK": 10_000} == revenue(orders)


def test_an_amount_of_less_than_a_minor_unit_is_refused():
    with pytest.raises(ValueError, match="not a whole number"):
        revenue([order("2024-01-01T09:00:00Z", "UK", "0.125")])


def test_what_the_python_peers_read_of_an_order_gives_the_same():
    values = [record.value for record in islice(records(), 3000)]
    totals: dict[str, int] = {}
    for value in values:
        hour, country, amount = sale(value)
        key = f"{hour}|{country}"
        totals[key] = totals.get(key, 0) + amount

    assert revenue(values) == totals
