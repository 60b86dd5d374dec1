"""What runs on behalf of this checkout, kept in one file between two commands."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infra.local.errors import LocalError
from infra.local.health import wait_until
from infra.local.process import Stage, Started

# Another `up` or `down` in this checkout, which may start the slowest program.
LOCK_SECONDS = 300.0


@dataclass(slots=True)
class State:
    """What should run, with the check of each, and what we started, in the order of the start."""

    wanted: dict[str, str] = field(default_factory=dict)
    programs: list[Started] = field(default_factory=list)

    def running(self) -> dict[str, Started]:
        """Return the programs that still run, by name."""
        return {started.name: started for started in self.programs if started.alive()}


class StateFile:
    """A `State` in a JSON file, replaced as a whole at each change."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> State:
        """Return what is written down; a file that can't be read counts as empty."""
        try:
            content = json.loads(self.path.read_text())
            programs = [_started(entry) for entry in content["programs"]]
            return State(wanted=dict(content["wanted"]), programs=programs)
        except (OSError, ValueError, TypeError, KeyError):
            return State()

    def want(self, checks: Mapping[str, str]) -> None:
        """Write down what should run."""
        state = self.load()
        state.wanted = dict(checks)
        self._save(state)

    def add(self, started: Started) -> None:
        """Write a program down; its earlier entry of the same name goes."""
        state = self.load()
        state.programs = [one for one in state.programs if one.name != started.name]
        state.programs.append(started)
        self._save(state)

    def remove(self, name: str) -> None:
        """Forget a program."""
        state = self.load()
        state.programs = [one for one in state.programs if one.name != name]
        self._save(state)

    def clear(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold off other commands that start or stop something here."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:

            def free() -> bool:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            if not wait_until(free, LOCK_SECONDS):
                raise LocalError("another command starts or stops the servers of this checkout")
            yield

    def _save(self, state: State) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(state), indent=1) + "\n")
        draft.replace(self.path)


def _started(entry: dict[str, Any]) -> Started:
    return Started(**{**entry, "stage": Stage(entry["stage"])})
