"""The table, the file that others read, and the page."""

import pytest

from benchmarks import results
from benchmarks.results import Result


def result(**changes: object) -> Result:
    fields = {
        "job": "windows",
        "system": "orderflow",
        "events": 500_000,
        "seconds": 8.0,
        "cpu_seconds": 12.25,
        "peak_memory_mb": 200.4,
        "equal": True,
    }
    return Result(**{**fields, **changes})


def test_the_table_has_a_row_a_result():
    table = results.table(
        [result(changelog_bytes=12_345_678), result(system="faust", equal=False, seconds=0.0)]
    ).splitlines()

    assert "| windows | orderflow | 500,000 | 8.0 | 62,500 | 12.2 | 200 | 12.3 | yes |" == table[2]
    assert "| windows | faust | 500,000 | 0.0 | 0 | 12.2 | 200 | - | NO |" == table[3]
    assert len({row.count("|") for row in table}) == 1


def test_the_file_has_the_names_that_others_read():
    assert {
        "job": "windows",
        "system": "orderflow",
        "events": 500_000,
        "seconds": 8.0,
        "eventsPerSecond": 62_500.0,
        "cpuSeconds": 12.25,
        "peakMemoryMb": 200.4,
        "equal": True,
    } == result().record()


def test_the_file_says_of_a_result_what_else_there_is_to_say():
    record = result(changelog_bytes=0, note="stopped", equal=False, stopped=True).record()

    assert (0, "stopped", False) == (record["changelogBytes"], record["note"], record["equal"])
    assert "stopped" not in record


def test_a_peer_that_only_ran_out_of_time_is_no_failure():
    assert results.acceptable([result(), result(equal=False, stopped=True)])
    assert not results.acceptable([result(), result(equal=False)])


def test_only_what_is_between_the_marks_of_the_page_is_replaced():
    page = "before\n<!-- a -->\nold\n<!-- b -->\nafter\n"

    assert "before\n<!-- a -->\nnew\n<!-- b -->\nafter\n" == results.replaced(
        page, ("<!-- a -->", "<!-- b -->"), "new"
    )


@pytest.mark.parametrize("page", ["", "<!-- a -->", "<!-- b -->"])
def test_a_page_without_the_marks_is_left_alone(page: str):
    with pytest.raises(ValueError, match="the page has no"):
        results.replaced(page, ("<!-- a -->", "<!-- b -->"), "new")


def test_the_real_page_has_all_parts():
    page = results.PAGE.read_text()

    for marks in (results.FIGURES, results.GROWTH.figures, results.TAKEOVER.figures):
        assert "new" in results.replaced(page, marks, "new")
