"""Real orders: the UCI "Online Retail" sales ledger, read one invoice at a time.

Source: D. Chen, S. Sain, K. Guo, "Online Retail", UCI Machine Learning Repository (2012),
doi 10.24432/C5BW33, CC BY 4.0. One sales invoice is one order; returns (`C...` invoices) and
adjustments (quantity or price not above zero) are skipped and counted.
"""

import csv
import gzip
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TextIO

from app.money import to_minor

# Beside the checkout, where the project's own data are kept; never copied into the tree.
DEFAULT_CSV = (
    Path(__file__).resolve().parents[1].parent / "shared" / "data" / "online_retail.csv.xz"
)

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
RETURN_PREFIX = "C"
GUEST = "guest"

# Units of each product for each order that will come. Filling the first orders in their sequence
# from such shelves leaves 7 % of 2,000 orders without stock, and 3 to 10 % of 200 up to all 19,960.
UNITS_PER_ORDER = 1.8

# The file holds some 1,600 different prices.
PRICES_REMEMBERED = 10_000


class RetailFormatError(ValueError):
    """The file can't be read as a sales ledger; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a sale; `price` is a unit's, in minor units."""

    product_id: str
    quantity: int
    price: int


@dataclass(frozen=True, slots=True)
class Sale:
    """An order to be placed. `invoice` is its idempotency key."""

    invoice: str
    user_id: str
    country: str
    placed_at: datetime
    lines: tuple[Line, ...]

    @property
    def total(self) -> int:
        """The sum of the lines, in minor units."""
        return sum(line.quantity * line.price for line in self.lines)


@dataclass(slots=True)
class Skipped:
    """Rows that are no sale, counted while reading."""

    returns: int = 0
    adjustments: int = 0


def read_sales(path: Path, skipped: Skipped | None = None) -> Iterator[Sale]:
    """The sales of a CSV file in its order, each when its last row was read.

    Args:
        path: plain text, or compressed where its name ends in `.xz` or `.gz`.
        skipped: told the rows that were left out, as they are met.

    Raises:
        RetailFormatError: the file can't be opened or decompressed, lacks a column, has a field
            that is no number or time, or an invoice whose rows don't stand together.
    """
    try:
        with _open(path) as file:
            yield from _sales(path, file, skipped if skipped is not None else Skipped())
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError, csv.Error) as error:
        raise RetailFormatError(f"can't read {path}: {error}") from error


def _open(path: Path) -> TextIO:
    # utf-8-sig: spreadsheet programs put a byte-order mark before the header.
    match path.suffix:
        case ".xz":
            return lzma.open(path, "rt", encoding="utf-8-sig", newline="")
        case ".gz":
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        case _:
            return path.open(encoding="utf-8-sig", newline="")


def _sales(path: Path, file: TextIO, skipped: Skipped) -> Iterator[Sale]:
    reader = csv.reader(file)
    header = next(reader, [])
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise RetailFormatError(f"{path}: no column {', '.join(missing)}")
    pick = itemgetter(*(header.index(column) for column in COLUMNS))
    invoices: set[str] = set()

    def fields() -> Iterator[tuple[str, ...]]:
        for row in reader:
            if row:
                yield pick(row)

    try:
        for invoice, rows in groupby(_lines(fields(), skipped), key=itemgetter(0)):
            # A second order under the same idempotency key would be refused, far from the cause.
            if invoice in invoices:
                raise RetailFormatError(
                    f"{path}, line {reader.line_num}: "
                    f"the rows of invoice {invoice} don't stand together"
                )
            invoices.add(invoice)
            yield _sale(invoice, [row[1:] for row in rows])
    except RetailFormatError:
        raise
    except (ValueError, IndexError, InvalidOperation) as error:
        raise RetailFormatError(
            f"{path}, line {reader.line_num}: not a sales row ({error or type(error).__name__})"
        ) from error


def _lines(
    rows: Iterable[tuple[str, ...]], skipped: Skipped
) -> Iterator[tuple[str, Line, str, str, str]]:
    """Of each row that is a sale: invoice, line, date, customer, country."""
    for invoice, product, quantity, date, price, customer, country in rows:
        if invoice.startswith(RETURN_PREFIX):
            skipped.returns += 1
            continue
        units = int(quantity)
        positive, minor = _price(price)
        if units <= 0 or not positive:
            skipped.adjustments += 1
            continue
        yield invoice, Line(product, units, minor), date, customer, country


@lru_cache(maxsize=PRICES_REMEMBERED)
def _price(text: str) -> tuple[bool, int]:
    """Whether the price is above zero, and its minor units: 0.001 is above, and rounds to 0."""
    price = Decimal(text)
    return price > 0, to_minor(price)


def _sale(invoice: str, rows: list[tuple[Line, str, str, str]]) -> Sale:
    _, date, customer, country = rows[0]
    placed_at = datetime.fromisoformat(date)
    return Sale(
        invoice=invoice,
        user_id=customer or GUEST,
        country=country,
        # The ledger's times name no zone; they are taken as UTC.
        placed_at=placed_at if placed_at.tzinfo else placed_at.replace(tzinfo=UTC),
        lines=tuple(row[0] for row in rows),
    )
