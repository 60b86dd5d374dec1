"""Where orders come from, and how full the shelves must be for them."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest

from app import catalogue, retail
from app.cli.console import UNREACHABLE, CommandError
from app.cli.sources import Source
from app.retail import Sale


def share_without_stock(sales: Iterable[Sale], level: int) -> float:
    """Of orders that are filled in their sequence, each wholly or not at all."""
    left: Counter[str] = Counter()
    short = count = 0
    for sale in sales:
        count += 1
        wanted: Counter[str] = Counter()
        for line in sale.lines:
            wanted[line.product_id] += line.quantity
        if any(left[product] + units > level for product, units in wanted.items()):
            short += 1
        else:
            left.update(wanted)
    return short / count


@pytest.mark.parametrize("orders", [500, 2000, 10_000])
def test_the_default_level_leaves_a_few_generated_orders_without_stock(orders: int) -> None:
    source = Source(None)

    assert 0.02 <= share_without_stock(source.sales(orders), source.level(orders)) <= 0.10


@pytest.mark.skipif(not retail.DEFAULT_CSV.exists(), reason="the real ledger is not here")
@pytest.mark.parametrize("orders", [500, 2000, 0])
def test_the_default_level_leaves_a_few_real_orders_without_stock(orders: int) -> None:
    source = Source(retail.DEFAULT_CSV)
    sales = list(source.sales(orders))

    assert 0.029 <= share_without_stock(sales, source.level(len(sales))) <= 0.10


def test_generated_orders_are_the_same_for_the_same_seed_whatever_their_number() -> None:
    assert list(Source(None).sales(20)) == list(Source(None).sales(50))[:20]
    assert next(Source(None, seed=1).sales(1)) != next(Source(None).sales(1))


def test_generated_orders_are_varied() -> None:
    sales = list(islice(catalogue.sales(), 1000))

    assert 1000 == len({sale.invoice for sale in sales})
    assert {1, 2, 3, 4, 5} == {len(sale.lines) for sale in sales}
    assert set(catalogue.COUNTRIES) == {sale.country for sale in sales}
    assert sales == sorted(sales, key=lambda sale: sale.placed_at)
    asked = Counter(line.product_id for sale in sales for line in sale.lines)
    assert asked["ITEM-0001"] > 20 * asked["ITEM-0400"]
    prices = catalogue.products()
    assert all(line.price == prices[line.product_id] for sale in sales for line in sale.lines)


def test_a_dash_means_generated_orders_and_a_path_that_file(tmp_path: Path) -> None:
    assert Source.choose("-").path is None
    assert tmp_path == Source.choose(str(tmp_path)).path


def test_the_default_is_the_real_ledger_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retail, "DEFAULT_CSV", tmp_path / "ledger.csv")
    assert Source.choose(None).path is None

    (tmp_path / "ledger.csv").touch()
    assert tmp_path / "ledger.csv" == Source.choose(None).path


def test_all_of_what_has_no_end_is_refused() -> None:
    with pytest.raises(CommandError, match="--orders") as raised:
        Source(None).sales(0)
    assert UNREACHABLE == raised.value.status


def test_a_missing_ledger_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no file"):
        Source(tmp_path / "nowhere.csv").sales(5)


def test_a_broken_ledger_ends_the_command_with_its_message(tmp_path: Path) -> None:
    (tmp_path / "ledger.csv").write_text("a,b\n")

    with pytest.raises(CommandError, match="no column InvoiceNo"):
        list(Source(tmp_path / "ledger.csv").sales(0))
