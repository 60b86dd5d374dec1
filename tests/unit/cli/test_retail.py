"""The reader of the sales ledger."""

import gzip
import lzma
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.retail import DEFAULT_CSV, Line, RetailFormatError, Sale, Skipped, read_sales

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
TWO_SALES = (
    HEADER
    + '1,A,"a lamp, red",2,2010-12-01 08:26:00,2.55,17850,France\n'
    + "1,B,thing,0,2010-12-01 08:26:00,1,17850,France\n"
    + "C9,A,back,-2,2010-12-01 08:26:00,2.55,17850,France\n"
    + "1,A,again,1,2010-12-01 08:27:00,0.125,17850,France\n"
    + "2,C,pads,3,2010-12-02 09:00:00,0.001,,United Kingdom\n"
)


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_one_invoice_is_one_sale_with_a_line_for_each_row(tmp_path: Path) -> None:
    sales = list(read_sales(write(tmp_path / "sales.csv", TWO_SALES)))

    assert [
        Sale(
            invoice="1",
            user_id="17850",
            country="France",
            placed_at=datetime(2010, 12, 1, 8, 26, tzinfo=UTC),
            lines=(Line("A", 2, 255), Line("A", 1, 12)),
        ),
        Sale(
            invoice="2",
            user_id="guest",
            country="United Kingdom",
            placed_at=datetime(2010, 12, 2, 9, tzinfo=UTC),
            lines=(Line("C", 3, 0),),
        ),
    ] == sales
    assert 522 == sales[0].total


def test_returns_and_adjustments_are_skipped_and_counted(tmp_path: Path) -> None:
    skipped = Skipped()

    list(read_sales(write(tmp_path / "sales.csv", TWO_SALES), skipped))

    assert Skipped(returns=1, adjustments=1) == skipped


@pytest.mark.parametrize("suffix", ["csv", "xz", "gz"])
def test_the_suffix_says_how_it_is_compressed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sales.{suffix}"
    content = ("\ufeff" + TWO_SALES).encode()
    path.write_bytes({"csv": bytes, "xz": lzma.compress, "gz": gzip.compress}[suffix](content))

    assert ["1", "2"] == [sale.invoice for sale in read_sales(path)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column InvoiceNo, StockCode"),
        ("InvoiceNo,StockCode\n", "no column Quantity"),
        (HEADER + "1,A,x,many,2010-12-01 08:26:00,2.55,1,France\n", "line 2: not a sales row"),
        (HEADER + "1,A,x,1,2010-12-01 08:26:00,dear,1,France\n", "line 2: not a sales row"),
        (HEADER + "1,A,x,1,yesterday,2.55,1,France\n", "line 2: not a sales row"),
        (HEADER + "1,A\n", "line 2: not a sales row"),
        (
            TWO_SALES + "1,A,late,1,2010-12-03 08:26:00,2.55,17850,France\n",
            "invoice 1 don't stand together",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(RetailFormatError, match=message):
        list(read_sales(write(tmp_path / "sales.csv", content)))


@pytest.mark.parametrize("name", ["missing.csv", "broken.xz", "broken.gz"])
def test_a_file_that_cant_be_read_is_named(tmp_path: Path, name: str) -> None:
    if name.startswith("broken"):
        write(tmp_path / name, "not compressed")

    with pytest.raises(RetailFormatError, match=name):
        list(read_sales(tmp_path / name))


@pytest.mark.skipif(not DEFAULT_CSV.exists(), reason="the real ledger is not on this machine")
def test_the_real_ledger_gives_its_published_figures() -> None:
    skipped = Skipped()
    invoices = lines = revenue = longest = guests = 0
    products: set[str] = set()

    for sale in read_sales(DEFAULT_CSV, skipped):
        invoices += 1
        lines += len(sale.lines)
        revenue += sale.total
        longest = max(longest, len(sale.lines))
        guests += sale.user_id == "guest"
        products.update(line.product_id for line in sale.lines)

    assert (19_960, 530_104, 1_066_668_454) == (invoices, lines, revenue)
    assert (3_922, 1_428, 1_114) == (len(products), guests, longest)
    assert Skipped(returns=9_288, adjustments=2_517) == skipped
