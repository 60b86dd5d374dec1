"""Running a system as a process: its account, its cost, the bound on its time."""

import json
import sys
import textwrap
import time
from pathlib import Path

from benchmarks.windows.running import Account, read_account, run

LONG = 60.0


def program(body: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(body)]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_a_run_gives_what_the_system_said_and_what_it_cost(tmp_path: Path):
    out = tmp_path / "it.json"
    account = {"processed": 3, "seconds": 0.5, "totals": {"0|UK": 7}}
    body = f"""
        import pathlib, time
        ballast = bytearray(60_000_000)
        began = time.process_time()
        while time.process_time() - began < 0.5:
            pass
        pathlib.Path({str(out)!r}).write_text({json.dumps(account)!r})
    """
    ran = run(program(body), out, LONG)

    assert (3, 0.5, {"0|UK": 7}) == (ran.processed, ran.seconds, ran.totals)
    assert (0, False) == (ran.exit_code, ran.stopped)
    assert ran.cpu_seconds >= 0.5
    assert ran.peak_memory_mb >= 60


def test_a_system_that_runs_past_the_bound_is_killed_with_its_children_and_its_last_account_counts(
    tmp_path: Path,
):
    out, child = tmp_path / "it.json", tmp_path / "child"
    account = {"processed": 2, "seconds": 2.5, "totals": None}
    body = f"""
        import pathlib, subprocess, sys, time
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path({str(child)!r}).write_text(str(sleeper.pid))
        pathlib.Path({str(out)!r}).write_text({json.dumps(account)!r})
        time.sleep(600)
    """
    ran = run(program(body), out, 2.0)

    assert (True, 2, None) == (ran.stopped, ran.processed, ran.totals)
    give_up = time.monotonic() + LONG
    while alive(int(child.read_text())):
        assert time.monotonic() < give_up, "the child lives on"
        time.sleep(0.05)


def test_a_system_that_fails_shows_its_status_and_what_it_printed_last(tmp_path: Path):
    ran = run(program("raise SystemExit('no broker')"), tmp_path / "it.json", LONG)

    assert (1, 0, None) == (ran.exit_code, ran.processed, ran.totals)
    assert "no broker" in ran.log


def test_a_system_that_never_wrote_has_done_nothing(tmp_path: Path):
    assert Account(0, 0.0, None) == read_account(tmp_path / "none.json")
