"""What a system says of its run: how far it is, twice a second, and in the end its result.

A JSON file, replaced as a whole: `{"processed", "seconds", "totals"}`. `seconds` runs from the
first record on, until the last one is processed and the result is durable in the way the system
makes it so, offsets committed; `totals` (null until then) is
`<begin of the hour, Unix time>|<country>` to minor units.
"""

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

WRITE_EVERY_SECONDS = 0.5
HOUR_SECONDS = 3600
# Nothing here leaves cycles behind: a fourth less CPU for aiokafka, a tenth for FastStream, nothing
# for Quix Streams. Ours has what a worker sets for itself.
COLLECTOR = (50_000, 20, 100)
# The generator's disorder is 15 minutes; every system that knows a grace has this one.
GRACE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Task:
    """What a system's command line asks of it."""

    bootstrap: str
    topic: str
    events: int
    out: Path

    @classmethod
    def from_command_line(cls, *, spare_collector: bool = True) -> "Task":
        """The task; with `spare_collector` Python collects garbage more rarely from here on."""
        if spare_collector:
            gc.set_threshold(*COLLECTOR)
        bootstrap, topic, events, out = sys.argv[1:5]
        return cls(bootstrap, topic, int(events), Path(out))

    @property
    def state(self) -> Path:
        """A folder for the system's state, made."""
        folder = self.out.with_suffix(".state")
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class Report:
    """Counts, and writes the file. `add` is called with what was just processed."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._began: float | None = None
        self.processed = 0
        threading.Thread(target=self._keep_writing, daemon=True).start()

    def add(self, count: int = 1) -> bool:
        """So many more were processed; true if those were the last."""
        self.processed += count
        return self.processed >= self._task.events

    def begin(self) -> None:
        """The first record is here; more calls change nothing."""
        if self._began is None:
            self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the first record."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def end(self, seconds: float, totals: Iterable[tuple[str, int]]) -> None:
        """All is processed and durable, `seconds` after the first record."""
        self._began = None
        merged: dict[str, int] = {}
        for key, amount in totals:
            merged[key] = merged.get(key, 0) + amount
        self._write(seconds, merged)

    def _keep_writing(self) -> None:
        while True:
            time.sleep(WRITE_EVERY_SECONDS)
            if self._began is not None:
                self._write(self.seconds, None)

    def _write(self, seconds: float, totals: dict[str, int] | None) -> None:
        draft = self._task.out.with_suffix(f".{threading.get_ident()}")
        found = {"processed": self.processed, "seconds": seconds, "totals": totals}
        draft.write_text(json.dumps(found))
        os.replace(draft, self._task.out)
