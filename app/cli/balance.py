"""How `verify` shows what it found: tables for people, a document for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.books import Books
from app.books_of_log import LogBooks
from app.money import text, to_major

if TYPE_CHECKING:
    from app.cli.verify import Checked

DISCREPANCIES_SHOWN = 20

Row = tuple[str, str]


def print_document(console: Console, found: "Checked") -> None:
    """Print what was found for programs."""
    console.out(orjson.dumps(as_document(found)).decode(), highlight=False)


def as_document(found: "Checked") -> dict[str, Any]:
    """The books for programs: camelCase, amounts as numbers with two decimals."""
    stores = found.books
    return {
        "balanced": not found.discrepancies,
        "atRest": not found.left,
        "orders": {
            "total": stores.orders,
            "confirmed": stores.confirmed,
            "cancelled": dict(sorted(stores.cancelled.items())),
            "pending": stores.pending,
        },
        "stock": {
            "products": stores.products,
            "initial": stores.initial,
            "available": stores.available,
            "reserved": stores.reserved,
            "sold": stores.sold,
            "ordered": stores.ordered,
        },
        "money": {
            "revenue": to_major(stores.revenue),
            "charged": to_major(stores.charged),
            "refunded": to_major(stores.refunded),
            "ledgerCharged": to_major(stores.ledger_charged) if stores.ledger else None,
            "ledgerRefunded": to_major(stores.ledger_refunded) if stores.ledger else None,
        },
        "topics": None if found.log is None else _log_document(found.log),
        "analytics": None if found.revenue is None else {"revenue": found.revenue},
        "notes": found.notes,
        "discrepancies": [asdict(one) for one in found.discrepancies],
    }


def _log_document(log: LogBooks) -> dict[str, Any]:
    return {
        "records": log.records,
        "noEvents": log.foreign,
        "orders": log.orders,
        "confirmed": log.confirmed,
        "cancelled": dict(sorted(log.cancelled.items())),
        "underWay": log.under_way,
        "cut": log.cut,
        "units": log.units,
        "revenue": to_major(log.revenue),
        "charged": to_major(log.charged),
        "refunded": to_major(log.refunded),
        "unlisted": log.unlisted,
    }


def show(console: Console, found: "Checked") -> None:
    """Print the totals, and the first of what does not agree."""
    console.print(_table("The books, by the stores", _totals(found.books)))
    if found.log is not None:
        console.print(_table("The books, by the topics", _log_totals(found.log, found.revenue)))
    left = found.left
    if left:
        console.print(
            f"Not at rest: {left.pending:,} orders pending, {left.reserved:,} reservations held."
        )
    for note in found.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    if not found.discrepancies:
        console.print("[green]The books balance.[/green]")
        return
    shown = found.discrepancies[:DISCREPANCIES_SHOWN]
    count = len(found.discrepancies) + (found.log.unlisted if found.log else 0)
    noun = "discrepancy" if count == 1 else "discrepancies"
    table = Table(title=f"{count:,} {noun}, {len(shown)} shown", title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("which", no_wrap=True)
    table.add_column("what does not agree", overflow="fold")
    for one in shown:
        table.add_row(one.kind, escape(one.key), escape(one.problem))
    console.print(table)
    console.print("[red]The books do not balance.[/red]")


def _table(title: str, rows: Iterator[Row | None]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*row)
    return table


def _totals(found: Books) -> Iterator[Row | None]:
    yield "orders", f"{found.orders:,}"
    yield "  confirmed", f"{found.confirmed:,}"
    for reason, count in sorted(found.cancelled.items()):
        yield f"  cancelled: {reason}", f"{count:,}"
    if found.pending:
        yield "  pending", f"{found.pending:,}"
    yield None
    yield "products", f"{found.products:,}"
    for name in ("initial", "available", "reserved", "sold"):
        yield f"  units {name}", f"{getattr(found, name):,}"
    yield "  units on confirmed orders", f"{found.ordered:,}"
    yield None
    yield "confirmed orders are worth", text(found.revenue)
    yield "  charged", text(found.charged)
    yield "  refunded", text(found.refunded)
    if found.ledger:
        yield "  charged, says the provider", text(found.ledger_charged)
        yield "  refunded, says the provider", text(found.ledger_refunded)


def _log_totals(log: LogBooks, revenue: float | None) -> Iterator[Row | None]:
    yield "records", f"{log.records:,}"
    yield "orders", f"{log.orders:,}"
    yield "  confirmed", f"{log.confirmed:,}"
    for reason, count in sorted(log.cancelled.items()):
        yield f"  cancelled: {reason}", f"{count:,}"
    if log.under_way:
        yield "  not ended", f"{log.under_way:,}"
    if log.cut:
        yield "  cut by retention", f"{log.cut:,}"
    yield None
    yield "units on confirmed orders", f"{log.units:,}"
    yield None
    yield "confirmed orders are worth", text(log.revenue)
    yield "  charged", text(log.charged)
    yield "  refunded", text(log.refunded)
    if revenue is not None:
        yield "  revenue, say the analytics", f"{revenue:,.2f}"
