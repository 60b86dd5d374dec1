"""Judging and showing what the systems did."""

from benchmarks.results import Result
from benchmarks.windows import growth, job, metered
from benchmarks.windows.running import Ran
from benchmarks.windows.systems import System

RIGHT = {"0|UK": 7, "3600|UK": 1}


def ran(**changes: object) -> Ran:
    fields = {
        "processed": 100,
        "seconds": 2.0,
        "totals": dict(RIGHT),
        "cpu_seconds": 3.0,
        "peak_memory_mb": 50.0,
        "stopped": False,
        "exit_code": 0,
        "log": "",
    }
    return Ran(**{**fields, **changes})


def test_a_system_is_equal_only_if_it_processed_all_and_every_window_is_right():
    assert job.judge("x", ran(), 100, RIGHT, 0).equal
    assert not job.judge("x", ran(processed=99), 100, RIGHT, 0).equal
    assert not job.judge("x", ran(totals={"0|UK": 7}), 100, RIGHT, 0).equal
    assert not job.judge("x", ran(totals={**RIGHT, "0|UK": 8}), 100, RIGHT, 0).equal
    assert not job.judge("x", ran(totals={**RIGHT, "9|UK": 8}), 100, RIGHT, 0).equal


def test_a_result_that_differs_says_in_how_many_windows():
    result = job.judge("x", ran(totals={"0|UK": 8, "9|UK": 1}), 100, RIGHT, 0)

    assert result.note == "3 of 2 windows differ"


def test_a_system_stopped_by_the_bound_is_reported_by_what_it_had_done():
    result = job.judge(
        "x", ran(processed=40, totals=None, stopped=True, exit_code=-9), 100, RIGHT, 0
    )

    assert (40, 20.0, False) == (result.events, result.events_per_second, result.equal)
    assert result.note == "stopped by the bound at 40 of 100 events"


def test_a_system_that_failed_shows_its_status_and_log():
    result = job.judge(
        "x", ran(processed=0, seconds=0.0, totals=None, exit_code=1, log="a\n  b"), 100, RIGHT, 0
    )

    assert (0.0, "failed with status 1: a b") == (result.events_per_second, result.note)


def test_each_system_is_shown_beside_ours_and_the_limit():
    found = [
        Result("windows", "orderflow", 100, 2.0, 1.0, 1.0, True, 0),
        Result("windows", "aiokafka-limit", 100, 1.0, 1.0, 1.0, True, 0),
        Result("windows", "faust", 10, 10.0, 1.0, 1.0, False, 0, "stopped | here"),
    ]
    rows = job.explain(found, {"orderflow": 0.5, "aiokafka-limit": 0.25, "faust": 0.75}, 268.4)

    assert "Events of 268 bytes" in rows
    assert "| orderflow | 1.0 x | 50% | 0.5 | 10,000 |  |" in rows
    assert "| aiokafka-limit | 0.5 x | 100% | 0.2 | 10,000 |  |" in rows
    assert "| faust | 50.0 x | 1% | 0.8 | 100,000 | stopped   here |" in rows


def test_of_several_rounds_the_medians_are_compared():
    found = [
        Result("windows", name, 1000, seconds, seconds, 80.0, True)
        for name, times in (("orderflow", (1.0, 2.0, 9.0)), ("aiokafka-limit", (0.5, 1.0, 1.5)))
        for seconds in times
    ]
    rows = job.explain(found, {"orderflow": 0.5, "aiokafka-limit": 0.25}, 268.4)

    assert "medians" in rows
    assert 1 == rows.count("| orderflow |")
    assert "| orderflow | 1.0 x | 50% | 0.5 | 2,000 |  |" in rows


def test_without_ours_or_the_limit_there_is_nothing_to_compare_with():
    rows = job.explain([Result("windows", "faust", 0, 0.0, 1.0, 1.0, False)], {"faust": 0.0}, 1.0)

    assert "| faust | - | - | 0.0 | 0 |  |" in rows


def test_windows_beyond_what_is_kept_are_not_compared():
    assert {"3600|UK": 1} == job.after(3600, RIGHT)


def test_growth_runs_ours_with_a_retention_that_sweeps():
    ours = System("orderflow", lambda arguments: ("true", *arguments), "a-group")

    command = growth.sweeping(ours).command(("kafka", "topic", "9", "out"))

    assert ("env", "ANALYTICS_HOURS_KEPT_SECONDS=69120000", "true", "kafka") == command[:4]


def test_growth_shows_what_an_event_cost_at_each_size():
    rows = growth.explain(
        [
            Result("windows-growth", "orderflow", 1000, 2.0, 0.5, 80.0, True, 2_000_000),
            Result("windows-growth", "orderflow", 2000, 5.0, 1.0, 90.0, False, 3_000_000),
        ]
    )

    assert "| 1,000 | 2.0 | 500 | 500 | 80 | 2.0 | yes |" in rows
    assert "| 2,000 | 5.0 | 400 | 500 | 90 | 3.0 | NO |" in rows


def test_what_the_metrics_cost_is_told_of_each_pair_and_in_the_median():
    def ran_in(system: str, cpu_seconds: float, seconds: float) -> Result:
        return Result("windows", system, 1_000_000, seconds, cpu_seconds, 1.0, True)

    text = metered.explain(
        [
            ran_in("orderflow", 10.3, 10.0),
            ran_in("orderflow-unmetered", 10.0, 10.0),
            ran_in("orderflow-unmetered", 10.0, 10.0),
            ran_in("orderflow", 10.1, 10.2),
        ]
    )

    assert "| 1 | 10.3 | 10.0 | +3.0% | 100,000 | 100,000 | +0.0% |" in text
    assert "| 2 | 10.1 | 10.0 | +1.0% | 98,039 | 100,000 | +2.0% |" in text
    assert "Median of 2: CPU +2.0%, time +1.0%." in text
    assert "" == metered.explain([ran_in("orderflow", 10.0, 10.0)])
