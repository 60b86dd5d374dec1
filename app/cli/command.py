"""What our commands have in common: their own loop, no worker, errors of one line."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NoReturn

from faust.cli.base import AppCommand
from rich.console import Console

from app.cli.console import UNREACHABLE, CommandError
from app.settings import Settings
from app.stores import mongo
from app.stores.errors import TransientStoreError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class OrderflowCommand(AppCommand):
    """A command whose `run` returns its exit status.

    Faust would run it as a service of a worker, whose signal handlers, log and exit status are
    made for a process that stays.
    """

    abstract: ClassVar[bool] = True

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run to the end, and exit with its status."""
        self._quieten()
        try:
            status = asyncio.run(self._status(*self.args, *args, **{**self.kwargs, **kwargs}))
        except KeyboardInterrupt:
            self._complain("interrupted")
            status = INTERRUPTED
        raise SystemExit(status)

    async def _status(self, *args: Any, **kwargs: Any) -> int:
        try:
            return int(await self.run(*args, **kwargs) or 0)
        except CommandError as error:
            self._complain(str(error))
            return error.status
        except (TransientStoreError, mongo.PyMongoError) as error:
            self._complain(_brief(error))
            return UNREACHABLE
        finally:
            await self.on_stop()

    @property
    def console(self) -> Console:
        """Where the command prints."""
        return Console(file=self.stdout, quiet=self.quiet)

    def _complain(self, message: str) -> None:
        line = " ".join(message.split())
        Console(file=self.stderr).print(
            f"error: {line}", style="red", soft_wrap=True, markup=False, highlight=False
        )

    def _quieten(self) -> None:
        """Clients log every failed attempt to connect; the command says it once, in its words."""
        if self.debug:
            logging.basicConfig(level=logging.DEBUG)
        else:
            logging.disable(logging.CRITICAL)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[mongo.Database]:
    """The database, for the time of one command."""
    database = mongo.connect(settings)
    try:
        yield database
    finally:
        database.client.close()


def _brief(error: Exception) -> str:
    # PyMongo appends its whole view of the cluster.
    return str(error).split(", Timeout:")[0].split(" (configured timeouts")[0]
