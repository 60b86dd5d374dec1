"""From the command line to an exit status: 0 all claims hold, 1 one does not, 2 no system is up."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from infra.demo import system as systems
from infra.demo.api import Api, connect
from infra.demo.claims import Claims, NotInTimeError, Status, explained, make_console
from infra.demo.system import System

# Most take some 5 s, and ten times as long on a busy machine.
LIMIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Demo:
    """A demonstration.

    Attributes:
        name: of the command.
        about: what it proves, for `--help`.
        show: makes the claims.
        arguments: adds options of its own.
        needs: of `make up`, for a system of its own.
        seconds: after which it is given up, unless told otherwise.
    """

    name: str
    about: str
    show: Callable[[Api, Claims, argparse.Namespace], Awaitable[None]]
    arguments: Callable[[argparse.ArgumentParser], object] = lambda _: None
    needs: Mapping[str, str] = field(default_factory=dict)
    seconds: float = LIMIT_SECONDS

    def parser(self) -> argparse.ArgumentParser:
        """Its options."""
        parser = argparse.ArgumentParser(
            prog=f"infra/demo/{self.name}",
            description=self.about,
            epilog="Exit status: 0 all claims hold, 1 one does not, 2 no system is up.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument(
            "--own",
            action="store_true",
            help="on a system of its own, which is started for it and stopped afterwards",
        )
        parser.add_argument(
            "--token",
            default=os.environ.get("ORDERFLOW_TOKEN"),
            help="bearer token of an admin, for a system with AUTH=on (default: ORDERFLOW_TOKEN)",
        )
        parser.add_argument(
            "--seconds",
            type=float,
            default=self.seconds,
            help="give up after so long, a start with --own not counted (default: %(default)g)",
        )
        self.arguments(parser)
        return parser


def main(demo: Demo, arguments: Sequence[str] | None = None) -> int:
    """Run one demonstration as its command does; the exit status."""
    options = demo.parser().parse_args(arguments)
    console = make_console()
    prepare()
    with explained(console) as early:
        if not options.own:
            return run(demo, systems.running(), console, options).status
        console.print("A system of its own:")
        with systems.own(console.print, **demo.needs) as system:
            return run(demo, system, console, options).status
    return early[0]


def run(
    demo: Demo, system: System, console: Console, options: argparse.Namespace | None = None
) -> Claims:
    """Run one demonstration on a system and sum it up; what it claimed.

    What ends it early counts as a claim that does not hold, except that there is no system.
    """
    chosen = options or demo.parser().parse_args([])
    claims = Claims(demo.name, console)
    console.rule(f"[bold]{demo.name}", align="left")
    with explained(console) as early:
        asyncio.run(_within(demo, system, claims, chosen))
    if early and early[0] is not Status.FAILS:
        raise SystemExit(early[0])
    if early:
        claims.claim("it comes to its end", holds=False, evidence="see above")
    claims.sum_up()
    return claims


def prepare() -> None:
    """Of the process: what is started ends with it, and only claims are printed."""
    # As Ctrl-C does: a SIGTERM must not leave behind what was started, either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # It tells of every rebalance, and those are what is shown here.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def number(most: int) -> Callable[[str], int]:
    """The type of an option that is a number from 1 to `most`."""

    def parse(text: str) -> int:
        given = int(text)
        if not 1 <= given <= most:
            raise argparse.ArgumentTypeError(f"give a number from 1 to {most}")
        return given

    return parse


async def _within(demo: Demo, system: System, claims: Claims, options: argparse.Namespace) -> None:
    try:
        async with asyncio.timeout(options.seconds), connect(system, options.token) as api:
            await demo.show(api, claims, options)
    except TimeoutError:
        raise NotInTimeError(f"Given up after {options.seconds:g} s.") from None
