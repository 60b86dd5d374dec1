"""The state file survives crashes, reused pids and its own damage."""

import os
from pathlib import Path

from infra.local.process import Stage, Started, start_ticks
from infra.local.state import State, StateFile


def entry(name: str, pid: int, ticks: int) -> Started:
    return Started(
        name=name,
        pid=pid,
        ticks=ticks,
        log="/tmp/x.log",
        address="http://127.0.0.1:1",
        check="http://127.0.0.1:1/readyz",
        shape="a",
        mark="m",
        stage=Stage.WORKER,
        stop_seconds=1.0,
    )


def test_what_was_written_down_is_read_back_in_the_order_of_the_start(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    first, second = entry("kafka", 11, 1), entry("worker-1", 12, 2)

    file.want({"kafka": "kafka://127.0.0.1:9092"})
    file.add(first)
    file.add(second)

    expected = State(wanted={"kafka": "kafka://127.0.0.1:9092"}, programs=[first, second])
    assert expected == file.load()
    assert Stage.WORKER is file.load().programs[0].stage


def test_only_the_process_with_the_noted_start_time_counts_as_running(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    ours = start_ticks(os.getpid()) or 0
    file.add(entry("ours", os.getpid(), ours))
    file.add(entry("its pid was reused", os.getpid(), ours - 1))

    assert {"ours"} == set(file.load().running())


def test_a_program_started_again_replaces_its_entry(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    file.add(entry("kafka", 1, 1))
    file.add(entry("kafka", 2, 2))

    assert [one.pid for one in file.load().programs] == [2]


def test_a_damaged_file_counts_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"wanted": {}, "programs": [{"name":')

    assert State() == StateFile(path).load()
