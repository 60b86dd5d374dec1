"""`faust -A app verify`: print the books, and whether they balance."""

from dataclasses import asdict
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app import books
from app.books import Books
from app.cli.console import FAILED
from app.cli.rest import Unrest, until_rest
from app.money import text, to_major
from app.stores.mongo import Database

DEFAULT_WAIT_SECONDS = 30.0
DISCREPANCIES_SHOWN = 20


async def verify(
    database: Database,
    console: Console,
    *,
    wait: float = DEFAULT_WAIT_SECONDS,
    as_json: bool = False,
    ledger: bool = True,
) -> int:
    """Wait until the system is at rest, check the books, print them; 0 if they balance.

    Args:
        ledger: whether the provider keeps its ledger in this database.

    Raises:
        TransientStoreError: MongoDB can't be reached.
    """
    left = await until_rest(database, wait)
    found = await books.load(database, ledger=ledger)
    if as_json:
        console.out(orjson.dumps(as_document(found, left)).decode(), highlight=False)
    else:
        show(console, found, left)
    return 0 if found.balanced else FAILED


def as_document(found: Books, left: Unrest) -> dict[str, Any]:
    """The books for programs: camelCase, amounts as numbers with two decimals."""
    return {
        "balanced": found.balanced,
        "atRest": not left,
        "orders": {
            "total": found.orders,
            "confirmed": found.confirmed,
            "cancelled": dict(sorted(found.cancelled.items())),
            "pending": found.pending,
        },
        "stock": {
            "products": found.products,
            "initial": found.initial,
            "available": found.available,
            "reserved": found.reserved,
            "sold": found.sold,
            "ordered": found.ordered,
        },
        "money": {
            "revenue": to_major(found.revenue),
            "charged": to_major(found.charged),
            "refunded": to_major(found.refunded),
            "ledgerCharged": to_major(found.ledger_charged) if found.ledger else None,
            "ledgerRefunded": to_major(found.ledger_refunded) if found.ledger else None,
        },
        "discrepancies": [asdict(one) for one in found.discrepancies],
    }


def show(console: Console, found: Books, left: Unrest) -> None:
    """Print the totals, and the first of what does not agree."""
    console.print(_totals(found))
    if left:
        console.print(
            f"Not at rest: {left.pending:,} orders pending, {left.reserved:,} reservations held."
        )
    if found.balanced:
        console.print("[green]The books balance.[/green]")
        return
    shown = found.discrepancies[:DISCREPANCIES_SHOWN]
    count = len(found.discrepancies)
    table = Table(title=f"{count:,} discrepancies, {len(shown)} shown", title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("which", no_wrap=True)
    table.add_column("what does not agree", overflow="fold")
    for one in shown:
        table.add_row(one.kind, escape(one.key), escape(one.problem))
    console.print(table)
    console.print("[red]The books do not balance.[/red]")


def _totals(found: Books) -> Table:
    table = Table(title="The books", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row("orders", f"{found.orders:,}")
    table.add_row("  confirmed", f"{found.confirmed:,}")
    for reason, count in sorted(found.cancelled.items()):
        table.add_row(f"  cancelled: {reason}", f"{count:,}")
    if found.pending:
        table.add_row("  pending", f"{found.pending:,}")
    table.add_section()
    table.add_row("products", f"{found.products:,}")
    for name in ("initial", "available", "reserved", "sold"):
        table.add_row(f"  units {name}", f"{getattr(found, name):,}")
    table.add_row("  units on confirmed orders", f"{found.ordered:,}")
    table.add_section()
    table.add_row("confirmed orders are worth", text(found.revenue))
    table.add_row("  charged", text(found.charged))
    table.add_row("  refunded", text(found.refunded))
    if found.ledger:
        table.add_row("  charged, says the provider", text(found.ledger_charged))
        table.add_row("  refunded, says the provider", text(found.ledger_refunded))
    return table
