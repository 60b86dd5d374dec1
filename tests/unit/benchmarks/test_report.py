"""What a system says of its run."""

import json
from pathlib import Path

from benchmarks.windows.peers.report import Report, Task


def task(tmp_path: Path) -> Task:
    return Task("127.0.0.1:9092", "orders", 5, tmp_path / "it.json")


def test_the_last_event_is_told_and_the_parts_of_all_partitions_are_added_up(tmp_path: Path):
    report = Report(task(tmp_path))
    report.begin()

    assert [False, True] == [report.add(3), report.add(2)]
    report.end(1.5, [("0|UK", 3), ("0|Spain", 1), ("0|UK", 4)])
    found = json.loads((tmp_path / "it.json").read_text())
    assert {"processed": 5, "seconds": 1.5, "totals": {"0|UK": 7, "0|Spain": 1}} == found


def test_time_runs_from_the_first_record_on(tmp_path: Path):
    report = Report(task(tmp_path))
    assert report.seconds == 0.0
    report.begin()
    first = report.seconds
    report.begin()

    assert 0 <= first <= report.seconds
