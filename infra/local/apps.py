"""Our own processes: workers, each a Faust worker with its web views, and the gateway."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.local.errors import LocalError
from infra.local.java import ROOT
from infra.local.ports import LOOPBACK, Port
from infra.local.process import Program, Stage

# A worker joins its groups and reads its tables back before it is ready.
WORKER_START_SECONDS = 90.0
# It serves for up to 10 s until no gateway sends it anything, and gives up stopping after 25 s.
WORKER_STOP_SECONDS = 40.0
GATEWAY_START_SECONDS = 30.0
# It serves for up to 10 s until no balancer sends it anything, and 1 s for the last requests; then
# it waits for answers twice for 7 s.
GATEWAY_STOP_SECONDS = 30.0
# The start of Python, and of pydantic.
SETTINGS_SECONDS = 60.0
# Topics are made in one request; the rest is the start of Python.
TOPICS_SECONDS = 60.0
# Of a command that failed, the end is what helps.
OUTPUT_CHARACTERS = 3000


def worker(name: str, port: Port, data: Path, log: Path, environment: Mapping[str, str]) -> Program:
    """A Faust worker; `environment` says which servers it uses and which services it runs."""
    data.mkdir(parents=True, exist_ok=True)
    url = f"http://{LOOPBACK}:{port.number}"
    return Program(
        name=name,
        command=(
            *faust("worker"),
            *("--web-bind", LOOPBACK, "--web-host", LOOPBACK, "--web-port", str(port.number)),
            *("-l", "info"),
        ),
        log=log,
        cwd=ROOT,
        check=f"{url}/readyz",
        address=url,
        stage=Stage.WORKER,
        ports=(port,),
        environment={
            **environment,
            "WORKER_NAME": name,
            "WORKER_PORT": str(port.number),
            "DATA_DIR": str(data),
            # What a process printed last must be in its log, also after a crash.
            "PYTHONUNBUFFERED": "1",
        },
        start_seconds=WORKER_START_SECONDS,
        stop_seconds=WORKER_STOP_SECONDS,
    )


def gateway(
    name: str, port: Port, workers: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Program:
    """The gateway in front of the workers, which are given as URLs."""
    url = f"http://{LOOPBACK}:{port.number}"
    return Program(
        name=name,
        command=(sys.executable, "-m", "gateway"),
        log=log,
        cwd=ROOT,
        check=f"{url}/readyz",
        address=url,
        stage=Stage.GATEWAY,
        ports=(port,),
        environment={
            **environment,
            "GATEWAY_NAME": name,
            "GATEWAY_PORT": str(port.number),
            "GATEWAY_WORKERS": ",".join(workers),
            "PYTHONUNBUFFERED": "1",
        },
        start_seconds=GATEWAY_START_SECONDS,
        stop_seconds=GATEWAY_STOP_SECONDS,
    )


def faust(*arguments: str) -> tuple[str, ...]:
    """Return a command of our Faust app, on uvloop: half the cost of asyncio's own loop."""
    return (sys.executable, "-m", "faust", "-A", "app", "-L", "uvloop", *arguments)


def check_settings(environment: Mapping[str, str]) -> None:
    """Raise `LocalError`, with a line for each setting that our processes would refuse."""
    code = "from app.settings import settings; settings()"
    done = _finished((sys.executable, "-c", code), environment, SETTINGS_SECONDS, "the settings")
    if done.returncode != 0:
        raise LocalError((done.stderr or done.stdout)[-OUTPUT_CHARACTERS:].strip())


def make_topics(environment: Mapping[str, str]) -> str:
    """Create the topics that are missing, and say in a few words what was done.

    Raises:
        LocalError: it failed; with the command's own words.
    """
    name = "`faust -A app topics`"
    done = _finished(faust("topics"), environment, TOPICS_SECONDS, name)
    if done.returncode != 0:
        raise LocalError(f"{name} failed:\n{(done.stdout + done.stderr)[-OUTPUT_CHARACTERS:]}")
    return topics_done(done.stdout)


def topics_done(printed: str) -> str:
    """Put the table that `faust -A app topics` prints into a few words."""
    counts = re.search(r"(\d+) topics, (\d+) created", printed)
    if counts is None:
        return "checked"
    created = int(counts[2])
    changed = len(re.findall(r"retention was", printed))
    parts = {"made": created, "changed": changed, "unchanged": int(counts[1]) - created - changed}
    return ", ".join(f"{count} {what}" for what, count in parts.items() if count)


def _finished(
    command: tuple[str, ...], environment: Mapping[str, str], seconds: float, name: str
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LocalError(f"{name} took over {seconds:.0f} s") from None
