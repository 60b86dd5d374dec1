"""What a run cost: CPU seconds and peak memory of each process, and where its time went."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLES_PER_SECOND = 50
PROFILE_GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Usage:
    """A process's CPU seconds so far, and its highest resident memory in MB."""

    cpu_seconds: float
    peak_memory_mb: float

    @classmethod
    def of(cls, pid: int) -> "Usage":
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return cls((int(fields[11]) + int(fields[12])) / TICKS, int(peak.split()[1]) / 1024)


def usages(pids: Mapping[str, int]) -> dict[str, Usage]:
    """The usage of each named process."""
    return {name: Usage.of(pid) for name, pid in pids.items()}


def peak_memory_mb(pid: int) -> float:
    """The sum of the highest resident memory of a process and its descendants, in MB.

    Read it often: a process that has ended is not there any more, and counts for nothing.
    """
    try:
        own = Usage.of(pid).peak_memory_mb
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, StopIteration):
        return 0.0
    return own + sum(peak_memory_mb(int(child)) for child in children)


class Profile:
    """Samples of a Python process, by py-spy, until `shares` is asked for."""

    def __init__(self, pid: int, seconds: int) -> None:
        self._file = Path(tempfile.mkstemp(suffix=".txt")[1])
        program = Path(sys.executable).with_name("py-spy")
        self._process = subprocess.Popen(
            [
                program,
                "record",
                "-p",
                str(pid),
                "-d",
                str(seconds),
                "-r",
                str(SAMPLES_PER_SECOND),
                "-f",
                "raw",
                "-o",
                self._file,
                "--gil",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def shares(self) -> list[tuple[str, float]]:
        """Each package's share of the samples: the deepest frame that belongs to one we name."""
        return _shares((owner(stack), samples) for stack, samples in self._stacks)

    def functions(self) -> list[tuple[str, float]]:
        """Each function's share of the samples, by who was itself at work."""
        return _shares((function(stack[-1]), samples) for stack, samples in self._stacks)

    @cached_property
    def _stacks(self) -> list[tuple[list[str], int]]:
        """The stacks that were found, the deepest frame last, and how often each was."""
        self._process.wait(timeout=PROFILE_GRACE_SECONDS)
        lines = [line.rpartition(" ") for line in self._file.read_text().splitlines()]
        self._file.unlink()
        return [(stack.split(";"), int(samples)) for stack, _, samples in lines]


def _shares(found: Iterable[tuple[str, int]]) -> list[tuple[str, float]]:
    counts: Counter[str] = Counter()
    for name, samples in found:
        counts[name] += samples
    total = counts.total() or 1
    return [(name, count / total) for name, count in counts.most_common()]


OWNERS = {
    "app/streaming": "app/streaming (the loop, publishing)",
    "app/stores": "app/stores (documents, locks)",
    "app/web": "app/web (HTTP views)",
    "app/domain": "app/domain (decisions)",
    "app/codec": "app/codec, app/events (JSON and pydantic)",
    "app/events": "app/codec, app/events (JSON and pydantic)",
    "app/money": "app/codec, app/events (JSON and pydantic)",
    "pydantic": "app/codec, app/events (JSON and pydantic)",
    "app/": "app (agents, the rest)",
    "pymongo": "pymongo, motor, bson",
    "motor": "pymongo, motor, bson",
    "bson": "pymongo, motor, bson",
    "aiokafka": "aiokafka",
    "redis": "redis",
    "faust": "faust, mode",
    "mode": "faust, mode",
    "gateway/": "gateway",
    "aiohttp": "aiohttp",
    "prometheus_client": "prometheus_client",
}


def function(frame: str) -> str:
    """A frame's function and file, without its line."""
    name, _, place = frame.partition(" (")
    return f"{name} ({'/'.join(place.partition(':')[0].rstrip(')').split('/')[-2:])})"


def owner(stack: Iterable[str]) -> str:
    """Who the deepest named frame belongs to; the event loop where there is none."""
    for frame in reversed(list(stack)):
        path = frame.partition("(")[2].replace("site-packages/", "")
        for part, name in OWNERS.items():
            if part in path:
                return name
    return "event loop, threads, idle"
