"""Numbered claims with their evidence, and the exit status that follows from them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum

from aiokafka.errors import KafkaError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.local.errors import LocalError

# A log or a pipe has no width: wide enough that no line of evidence is folded.
PLAIN_WIDTH = 160


class Status(IntEnum):
    """With what a demonstration ends."""

    HOLDS = 0
    FAILS = 1
    NOT_UP = 2
    INTERRUPTED = 130


class DemoError(Exception):
    """Ends a demonstration with words for who runs it."""

    status = Status.FAILS


class NotUpError(DemoError):
    """There is no system, or not the part of it that this needs."""

    status = Status.NOT_UP


class NotInTimeError(DemoError):
    """What was waited for did not come."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What was said, whether it holds, and the figures that show it."""

    words: str
    holds: bool
    evidence: str


@dataclass(slots=True)
class Claims:
    """What one demonstration says; each claim is printed when it is made."""

    title: str
    console: Console
    made: list[Claim] = field(default_factory=list)

    def claim(self, words: str, *, holds: bool, evidence: str) -> bool:
        """Note and print a claim; whether it holds."""
        self.made.append(Claim(words, holds, evidence))
        sign = "[bold green]✔[/]" if holds else "[bold red]✘[/]"
        self.console.print(f"{sign} {len(self.made)}. {escape(words)}")
        self.console.print(f"     {escape(evidence)}", style="dim", highlight=False)
        return holds

    def equal(self, words: str, expected: object, actual: object) -> bool:
        """A claim that two things are equal; the evidence is the thing itself."""
        same = expected == actual
        evidence = f"{actual}" if same else f"{actual}, expected {expected}"
        return self.claim(words, holds=same, evidence=evidence)

    def note(self, words: str) -> None:
        """Print what goes on."""
        self.console.print(f"  {escape(words)}", highlight=False)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print figures that belong to the claims around them."""
        table = Table(title=title, title_justify="left", title_style="italic")
        for name in columns:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        self.console.print(table)

    @property
    def status(self) -> Status:
        """`HOLDS` only where something was claimed and all of it holds."""
        return Status.HOLDS if self.made and all(c.holds for c in self.made) else Status.FAILS

    def sum_up(self) -> Status:
        """Print how many of the claims hold."""
        holding = sum(claim.holds for claim in self.made)
        style = "bold green" if self.status is Status.HOLDS else "bold red"
        self.console.print(f"{self.title}: {holding} of {len(self.made)} claims hold", style=style)
        return self.status


def make_console(environment: Mapping[str, str] = os.environ) -> Console:
    """Where a demonstration prints: as wide as the terminal, and never folded elsewhere."""
    if sys.stdout.isatty() or environment.get("COLUMNS"):
        return Console()
    return Console(width=PLAIN_WIDTH)


@contextmanager
def explained(console: Console) -> Iterator[list[Status]]:
    """Turn what ends a demonstration early into a line; the status is in the list then."""
    early: list[Status] = []
    try:
        yield early
    except DemoError as error:
        console.print(f"\n{escape(str(error))}", style="red", highlight=False)
        early.append(error.status)
    except LocalError as error:
        console.print(f"\n{escape(str(error))}", style="red", highlight=False)
        early.append(Status.FAILS)
    except (KafkaError, OSError) as error:
        console.print(f"\n{escape(repr(error))}", style="red", highlight=False)
        early.append(Status.FAILS)
    except Exception:
        # A mistake of a demonstration's own. What it started is stopped by now.
        console.print_exception()
        early.append(Status.FAILS)
    except KeyboardInterrupt:
        console.print("\nInterrupted.")
        early.append(Status.INTERRUPTED)
