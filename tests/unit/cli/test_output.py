"""What the commands print."""

from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from app.books import Books, Discrepancy
from app.cli import console as console_module
from app.cli.console import progress
from app.cli.endings import Ending, Endings
from app.cli.posting import Answer, Kind, Posted
from app.cli.rest import Unrest
from app.cli.sources import Source
from app.cli.summary import summary
from app.cli.verify import as_document, show
from app.domain.order import OrderStatus


@pytest.fixture
def out() -> StringIO:
    return StringIO()


@pytest.fixture
def console(out: StringIO) -> Console:
    return Console(file=out, width=100)


def lines(out: StringIO) -> list[str]:
    return [" ".join(line.replace("│", " ").split()) for line in out.getvalue().splitlines()]


def test_progress_without_a_terminal_is_a_plain_line_now_and_then(
    console: Console, out: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])

    with progress(console, "Orders sent", 40) as advance:
        for done in range(1, 41):
            now[0] += 0.5
            advance(done, "2/s")

    assert [f"Orders sent: {n} of 40, 2/s" for n in (10, 20, 30, 40)] == lines(out)


def test_progress_on_a_terminal_is_a_bar() -> None:
    out = StringIO()
    with progress(Console(file=out, force_terminal=True, width=100), "Orders sent", 2) as advance:
        advance(2, "2/s")

    assert "2/2" in out.getvalue()


def test_the_summary_has_every_figure(console: Console, out: StringIO) -> None:
    posted = Posted(began=1000.0, ended=1002.0)
    for number in range(4):
        posted.note(Answer(Kind.ACCEPTED, f"o{number}"))
    posted.note(Answer(Kind.ALREADY_THERE, "old"))
    posted.note(Answer(Kind.REFUSED, detail="HTTP 422: no"))
    posted.retries.update(["HTTP 503"] * 2)
    confirmed = [
        Ending(f"o{n}", OrderStatus.CONFIRMED, None, 123_456, 1001.0, 1001.5 + n) for n in range(3)
    ]
    cancelled = Ending("o3", OrderStatus.CANCELLED, "OUT_OF_STOCK", 999, 1001.0, 1002.0)
    old = Ending("old", OrderStatus.CONFIRMED, None, 100, 1.0, 500.0)
    ended = Endings(ended=[*confirmed, cancelled, old])

    console.print(summary(Source(None), posted, ended))

    shown = lines(out)
    for line in (
        "orders sent 6",
        "accepted 4",
        "already there 1",
        "refused 1",
        "retries 2",
        "confirmed 4",
        "cancelled: OUT_OF_STOCK 1",
        "revenue 3,704.68",
        "orders/s, first post to last end 1.1",
        "accepted to ended, p50 1.000 s",
        "accepted to ended, p99 2.500 s",
    ):
        assert line in shown


def test_the_first_discrepancies_are_shown_with_their_figures(
    console: Console, out: StringIO
) -> None:
    found = Books(confirmed=1, cancelled=Counter(OUT_OF_STOCK=2), revenue=123_450)
    found.discrepancies = [Discrepancy("product", f"P{n}", f"sold {n}") for n in range(25)]

    show(console, found, Unrest(3, 4))

    shown = lines(out)
    assert "25 discrepancies, 20 shown" in shown
    assert "product P19 sold 19" in shown
    assert "product P20 sold 20" not in shown
    assert "cancelled: OUT_OF_STOCK 2" in shown
    assert "Not at rest: 3 orders pending, 4 reservations held." in shown
    assert "The books do not balance." in shown


def test_the_document_for_programs_has_amounts_with_two_decimals() -> None:
    found = Books(confirmed=2, revenue=12_345, charged=12_345)

    document = as_document(found, Unrest(0, 0))

    assert (True, True) == (document["balanced"], document["atRest"])
    assert 123.45 == document["money"]["revenue"]
    assert 0 == document["money"]["ledgerCharged"]
    hidden = as_document(Books(ledger=False), Unrest(0, 0))
    assert hidden["money"]["ledgerCharged"] is None
    assert 2 == document["orders"]["total"]
