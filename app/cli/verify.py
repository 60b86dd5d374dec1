"""`faust -A app verify`: whether the books balance, by the stores and by the topics."""

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from app import books
from app.books import Books, Discrepancy
from app.books_of_log import LogBooks, compare, compare_analytics
from app.cli import saga_log
from app.cli.asking import asking
from app.cli.balance import print_document, show
from app.cli.console import FAILED, CommandError, progress
from app.cli.rest import Unrest, until_rest
from app.cli.saga_log import SagaLog, Snapshot
from app.saga import SAGAS
from app.settings import Settings
from app.stores.mongo import Database
from app.topics import GROUP_PREFIX

DEFAULT_WAIT_SECONDS = 30.0
# The topics are read unasked up to so many records: some seconds.
QUICK_RECORDS = 100_000
# The analytics hear of an order's end after everybody else.
ANALYTICS_SECONDS = 10.0
ANALYTICS_POLL_SECONDS = 0.5
ANALYTICS_GROUP = f"{GROUP_PREFIX}analytics"


@dataclass(frozen=True, slots=True)
class Asked:
    """What to check.

    Attributes:
        wait: seconds until orders under way have ended.
        ledger: whether the provider keeps its ledger in our database.
        topics: whether to read the topics; None: where it is quick.
        url: of who is asked for the analytics; by default a worker that takes part in them.
    """

    wait: float = DEFAULT_WAIT_SECONDS
    as_json: bool = False
    ledger: bool = True
    topics: bool | None = None
    url: str | None = None
    token: str | None = None


@dataclass(slots=True)
class Checked:
    """What was found.

    Attributes:
        log: None where the topics were not read.
        sums: what log, stores and analytics don't agree on.
        revenue: by the analytics, where they were compared.
        notes: what could not be checked, and why.
    """

    left: Unrest
    books: Books
    log: LogBooks | None = None
    sums: list[Discrepancy] = field(default_factory=list)
    revenue: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def discrepancies(self) -> list[Discrepancy]:
        """All that does not agree."""
        found = [*self.books.discrepancies, *self.sums]
        return found if self.log is None else [*found, *self.log.discrepancies]


async def verify(settings: Settings, database: Database, console: Console, asked: Asked) -> int:
    """Wait until the system is at rest, check the books, print them; 0 if they balance.

    Raises:
        TransientStoreError: MongoDB can't be reached.
        CommandError: the topics were asked for and can't be read.
    """
    give_up = time.monotonic() + asked.wait
    left = await until_rest(database, asked.wait)
    # Standard output is for the document alone, and a program reads no bar.
    bars = Console(stderr=True, quiet=not sys.stderr.isatty()) if asked.as_json else console
    found: Checked | None = None
    notes: list[str] = []
    if asked.topics is not False:
        try:
            async with saga_log.opened(settings, topics_of(settings)) as log:
                snapshot = await log.snapshot(max(0.0, give_up - time.monotonic()))
                if asked.topics or snapshot.records <= QUICK_RECORDS:
                    found = await _both(settings, database, bars, asked, log, snapshot, left)
                else:
                    notes.append(
                        f"The topics hold {snapshot.records:,} records: --topics checks them too."
                    )
        except CommandError as error:
            if asked.topics:
                raise
            notes.append(f"The topics were not read: {error}.")
    if found is None:
        found = Checked(left, await books.load(database, ledger=asked.ledger), notes=notes)
    if asked.as_json:
        print_document(console, found)
    else:
        show(console, found)
    return FAILED if found.discrepancies else 0


def topics_of(settings: Settings) -> Any:
    """The topics of the saga that is configured."""
    return saga_log.topics_of(SAGAS[settings.saga_order])


async def _both(
    settings: Settings,
    database: Database,
    console: Console,
    asked: Asked,
    log: SagaLog,
    snapshot: Snapshot,
    left: Unrest,
) -> Checked:
    # After the log was looked at: what is in it was stored before.
    audit = await books.audited(database, ledger=asked.ledger)
    grown = await log.grown(snapshot)
    with progress(console, "Records read", snapshot.records) as advance:
        saga = SAGAS[settings.saga_order]
        folded = await log.fold(snapshot, saga, audit.end_of, advance)
    found = Checked(left, audit.close(), folded)
    if snapshot.cut:
        found.notes.append(
            "Retention has deleted the beginning of the topics, so their sums are not compared; "
            f"{folded.cut:,} orders lack what was deleted."
        )
    elif grown or not snapshot.at_rest:
        found.notes.append("Orders are under way, so the sums of the topics are not compared.")
    else:
        found.sums += compare(folded, found.books)
        urls = [asked.url] if asked.url else await log.workers(ANALYTICS_GROUP)
        await _analytics(asked, urls, found, folded)
    if folded.foreign:
        found.notes.append(
            f"Records that are no events of their topic: {folded.foreign:,}. faust -A app dlq list"
        )
    return found


async def _analytics(asked: Asked, urls: list[str], found: Checked, log: LogBooks) -> None:
    """Compare with the first that answers."""
    why = "no worker takes part in them"
    for url in urls:
        try:
            summary, differing = await _asked(url, asked.token, log)
        except CommandError as error:
            why = str(error)
            continue
        found.revenue = summary["revenue"]
        found.sums += differing
        return
    found.notes.append(f"The analytics were not compared: {why}.")


async def _asked(
    url: str, token: str | None, log: LogBooks
) -> tuple[dict[str, Any], list[Discrepancy]]:
    give_up = time.monotonic() + ANALYTICS_SECONDS
    async with asking(url, token) as api:
        while True:
            summary = await api.get("/analytics")
            differing = list(compare_analytics(log, summary))
            if not differing or time.monotonic() > give_up:
                return summary, differing
            await asyncio.sleep(ANALYTICS_POLL_SECONDS)
