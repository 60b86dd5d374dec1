"""Runs one system as a process of its own: what it cost, what it said, and a bound on its time."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import peak_memory_mb

ROOT = Path(__file__).parents[2]
POLL_SECONDS = 0.1
# Besides the time that a system is given: a worker starts in 8 s, twice that on a busy machine.
START_STOP_SECONDS = 60.0
LOG_TAIL_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Ran:
    """A system's run.

    Attributes:
        processed: events, by its own account.
        seconds: from its first record to a durable result, or to its last account.
        totals: its result; None if it did not come to one.
        cpu_seconds: of the process and its children, starting and stopping included.
        stopped: whether it ran into the bound.
        exit_code: of the process; below 0 the signal that ended it.
        log: the end of what it printed.
    """

    processed: int
    seconds: float
    totals: dict[str, int] | None
    cpu_seconds: float
    peak_memory_mb: float
    stopped: bool
    exit_code: int
    log: str


def run(command: Sequence[str], out: Path, bound: float) -> Ran:
    """Run the command, which writes its account to `out`.

    It is stopped once it has processed for `bound` seconds by its own account, or is silent for too
    long.
    """
    log = out.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    give_up = time.monotonic() + START_STOP_SECONDS + bound
    peak, stopped, status = 0.0, False, None
    try:
        while True:
            peak = max(peak, peak_memory_mb(process.pid))
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            if read_account(out).seconds > bound or time.monotonic() > give_up:
                stopped = True
                os.killpg(process.pid, signal.SIGKILL)
                _, status, used = os.wait4(process.pid, 0)
                break
            time.sleep(POLL_SECONDS)
    finally:
        if status is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    process.returncode = os.waitstatus_to_exitcode(status)
    account = read_account(out)
    return Ran(
        processed=account.processed,
        seconds=account.seconds,
        totals=account.totals,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_memory_mb=peak,
        stopped=stopped,
        exit_code=process.returncode,
        log=log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:],
    )


@dataclass(frozen=True, slots=True)
class Account:
    """What a system says of its run: see `peers/report.py`."""

    processed: int = 0
    seconds: float = 0.0
    totals: dict[str, int] | None = None


def read_account(out: Path) -> Account:
    """The account in this file; of a system that never wrote one, nothing done."""
    return Account(**json.loads(out.read_text())) if out.exists() else Account()
