"""Asks the owners of all partitions of a table side by side; none is missing unnoticed."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from app.tables.ledger import Progress
from app.tables.reading import PART_BYTES, Part, Question
from app.web.analytics import parts as wire
from app.web.analytics.owners import Owners, OwnersUnknownError
from app.web.analytics.parts import HeldTable, held_parts
from app.web.problems import ProblemError, unavailable

logger = logging.getLogger(__name__)

# Once more with fresh owners: partitions that moved a moment ago are found, and for those that are
# moving the client is told to come back.
ATTEMPTS = 2
# Connections to one worker: more than its loop answers side by side.
CONNECTIONS_A_WORKER = 16
# Below the time after which a worker closes an idle connection (aiohttp: 75 s).
KEEPALIVE_SECONDS = 15.0
# A cell more than fits may be sent (`PART_BYTES`), and each has its lengths before it.
BODY_SLACK = 2


class LookUp(Protocol):
    """Who owns what."""

    async def __call__(self, *, anew: bool = False) -> Owners:
        """The owners; `anew`: not those of a moment ago."""
        ...


Fetch = Callable[[str, str, Question, Sequence[int]], Awaitable[list[Part]]]
"""The parts that the worker of this URL answers, of a table's partitions."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The parts of a question's answer, each partition's once at most; `total` there are."""

    parts: Mapping[int, Part]
    total: int

    @property
    def complete(self) -> bool:
        """Whether every partition is in it."""
        return len(self.parts) == self.total

    @property
    def progress(self) -> Iterable[Progress]:
        """How far each partition is."""
        return [part.progress for part in self.parts.values()]

    def or_unavailable(self, *, allow_partial: bool) -> "Gathered":
        """Itself, where that is enough for the client.

        Raises:
            ProblemError: 503, not all partitions answered.
        """
        if self.complete or (allow_partial and self.parts):
            return self
        raise incomplete(len(self.parts), self.total)


def incomplete(covered: int, total: int) -> ProblemError:
    """503: so many partitions answered, which is too few."""
    return unavailable(
        f"Only {covered} of {total} partitions can be read now: the others are being moved. Try "
        "again, or take what there is with ?allow=partial.",
        kind="partitions-missing",
        partitions={"covered": covered, "total": total},
    )


class PartFetcher:
    """Asks other workers over HTTP."""

    def __init__(self, token: str) -> None:
        self._headers = {wire.TOKEN_HEADER: token} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self, url: str, table: str, question: Question, partitions: Sequence[int]
    ) -> list[Part]:
        """The parts that the worker holds, which may be fewer; none where it is out of reach."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                # Whoever asks has a time limit for all of them.
                timeout=aiohttp.ClientTimeout(total=None),
                connector=aiohttp.TCPConnector(
                    limit=0,
                    limit_per_host=CONNECTIONS_A_WORKER,
                    keepalive_timeout=KEEPALIVE_SECONDS,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            async with self._session.get(
                f"{url}{wire.PATH}/{table}",
                params=wire.query(question, partitions),
                allow_redirects=False,
            ) as answer:
                if answer.status != 200:
                    logger.info("%s answers %d for partitions of %s", url, answer.status, table)
                    return []
                if (answer.content_length or 0) > BODY_SLACK * PART_BYTES * len(partitions):
                    raise ValueError("too large")
                return wire.decode(await answer.read())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            logger.warning("%s does not answer for partitions of %s: %r", url, table, error)
            return []

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Puts questions to all owners of a table's partitions.

    Attributes:
        own_url: of this worker, which is not asked over HTTP.
        tables: of this process, by name.
        total: partitions of a table.
        seconds: for the whole of it.
    """

    own_url: str
    tables: Mapping[str, HeldTable]
    owners: LookUp
    fetch: Fetch
    total: int
    seconds: float

    async def __call__(self, table: str, changelog: str, question: Question) -> Gathered:
        """What was answered in time; each partition by the one worker that owned it."""
        found: dict[int, Part] = {}
        try:
            async with asyncio.timeout(self.seconds):
                for attempt in range(ATTEMPTS):
                    try:
                        owners = (await self.owners(anew=attempt > 0)).get(changelog, {})
                    except OwnersUnknownError as error:
                        logger.warning("the owners of %s are not known: %s", table, error)
                        continue
                    asked: defaultdict[str, list[int]] = defaultdict(list)
                    for partition in range(self.total):
                        if partition not in found and partition in owners:
                            asked[owners[partition]].append(partition)
                    await asyncio.gather(
                        *(
                            self._ask(url, table, question, partitions, found)
                            for url, partitions in asked.items()
                        )
                    )
                    if len(found) == self.total:
                        break
        except TimeoutError:
            logger.warning("partitions of %s were not answered within %g s", table, self.seconds)
        return Gathered(dict(sorted(found.items())), self.total)

    async def _ask(
        self,
        url: str,
        table: str,
        question: Question,
        partitions: Sequence[int],
        found: dict[int, Part],
    ) -> None:
        if url == self.own_url:
            parts = await held_parts(self.tables.get(table), question, partitions)
        else:
            parts = await self.fetch(url, table, question, partitions)
        found.update({part.partition: part for part in parts if part.partition in partitions})
