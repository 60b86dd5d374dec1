"""Asking and showing, each in its own time, so that a silent worker holds up no screen."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import orjson
from rich.console import Console
from rich.live import Live

from app.cli.asking import asking
from app.cli.console import UNREACHABLE, CommandError
from app.cli.watch.asked import Asker
from app.cli.watch.screen import HEIGHT, WIDTH, document, line, screen
from app.cli.watch.view import View

# Who is well answers in some 20 ms; the screen says after twice as long that nobody does.
ANSWER_SECONDS = 2.0
# Between two looks; and between the two of a single frame, of which a gateway may remember one.
LOOK_SECONDS = 1.0
ONCE_SECONDS = 3.0
ENDS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Watch:
    """What to watch.

    Attributes:
        urls: who may be asked: the first of them that answers is.
        once: one frame, and no more.
        every: seconds between two frames.
    """

    urls: tuple[str, ...]
    token: str | None = None
    once: bool = False
    every: float = 1.0
    as_json: bool = False


async def watch(console: Console, asked: Watch) -> int:
    """Show what flows until interrupted, which is the ordinary end; 0.

    Raises:
        CommandError: nobody answers to begin with, or the caller may not ask.
    """
    url = await _answering(asked)
    view = View(url)
    async with asking(url, asked.token, seconds=ANSWER_SECONDS) as api:
        asker = Asker(api, view)
        await asker.once()
        if asked.once:
            await asyncio.sleep(ONCE_SECONDS)
            await asker.once()
            _print(console, view, asked)
            return 0
        with _told_to_end() as ending:
            async with asyncio.TaskGroup() as tasks:
                running = (
                    tasks.create_task(_ask(asker, ending)),
                    tasks.create_task(_show(console, view, asked)),
                )
                await ending.wait()
                for task in running:
                    task.cancel()
    return 0


async def _answering(asked: Watch) -> str:
    """The first address at which somebody answers."""
    faults = []
    for url in asked.urls:
        try:
            async with asking(url, asked.token, seconds=ANSWER_SECONDS) as api:
                await api.look("/readyz")
        except CommandError as error:
            faults.append(str(error))
        else:
            return url
    if len(faults) == 1:
        raise CommandError(faults[0], UNREACHABLE)
    raise CommandError(
        f"nothing answers at {' or at '.join(asked.urls)} (--url; is the system up? make status)",
        UNREACHABLE,
    )


async def _ask(asker: Asker, ending: asyncio.Event) -> None:
    # A cancellation can be lost in an answer that fails at the same moment.
    while not ending.is_set():
        # What may not be asked any more, such as after a token has run out, is no reason to end.
        with contextlib.suppress(CommandError):
            await asker.once()
        await asyncio.sleep(LOOK_SECONDS)


async def _show(console: Console, view: View, asked: Watch) -> None:
    if not console.is_terminal or asked.as_json:
        while True:
            _print(console, view, asked, plain=True)
            await asyncio.sleep(asked.every)
    with Live(screen(view, _now()), console=console, screen=True, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(asked.every)
            live.update(screen(view, _now()), refresh=True)


def _print(console: Console, view: View, asked: Watch, *, plain: bool = False) -> None:
    if asked.as_json:
        console.out(orjson.dumps(document(view, _now())).decode(), highlight=False)
    elif plain:
        console.out(line(view, _now()), highlight=False)
    else:
        console.print(screen(view, _now()), width=WIDTH, height=HEIGHT)


@contextmanager
def _told_to_end() -> Iterator[asyncio.Event]:
    """Set by Ctrl-C or SIGTERM, so that the terminal is left as it was."""
    ending, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in ENDS:
        loop.add_signal_handler(number, ending.set)
    try:
        yield ending
    finally:
        for number in ENDS:
            loop.remove_signal_handler(number)


def _now() -> datetime:
    return datetime.now().astimezone()
