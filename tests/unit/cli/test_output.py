"""What the commands print."""

from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from app.books import Books, Discrepancy
from app.books_of_log import LogBooks
from app.cli import console as console_module
from app.cli.balance import as_document, show
from app.cli.console import progress
from app.cli.endings import Ending, Endings
from app.cli.posting import Answer, Kind, Posted
from app.cli.rest import Unrest
from app.cli.sources import Source
from app.cli.summary import summary
from app.cli.verify import Checked
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

    show(console, Checked(Unrest(3, 4), found, notes=["The topics were not read: no broker."]))

    shown = lines(out)
    assert "25 discrepancies, 20 shown" in shown
    assert "product P19 sold 19" in shown
    assert "product P20 sold 20" not in shown
    assert "cancelled: OUT_OF_STOCK 2" in shown
    assert "The topics were not read: no broker." in shown
    assert "Not at rest: 3 orders pending, 4 reservations held." in shown
    assert "The books do not balance." in shown


def test_the_document_for_programs_has_amounts_with_two_decimals() -> None:
    found = Books(confirmed=2, revenue=12_345, charged=12_345)

    document = as_document(Checked(Unrest(0, 0), found))

    assert (True, True) == (document["balanced"], document["atRest"])
    assert 123.45 == document["money"]["revenue"]
    assert 0 == document["money"]["ledgerCharged"]
    assert (None, None) == (document["topics"], document["analytics"])
    hidden = as_document(Checked(Unrest(0, 0), Books(ledger=False)))
    assert hidden["money"]["ledgerCharged"] is None
    assert 2 == document["orders"]["total"]


def test_what_the_topics_say_is_shown_beside_the_stores(console: Console, out: StringIO) -> None:
    log = LogBooks(records=17, orders=3, confirmed=2, cut=1, revenue=12_345, unlisted=7)
    log.differs("order", "o1", "two ends: [both]")
    sums = [Discrepancy("sum", "revenue", "1.00 by the topics, 2.00 by the stores")]
    found = Checked(Unrest(0, 0), Books(), log, sums, revenue=123.45)

    show(console, found)

    shown = lines(out)
    for line in (
        "records 17",
        "cut by retention 1",
        "revenue, say the analytics 123.45",
        "9 discrepancies, 2 shown",
        "sum revenue 1.00 by the topics, 2.00 by the stores",
        "order o1 two ends: [both]",
    ):
        assert line in shown
    document = as_document(found)
    assert (False, 7, 123.45) == (
        document["balanced"],
        document["topics"]["unlisted"],
        document["analytics"]["revenue"],
    )
