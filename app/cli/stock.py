"""`faust -A app stock`: fill the shelves for the products that don't exist yet."""

from collections.abc import Iterator
from itertools import islice

from rich.console import Console

from app import catalogue
from app.cli.sources import DEFAULT_ORDERS, Source
from app.stores.mongo import Database
from app.stores.repositories import STOCK
from app.stores.stock import StockStore

# One bulk write: well below what a server takes in one message.
PRODUCTS_A_WRITE = 1000


async def stock(
    database: Database,
    console: Console,
    source: Source,
    *,
    orders: int | None = None,
    level: int | None = None,
) -> int:
    """Create stock for each product of the source; a product that exists is left as it is.

    Args:
        orders: only what the source's first so many orders ask for (0: all); the level suits a
            replay of so many. None: every product, at a level for a replay's default.
        level: units of each product; None for one at which some orders find no stock.

    Raises:
        TransientStoreError: MongoDB can't be reached.
        CommandError: the ledger can't be read.
    """
    products, sales = _products(source, orders)
    if level is None:
        level = source.level(sales if orders is not None else DEFAULT_ORDERS)
    shelf = StockStore(database[STOCK])
    created = 0
    pending = iter(products)
    while part := list(islice(pending, PRODUCTS_A_WRITE)):
        created += await shelf.put(dict.fromkeys(part, level))
    there = len(products) - created
    console.print(
        f"{created:,} products stocked with {level:,} units each, from {source.name}"
        + (f"; {there:,} were there and are unchanged" if there else ""),
        highlight=False,
        soft_wrap=True,
    )
    return 0


def _products(source: Source, orders: int | None) -> tuple[dict[str, None], int]:
    """The products, in the order they are first asked for, and how many orders were read."""
    if source.path is None and orders is None:
        return dict.fromkeys(catalogue.products()), 0
    sales = 0
    products: dict[str, None] = {}

    def read() -> Iterator[str]:
        nonlocal sales
        for sale in source.sales(orders or 0):
            sales += 1
            for line in sale.lines:
                yield line.product_id

    products.update(dict.fromkeys(read()))
    return products, sales
