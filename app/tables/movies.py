"""What a view of a movie, and what a user did, add to which windows.

One fold serves both topics: a record is one thing that happened at one time, by one user, counted
in all and by its topic's dimensions.
"""

from binascii import unhexlify
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from app import codec
from app.events import MovieViewed, UserActed
from app.tables import keys
from app.tables.folding import MS, Decided, Late, Plan, WindowFold
from app.tables.keys import By
from app.tables.ledger import NEVER, Ledger, Progress
from app.tables.tally import Tally, Views
from app.topics import MOVIE_VIEWS, USER_ACTIONS, TopicSpec

VIEW_DIMENSIONS = (By.NONE, By.MOVIE)
ACTION_DIMENSIONS = (By.NONE, By.USER, By.ACTION)


class Happened(NamedTuple):
    """A record as the fold needs it; `at` in ms since the epoch."""

    record: Any
    ident: bytes
    at: int
    user: str
    counted_by: tuple[tuple[By, str], ...]


def _decoder(
    topic: TopicSpec, parts: Callable[[Any], tuple[Any, tuple[tuple[By, str], ...]]]
) -> Callable[[Any], Happened]:
    def decode(record: Any) -> Happened:
        data: Any = codec.decode(topic, record.key, record.value, record.headers).data
        at, counted_by = parts(data)
        return Happened(
            record,
            unhexlify(data.view_id.replace("-", "")),
            round(at.timestamp() * MS),
            data.user_id,
            counted_by,
        )

    return decode


def _viewed(data: MovieViewed) -> tuple[Any, tuple[tuple[By, str], ...]]:
    return data.viewed_at, ((By.MOVIE, data.movie_id),)


def _acted(data: UserActed) -> tuple[Any, tuple[tuple[By, str], ...]]:
    return data.at, ((By.USER, data.user_id), (By.ACTION, data.action))


decode_view = _decoder(MOVIE_VIEWS, _viewed)
decode_action = _decoder(USER_ACTIONS, _acted)


Counted = tuple[int, int, Late, Happened]
"""A record that counts: offset, event time (ms), the windows it is too late for, and itself."""


class HappeningFold(WindowFold[Counted]):
    """Counts what happens, once by its id, and the users it happens to."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._all = By.NONE in plan.by

    def decide(self, ledger: Ledger, entries: Sequence[Happened]) -> Decided:
        """Which of the entries count."""
        before = ledger.progress
        offset, watermark = before.offset, before.watermark
        newest, arrived = before.newest, before.arrived
        ended: set[bytes] = set()
        counted: list[Counted] = []
        for entry in entries:
            record = entry.record
            if record.offset < offset or entry.ident in ledger.ended or entry.ident in ended:
                continue
            ended.add(entry.ident)
            arrived = record.timestamp
            late = self.late_for(entry.at, watermark)
            counted.append((record.offset, entry.at, late, entry))
            watermark = max(watermark, min(entry.at, arrived + self.plan.ahead_seconds * MS))
            newest = max(newest, min(entry.at, arrived))
        progress = Progress(max(offset, entries[-1].record.offset + 1), watermark, newest, arrived)
        return Decided(
            progress, counted, [(offset, entry.ident, NEVER) for offset, _, _, entry in counted]
        )

    def tallies(self, counted: Sequence[Counted]) -> Mapping[bytes, Tally]:
        """What these add, by the tally's key."""
        found: dict[bytes, Views] = {}
        totals = found[keys.TOTALS] = Views()
        for _, at, late, entry in counted:
            _note(totals, entry.user, late=bool(late))
            seconds = at // MS
            dimensions = ((By.NONE, ""), *entry.counted_by) if self._all else entry.counted_by
            for size in self.plan.sizes:
                if size in late:
                    continue
                for by, key in dimensions:
                    cell = keys.window(size, by, seconds - seconds % size, key)
                    _note(found.setdefault(cell, Views()), entry.user)
        return found

    def decode_tally(self, key: bytes, stored: bytes) -> Tally:
        """Views of all."""
        return Views.decode(stored)


def _note(views: Views, user: str, *, late: bool = False) -> None:
    views.views += 1
    views.late += late
    views.users.update(user)
