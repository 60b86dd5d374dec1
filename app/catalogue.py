"""Built-in orders for where there are no real ones: a seeded shop without end.

What real orders show is kept: a few products sell most, a product may stand on an order twice, most
customers are at home in one country. The same seed gives the same orders, whatever their number.
"""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate, count

from app.retail import Line, Sale

PRODUCTS = 500
CUSTOMERS = 2000
MOST_ITEMS = 5
MOST_UNITS = 12

# Zipf's exponent: the first product is on 11 % of the lines.
POPULARITY_EXPONENT = 0.9
# Of the exponential distribution that quantities follow: 2.2 units a line on average.
QUANTITY_RATE = 0.6
# Median price 4.00; one product in forty costs more than 26.00.
PRICE_MU, PRICE_SIGMA = 5.99, 0.97

COUNTRIES: Mapping[str, int] = {
    "United Kingdom": 60,
    "Germany": 12,
    "France": 10,
    "Netherlands": 6,
    "Spain": 5,
    "Portugal": 4,
    "Japan": 3,
}

OPENED = datetime(2024, 1, 1, 8, tzinfo=UTC)
SECONDS_BETWEEN_ORDERS = 20.0

# Units of each product for each order that will come: 7 % of 2,000 orders then find no stock, and 2
# to 10 % of 50 up to any number.
UNITS_PER_ORDER = 0.6


@cache
def products() -> Mapping[str, int]:
    """The catalogue, best sellers first: each product's id and its price in minor units."""
    prices = random.Random("catalogue")
    return {
        f"ITEM-{number:04d}": max(25, round(prices.lognormvariate(PRICE_MU, PRICE_SIGMA)))
        for number in range(1, PRODUCTS + 1)
    }


def sales(seed: int = 0) -> Iterator[Sale]:
    """Orders without end, the same for the same seed; of another seed, under other invoices."""
    chance = random.Random(seed)
    catalogue = tuple(products().items())
    popularity = tuple(accumulate(rank**-POPULARITY_EXPONENT for rank in range(1, PRODUCTS + 1)))
    countries, shares = tuple(COUNTRIES), tuple(accumulate(COUNTRIES.values()))
    at = OPENED
    for number in count(1):
        chosen = chance.choices(catalogue, cum_weights=popularity, k=chance.randint(1, MOST_ITEMS))
        at += timedelta(seconds=round(chance.expovariate(1 / SECONDS_BETWEEN_ORDERS), 3))
        yield Sale(
            invoice=f"G{seed}-{number:07d}",
            user_id=f"user-{chance.randint(1, CUSTOMERS):04d}",
            country=chance.choices(countries, cum_weights=shares)[0],
            placed_at=at,
            lines=tuple(Line(product, _units(chance), price) for product, price in chosen),
        )


def _units(chance: random.Random) -> int:
    return min(MOST_UNITS, 1 + int(chance.expovariate(QUANTITY_RATE)))
