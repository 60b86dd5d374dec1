"""What a command shows: errors of one line, and how far it has come."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

# A log keeps every line, so a long run writes one only this often.
PLAIN_LINE_SECONDS = 5.0
# `make run`'s and a script's contract: what was asked for did not come true, or could not be tried.
FAILED = 1
UNREACHABLE = 2

Advance = Callable[[int, str], None]
"""Told how many are done so far, and a few words on how it goes."""


class CommandError(Exception):
    """Ends a command with one line for its user; `status` is the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def progress(console: Console, title: str, total: int | None) -> Iterator[Advance]:
    """A bar on a terminal; elsewhere a plain line now and then.

    Args:
        total: how many there will be; None if nobody knows.
    """
    if not console.is_terminal:
        yield _plain(console, title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, words="")

        def advance(done: int, words: str) -> None:
            bar.update(task, completed=done, words=words)

        yield advance


def _plain(console: Console, title: str, total: int | None) -> Advance:
    next_line = time.monotonic() + PLAIN_LINE_SECONDS

    def advance(done: int, words: str) -> None:
        nonlocal next_line
        if time.monotonic() >= next_line or done == total:
            next_line = time.monotonic() + PLAIN_LINE_SECONDS
            of = "" if total is None else f" of {total:,}"
            console.print(
                f"{title}: {done:,}{of}, {words}".rstrip(", "), highlight=False, soft_wrap=True
            )

    return advance
