"""Ends a test's processes when the test's own process is gone, however it went.

`watch` starts one small process which reads what we started from a pipe. The kernel closes the pipe
when we end, even by SIGKILL; what is then still on the list is killed. (The kernel's parent-death
signal isn't used: it fires when the *thread* that started a child ends.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

from infra.local.java import ROOT
from infra.local.process import Started, kill

_pipes: dict[int, int] = {}


def watch(started: Started) -> None:
    """Have `started` killed when this process ends."""
    _tell({"watch": asdict(started)})


def forget(started: Started) -> None:
    """Undo `watch`, after a stop."""
    _tell({"forget": started.pid})


def _tell(message: dict[str, object]) -> None:
    os.write(_pipe(), json.dumps(message).encode() + b"\n")


def _pipe() -> int:
    """Return the pipe to this process's guardian, which is started when first needed."""
    ours = os.getpid()
    if ours not in _pipes:
        reading, writing = os.pipe()
        guardian = subprocess.Popen(
            (sys.executable, "-m", "infra.local.guardian"),
            stdin=reading,
            cwd=ROOT,
            start_new_session=True,
        )
        guardian.returncode = 0  # it outlives this object: no warning of that
        os.close(reading)
        _pipes[ours] = writing
    return _pipes[ours]


def main() -> None:
    """Read the list until the pipe is closed, then kill what is on it."""
    watched: dict[int, Started] = {}
    for line in sys.stdin:
        message = json.loads(line)
        if "watch" in message:
            started = Started(**message["watch"])
            watched[started.pid] = started
        else:
            watched.pop(message["forget"], None)
    for started in reversed(watched.values()):
        kill(started)


if __name__ == "__main__":
    main()
