"""Where a command's orders come from: a sales ledger, or the built-in catalogue."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from pathlib import Path

from app import catalogue, retail
from app.cli.console import UNREACHABLE, CommandError
from app.retail import RetailFormatError, Sale, Skipped

GENERATED = "-"
DEFAULT_ORDERS = 2000


@dataclass(slots=True)
class Source:
    """Orders to send, or to stock the shelves for.

    Attributes:
        path: the sales ledger; None for generated orders, which have no end.
        skipped: rows of the ledger that are no sale, as far as it was read.
    """

    path: Path | None
    seed: int = 0
    skipped: Skipped = field(default_factory=Skipped)

    @classmethod
    def choose(cls, csv: str | None, seed: int = 0) -> "Source":
        """What `--csv` says: a path, `-` for generated orders, or None for the default.

        The default is the real ledger where it stands beside the checkout, else generated orders.
        """
        if csv is None:
            return cls(retail.DEFAULT_CSV if retail.DEFAULT_CSV.exists() else None, seed)
        return cls(None if csv == GENERATED else Path(csv), seed)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return "the built-in catalogue" if self.path is None else str(self.path)

    def sales(self, orders: int) -> Iterator[Sale]:
        """The first `orders`, or all for 0.

        Raises:
            CommandError: the ledger can't be read, or all of what has no end was asked for.
        """
        if self.path is None:
            if not orders:
                raise CommandError(
                    "generated orders have no end: say how many with --orders", UNREACHABLE
                )
            return islice(catalogue.sales(self.seed), orders)
        if not self.path.exists():
            raise CommandError(f"there is no file {self.path}", UNREACHABLE)
        return self._read(self.path, orders)

    def _read(self, path: Path, orders: int) -> Iterator[Sale]:
        self.skipped = Skipped()
        sales = retail.read_sales(path, self.skipped)
        try:
            yield from islice(sales, orders) if orders else sales
        except RetailFormatError as error:
            raise CommandError(str(error), UNREACHABLE) from error

    def level(self, orders: int) -> int:
        """Units of each product that leave a few of so many orders without stock."""
        factor = catalogue.UNITS_PER_ORDER if self.path is None else retail.UNITS_PER_ORDER
        return ceil(factor * orders)
