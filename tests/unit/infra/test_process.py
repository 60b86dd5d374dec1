"""Starting and stopping: only what we started, with its children, and never a stranger."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local.errors import ProgramDiedError
from infra.local.health import wait_until
from infra.local.process import (
    LOG_BYTES,
    Program,
    Stage,
    Started,
    kill,
    members,
    send,
    set_aside,
    spawn,
    start_ticks,
    stop,
    wait_ready,
)

pytestmark = pytest.mark.timeout(120)
# A busy machine takes so long for what takes a moment.
PATIENCE_SECONDS = 30


def program(folder: Path, script: str, **changes: object) -> Program:
    made = Program(
        name="sample",
        command=(sys.executable, "-u", "-c", script),
        log=folder / "logs" / "sample.log",
        cwd=folder,
        check="http://127.0.0.1:9/never",
        address="nowhere",
        stage=Stage.SERVER,
        start_seconds=PATIENCE_SECONDS,
        stop_seconds=PATIENCE_SECONDS,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def printed(folder: Path, text: str) -> bool:
    log = folder / "logs" / "sample.log"
    return wait_until(lambda: log.exists() and text in log.read_text(), PATIENCE_SECONDS)


@pytest.fixture
def started() -> Iterator[list[Started]]:
    all_started: list[Started] = []
    yield all_started
    for one in all_started:
        kill(one)


def test_stop_ends_the_program_and_the_children_it_has_started(
    tmp_path: Path, started: list[Started]
) -> None:
    script = "import subprocess; subprocess.Popen(['sleep', '60']); print('up'); input() or 1"
    script = script.replace("input() or 1", "import time; time.sleep(60)")
    one = spawn(program(tmp_path, script))
    started.append(one)
    assert printed(tmp_path, "up")
    assert wait_until(lambda: len(members(one)) == 2, PATIENCE_SECONDS)

    clean = stop(one)

    assert clean
    assert members(one) == []


def test_a_program_that_ignores_sigterm_is_killed_after_its_limit(
    tmp_path: Path, started: list[Started]
) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf'); time.sleep(60)"
    )
    one = spawn(program(tmp_path, script, stop_seconds=0.2))
    started.append(one)
    assert printed(tmp_path, "deaf")

    clean = stop(one)

    assert not clean
    assert not one.alive()


def test_a_second_interrupt_kills_at_once(tmp_path: Path, started: list[Started]) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf'); time.sleep(60)"
    )
    one = spawn(program(tmp_path, script, stop_seconds=3600.0))
    started.append(one)
    assert printed(tmp_path, "deaf")

    clean = stop(one, hurry=lambda: True)

    assert not clean
    assert not one.alive()


def test_a_paused_program_is_stopped_all_the_same(tmp_path: Path, started: list[Started]) -> None:
    one = spawn(program(tmp_path, "print('up'); import time; time.sleep(60)"))
    started.append(one)
    assert printed(tmp_path, "up")
    send(one, signal.SIGSTOP)

    assert stop(one)


def test_children_are_found_after_their_leader_was_killed(
    tmp_path: Path, started: list[Started]
) -> None:
    script = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    one = spawn(program(tmp_path, script))
    started.append(one)
    assert wait_until(lambda: len(members(one)) == 2, PATIENCE_SECONDS)
    os.kill(one.pid, signal.SIGKILL)
    assert wait_until(lambda: not one.alive(), PATIENCE_SECONDS)

    orphans = members(one)
    stop(one)

    assert len(orphans) == 1
    assert members(one) == []


def test_a_pid_that_now_belongs_to_another_process_is_never_signalled(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        entry = Started(
            name="sample",
            pid=stranger.pid,
            ticks=(start_ticks(stranger.pid) or 0) - 1,
            log=str(tmp_path / "sample.log"),
            address="nowhere",
            check="",
            shape="",
            mark="",
            stage=Stage.SERVER,
            stop_seconds=0.1,
        )

        stop(entry)
        survived = stranger.poll() is None
        stranger.kill()

    assert not entry.alive()
    assert survived


def test_a_program_that_dies_while_starting_is_reported_with_its_last_words(
    tmp_path: Path,
) -> None:
    dying = program(tmp_path, "print('line one'); raise SystemExit('no such disk')")

    with pytest.raises(ProgramDiedError) as caught:
        wait_ready(dying, spawn(dying))

    assert "sample ended while starting" in str(caught.value)
    assert "no such disk" in str(caught.value)


def test_a_program_that_never_answers_is_reported_with_its_limit(
    tmp_path: Path, started: list[Started]
) -> None:
    silent = program(tmp_path, "import time; time.sleep(60)", start_seconds=0.3)
    one = spawn(silent)
    started.append(one)

    with pytest.raises(ProgramDiedError, match="was not ready within 0 s"):
        wait_ready(silent, one)


def test_a_log_that_has_grown_long_is_set_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "sample.log"
    log.write_text("short")
    set_aside(log)
    kept = log.read_text()
    with log.open("wb") as file:
        file.truncate(LOG_BYTES + 1)
    set_aside(log)
    set_aside(log)

    assert kept == "short"
    assert [one.name for one in tmp_path.iterdir()] == ["sample.log.1"]
