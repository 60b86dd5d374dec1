"""What our commands have in common: their own loop, no worker, errors of one line."""

import asyncio
import errno
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NoReturn

from faust.cli.base import AppCommand
from pymongo.uri_parser import parse_uri
from rich.console import Console

from app.cli.console import UNREACHABLE, CommandError
from app.operating.broker import BrokerAwayError
from app.settings import Settings
from app.stores import mongo
from app.stores.errors import TransientStoreError
from app.topic_admin import BrokerUnreachableError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
# A server that listens accepts in milliseconds; the driver looks twice a second.
REFUSED_SECONDS = 1.0


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
            self._complain(explained(error))
            return error.status
        except (TransientStoreError, mongo.PyMongoError) as error:
            self._complain(explained(error))
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
    """The database, for the time of one command.

    Where nothing listens, a command hears of it at once; the driver would go on trying. One that
    does not need the database after all is not disturbed.
    """
    refused = await _refused(settings.mongodb_url)
    database = mongo.connect(settings, timeout=REFUSED_SECONDS if refused else None)
    try:
        yield database
    finally:
        await mongo.close(database)


def explained(error: Exception) -> str:
    """The error's words, with what to look at where a server is not to be had."""
    cause = error.__cause__
    away = isinstance(cause, BrokerAwayError) and cause.refusal is None
    if not isinstance(error, CommandError):
        variable, words = "MONGODB_URL", mongo.brief(error)
    elif away or isinstance(cause, BrokerUnreachableError):
        variable, words = "KAFKA_BOOTSTRAP_SERVERS", str(error)
    else:
        return str(error)
    return f"{words} ({variable}; is the system up? make status)"


async def _refused(url: str) -> bool:
    """Whether every server that the URL names refuses connections."""
    if url.startswith("mongodb+srv"):
        return False  # to find out who they are may take longer
    try:
        servers = parse_uri(url)["nodelist"]
    except (mongo.PyMongoError, ValueError):
        return False  # the driver says it better
    return all(await asyncio.gather(*(_refuses(host, port) for host, port in servers)))


async def _refuses(host: str, port: int | None) -> bool:
    try:
        async with asyncio.timeout(REFUSED_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return False
    except OSError as error:
        # Where a name has several addresses, the error of all has no number but names each.
        return error.errno == errno.ECONNREFUSED or "refused" in str(error)
    writer.close()
    return False
