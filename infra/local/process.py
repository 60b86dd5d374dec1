"""Start programs that outlive us, remember them, and stop exactly those.

A process is named by its pid *and* its start time: a pid that the system gave to somebody else
is never signalled. Each program leads a session of its own, so its children are stopped too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

from infra.local.errors import ProgramDiedError
from infra.local.health import answers, wait_until
from infra.local.ports import Port

# In the environment of all we start; tells its children from strangers once the leader has died.
MARK = "ORDERFLOW_LOCAL_PROGRAM"
# The kernel ends a killed process at once, unless it hangs in a disk.
KILL_SECONDS = 10.0
# What is stopped while it still starts has nothing to finish, and may not listen yet.
UNREADY_SECONDS = 5.0
# Of our own children that have ended, by pid.
_exit_statuses: dict[int, int] = {}
LOG_LINES = 20
# A log that is longer is set aside at the program's next start. The Java servers' are kept far
# below it by log4j, which names its older files alike.
LOG_BYTES = 10_000_000


class Stage(IntEnum):
    """What starts together and stops together; each stage needs those before it."""

    SERVER = 0
    WORKER = 1
    GATEWAY = 2
    FRONT = 3
    MONITORING = 4


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, how to see that it is ready, and how long that and its stop may take."""

    name: str
    command: tuple[str, ...]
    log: Path
    cwd: Path
    # What to ask to see that it is ready, as `health.answers` understands it.
    check: str
    address: str
    stage: Stage
    ports: tuple[Port, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    # What else it was told, in files: `shape` tells that apart too.
    settings: Callable[[], str] | None = None
    start_seconds: float = 60.0
    stop_seconds: float = 20.0

    def ready(self) -> bool:
        """Ask once whether it answers."""
        return answers(self.check)

    def shape(self) -> str:
        """Tell apart two programs of one name whose command, environment or settings differ."""
        parts: list[object] = [self.command, sorted(self.environment.items())]
        if self.settings is not None:
            parts.append(self.settings())
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Started:
    """A process we started; `ticks` is its start time, in clock ticks since the machine's start."""

    name: str
    pid: int
    ticks: int
    log: str
    address: str
    check: str
    shape: str
    mark: str
    stage: Stage
    stop_seconds: float
    # It answered once, so it may hold work that it should finish.
    was_ready: bool = False

    def alive(self) -> bool:
        """Say whether this very process still runs."""
        return start_ticks(self.pid) == self.ticks

    def is_worker(self) -> bool:
        """Say whether it is one of our Faust workers."""
        return self.stage == Stage.WORKER


def start_ticks(pid: int) -> int | None:
    """Return the start time of a process, or None where it has ended (a zombie has)."""
    stat = _stat(pid)
    return None if stat is None or _ended(pid, stat) else int(stat[19])


def _ended(pid: int, stat: list[str]) -> bool:
    """Say whether a process is only a zombie; one whose other threads still end holds its ports."""
    if stat[0] not in "ZX":
        return False
    try:
        return len(os.listdir(f"/proc/{pid}/task")) <= 1
    except OSError:
        return True


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on: [0] state, [3] session, [19] start time."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The program's name is in parentheses and may itself hold spaces and parentheses.
    return text.rpartition(")")[2].split()


def spawn(program: Program) -> Started:
    """Start `program` in a session of its own with its output appended to its log."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    set_aside(program.log)
    if program.prepare is not None:
        program.prepare()
    mark = f"{program.name}@{program.log.parent}"
    with program.log.open("ab") as log:
        child = subprocess.Popen(
            program.command,
            cwd=program.cwd,
            env={**os.environ, **program.environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _exit_statuses.pop(child.pid, None)
    # It is meant to outlive this object, which else would warn of that. `reap` takes its status.
    child.returncode = 0
    return Started(
        name=program.name,
        pid=child.pid,
        ticks=start_ticks(child.pid) or 0,
        log=str(program.log),
        address=program.address,
        check=program.check,
        shape=program.shape(),
        mark=mark,
        stage=program.stage,
        stop_seconds=program.stop_seconds,
    )


def set_aside(log: Path) -> None:
    """Rename a log that has grown long, over the one that was set aside before."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def wait_ready(program: Program, started: Started) -> Started:
    """Return when `program` answers; if it never does, raise `ProgramDiedError` with its log."""

    def settled() -> bool:
        return not started.alive() or program.ready()

    in_time = wait_until(settled, program.start_seconds)
    reap(started.pid)
    if in_time and started.alive():
        return replace(started, was_ready=True)
    fault = "ended" if in_time else f"was not ready within {program.start_seconds:.0f} s"
    raise ProgramDiedError(f"{program.name} {fault} while starting.\n{last_words(program.log)}")


def last_words(log: Path, lines: int = LOG_LINES) -> str:
    """Return the end of a log under a heading that says where it is."""
    try:
        text = log.read_text(errors="replace").splitlines()
    except OSError:
        return f"(it left no log at {log})"
    return "\n".join([f"The end of {log}:", *(f"  {line}" for line in text[-lines:])])


def members(started: Started) -> list[int]:
    """Return the living processes of the program: its leader, children, their children."""
    leader = start_ticks(started.pid)
    if leader is not None and leader != started.ticks:
        return []
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        stat = _stat(pid)
        if stat is None or int(stat[3]) != started.pid or _ended(pid, stat):
            continue
        if leader is not None or _marked(pid, started.mark):
            found.append(pid)
    return found


def _marked(pid: int, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def stop(started: Started, hurry: Callable[[], bool] = lambda: False) -> bool:
    """Ask the program to end, then make it; false if it had to be killed.

    It is killed after its time limit, or as soon as `hurry` says so.
    """
    limit = (
        started.stop_seconds if started.was_ready else min(UNREADY_SECONDS, started.stop_seconds)
    )
    send(started, signal.SIGTERM)
    # A paused process takes the signal only when it goes on.
    send(started, signal.SIGCONT)
    wait_until(lambda: _gone(started) or hurry(), limit)
    if _gone(started):
        return True
    kill(started)
    return False


def kill(started: Started) -> None:
    """End the program and its children at once, without a chance to clean up."""
    send(started, signal.SIGKILL)
    wait_until(lambda: _gone(started), KILL_SECONDS)


def send(started: Started, number: signal.Signals) -> None:
    """Send a signal to the program and its children."""
    for pid in members(started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def reap(pid: int) -> None:
    """Take the exit status of our own child, so that it doesn't stay as a zombie."""
    with contextlib.suppress(ChildProcessError):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _exit_statuses[pid] = os.waitstatus_to_exitcode(status)


def exit_status(started: Started) -> int | None:
    """Return with what a child of ours has ended, negative for a signal; None if not known."""
    return _exit_statuses.get(started.pid)


def _gone(started: Started) -> bool:
    reap(started.pid)
    return not members(started)
