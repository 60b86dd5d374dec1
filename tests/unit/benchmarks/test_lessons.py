"""What the lessons' tables say of what was measured."""

from pathlib import Path

import pytest

from benchmarks import lessons
from benchmarks.lessons.instances import quantile
from benchmarks.lessons.loops import Beside
from benchmarks.lessons.waiting import Answered, explain

pytestmark = pytest.mark.timeout(30)


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (51.0, 100.0, 100.0) == tuple(quantile(values, share) for share in (0.5, 0.99, 1.0))


def test_a_row_has_quantiles_in_milliseconds_and_the_share_that_was_slow() -> None:
    measured = Beside("blocking", 3, [0.002] * 90 + [0.1] * 10, taught=7)
    assert "| blocking | 3 | 7 | 2.0 | 100.0 | 100.0 | 10.0% |" == measured.row()


def test_the_ratio_is_of_orders_a_second() -> None:
    waited = Answered(ids=["o"] * 32, took=[2.1] * 32, seconds=4.0)
    accepted = Answered(ids=["o"] * 1000, took=[0.05] * 1000, seconds=2.5)
    rows = explain(waited, accepted).splitlines()[-2:]
    assert [
        "| `Prefer: wait=60` | 8 | 1 | 2,100 | 2,100 |",
        "| 202 | 400 | 50 | 50 | 50 |",
    ] == rows


def test_each_lesson_has_its_page_and_each_page_a_place_for_its_figures() -> None:
    for page in lessons.LESSONS:
        lines = (lessons.HANDBOOK / page).read_text().splitlines()
        begin, end = (lines.index(mark) for mark in lessons.FIGURES)
        assert begin < end


def test_the_figures_of_a_page_take_the_place_of_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessons, "HANDBOOK", tmp_path)
    begin, end = lessons.FIGURES
    page = tmp_path / "event-loop.md"
    page.write_text(f"# A\n\n{begin}\nold\n{end}\n\nmore\n")

    lessons.write({"event-loop.md": "### Heading\n\nnew"})

    text = page.read_text()
    assert "old" not in text
    assert "Heading" not in text
    assert text.startswith(f"# A\n\n{begin}\n\nnew\n\nMachine: ")
    assert text.endswith(f"\n{end}\n\nmore\n")
