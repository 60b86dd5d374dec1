"""A handle on one program of a test: start, wait, pause, kill, read its log."""

from __future__ import annotations

import signal
from dataclasses import replace
from types import TracebackType
from typing import Self

from infra.local import guardian
from infra.local.errors import LocalError
from infra.local.health import wait_until
from infra.local.ports import require_free
from infra.local.process import (
    LOG_LINES,
    Program,
    Started,
    exit_status,
    kill,
    last_words,
    send,
    spawn,
    stop,
    wait_ready,
)
from infra.local.signals import held


class Process:
    """A program under a test's control. Every method returns within the program's time limits.

    Attributes:
        exit_status: with what it ended when it was last stopped here; None where that is not known.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.started: Started | None = None
        self.exit_status: int | None = None

    @property
    def name(self) -> str:
        """The program's name, also that of its log."""
        return self.program.name

    @property
    def url(self) -> str:
        """Where it answers, e.g. `http://127.0.0.1:23456`."""
        return self.program.address

    @property
    def port(self) -> int:
        """The port it listens at."""
        return self.program.ports[0].number

    @property
    def pid(self) -> int:
        """Its process id; raises `LocalError` where it isn't started."""
        return self._started().pid

    def alive(self) -> bool:
        """Say whether it runs; a paused process does."""
        return self.started is not None and self.started.alive()

    def start(self) -> None:
        """Start it, at the same port with the same data as before. Does nothing while it runs."""
        if self.alive():
            return
        for port in self.program.ports:
            require_free(port, self.name)
        with held():
            self.started = spawn(self.program)
            guardian.watch(self.started)

    def wait_ready(self) -> None:
        """Return when its health check answers; else raise `ProgramDiedError` with its log."""
        self.started = wait_ready(self.program, self._started())

    def is_ready(self) -> bool:
        """Ask its health check once."""
        ready = self.alive() and self.program.ready()
        if ready:
            self.started = replace(self._started(), was_ready=True)
        return ready

    def terminate(self) -> bool:
        """Stop it with SIGTERM; false if it didn't end in time and was killed."""
        if self.started is None:
            return True
        clean = stop(self.started)
        self._forget()
        return clean

    def kill9(self) -> None:
        """Kill it and its children with SIGKILL, and wait until they are gone."""
        if self.started is not None:
            kill(self.started)
            self._forget()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its connections stay open and nothing answers."""
        send(self._started(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        send(self._started(), signal.SIGCONT)

    def log_tail(self, lines: int = LOG_LINES) -> str:
        """Return the end of its log."""
        return last_words(self.program.log, lines)

    def wait_for_log(self, text: str, seconds: float) -> bool:
        """Wait until its log holds `text`; false if it doesn't in time."""
        return wait_until(lambda: text in self.program.log.read_text(errors="replace"), seconds)

    def _started(self) -> Started:
        if self.started is None:
            raise LocalError(f"{self.name} isn't started")
        return self.started

    def _forget(self) -> None:
        if self.started is not None:
            self.exit_status = exit_status(self.started)
            guardian.forget(self.started)
            self.started = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.terminate()


class WorkerProcess(Process):
    """A Faust worker; see `infra.local.testing.start_worker`."""


class GatewayProcess(Process):
    """A gateway; see `infra.local.testing.start_gateway`."""
