"""`faust -A app dlq`: list, show, replay and discard dead letters."""

import os
import pwd
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.prompt import Confirm

from app.cli.console import FAILED, UNREACHABLE, CommandError
from app.operating import documents
from app.operating.acting import ACTED_MOST, Acting, Outcome
from app.operating.broker import Broker, BrokerAwayError
from app.operating.catalogue import UnknownTopicError
from app.operating.handled import State
from app.operating.letterbox import UnknownLetterError, dead_letters_of
from app.operating.letters import place_of
from app.operating.listing import Bounds, Listing, Shown, TooManyPartitionsError
from app.resources import utc_now
from app.settings import Settings
from app.stores.mongo import Database

ACTIONS = ("list", "show", "replay", "discard")
# Letters that are looked through for those that are asked for, at once.
PAGE = 200
AGO = re.compile(r"([0-9]{1,9})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
FAILURES_SHOWN = 20
DETAIL_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command was given; `topic` is a letter's id for `show`."""

    topic: str | None = None
    ids: tuple[str, ...] = ()
    everything: bool = False
    reason: str | None = None
    group: str | None = None
    since: str | None = None
    state: str = State.OPEN.value
    why: str | None = None
    yes: bool = False
    limit: int = 20
    as_json: bool = False

    @property
    def filtered(self) -> bool:
        """Whether letters are chosen by what they say."""
        return bool(self.reason or self.group or self.since)


async def dlq(
    settings: Settings, database: Database, console: Console, action: str, wanted: Wanted
) -> int:
    """Do what was asked; 0 where it was done of every letter.

    Raises:
        CommandError: no broker answers, or what was asked for can't be.
        TransientStoreError: MongoDB can't be reached.
    """
    broker = Broker(settings)
    box = _Box(console, Listing(broker, database), Acting(broker, database, utc_now), wanted)
    act: Mapping[str, Callable[[], Any]] = {
        "list": box.tell,
        "show": box.show,
        "replay": box.replay,
        "discard": box.discard,
    }
    try:
        return int(await act[action]())
    except BrokerAwayError as error:
        raise CommandError(str(error), UNREACHABLE) from error
    except UnknownTopicError as error:
        raise CommandError(f"there is no topic {error}") from error
    except UnknownLetterError as error:
        raise CommandError(f"there is no dead letter {error}, or not any more") from error
    except TooManyPartitionsError as error:
        raise CommandError(
            "letters are in more partitions than one list can show: name a topic"
        ) from error


@dataclass(frozen=True, slots=True)
class _Box:
    console: Console
    listing: Listing
    acting: Acting
    wanted: Wanted

    async def tell(self) -> int:
        wanted = self.wanted
        state = None if wanted.state == "all" else State(wanted.state)
        if wanted.filtered:
            found = (await self._matching(state, most=wanted.limit))[: wanted.limit]
            counts: list[dict[str, Any]] = []
        else:
            page = await self.listing.page(self._topic(), state=state, limit=wanted.limit)
            found, counts = [*page.letters], documents.counts_document(page.counts)
        if wanted.as_json:
            letters = [documents.letter_document(shown) for shown in found]
            self._json({"deadLetters": letters, "counts": counts})
            return 0
        _print_letters(self.console, found, wanted.state)
        for count in counts:
            if count["open"] or count["replayed"] or count["discarded"]:
                self.console.print(
                    f"{count['topic']}: {count['open']:,} open, {count['replayed']:,} replayed, "
                    f"{count['discarded']:,} discarded",
                    highlight=False,
                )
        return 0

    async def show(self) -> int:
        named = [*self.wanted.ids, *([self.wanted.topic] if self.wanted.topic else [])]
        if len(named) != 1:
            raise CommandError(
                "say which: faust -A app dlq show order.events.v1.dlq-2-15", UNREACHABLE
            )
        shown = await self.listing.get(named[0])
        document = documents.letter_document(shown)
        if self.wanted.as_json:
            self._json(document)
        else:
            _print_letter(self.console, document)
        return 0

    async def replay(self) -> int:
        return await self._act("replay", State.REPLAYED, self._replay)

    async def discard(self) -> int:
        return await self._act("discard", State.DISCARDED, self._discard)

    async def _replay(self, topic: str, ids: list[str]) -> Outcome:
        return await self.acting.replay(topic, ids, by=_who())

    async def _discard(self, topic: str, ids: list[str]) -> Outcome:
        return await self.acting.discard(topic, ids, by=_who(), why=self.wanted.why)

    async def _act(self, verb: str, done: State, act: Callable[..., Any]) -> int:
        chosen = await self._chosen(verb)
        count = sum(map(len, chosen.values()))
        if not self._agreed(verb, count):
            self.console.print("Nothing was done.")
            return FAILED
        total = Outcome()
        for topic, ids in chosen.items():
            for start in range(0, len(ids), ACTED_MOST):
                some = ids[start : start + ACTED_MOST]
                # A call ends early where the servers are slow; what it did not come to is left.
                while some:
                    outcome = await act(topic, some)
                    total.ids += outcome.ids
                    total.failed |= outcome.failed
                    left = [each for each in some if each not in {*outcome.ids, *outcome.failed}]
                    some = left if len(left) < len(some) else []
        return self._say(done, count, total)

    def _say(self, done: State, asked: int, total: Outcome) -> int:
        if self.wanted.as_json:
            self._json(
                {
                    done.value: len(total.ids),
                    "ids": total.ids,
                    "failed": [{"id": i, "detail": d} for i, d in total.failed.items()],
                }
            )
        else:
            self.console.print(f"{len(total.ids):,} of {asked:,} {done.value}.", highlight=False)
            for letter_id, words in [*total.failed.items()][:FAILURES_SHOWN]:
                self.console.print(
                    f"{letter_id}: {words}", markup=False, highlight=False, soft_wrap=True
                )
        return 0 if len(total.ids) == asked else FAILED

    def _agreed(self, verb: str, count: int) -> bool:
        if self.wanted.yes or not count or not (sys.stdin.isatty() and self.console.is_terminal):
            return True
        return Confirm.ask(f"{verb.capitalize()} {count:,} dead letters?", console=self.console)

    async def _chosen(self, verb: str) -> dict[str, list[str]]:
        """The letters that are meant, by their topics, oldest first."""
        wanted = self.wanted
        if wanted.ids:
            chosen: dict[str, list[str]] = {}
            for letter_id in wanted.ids:
                place = place_of(letter_id)
                if place is None:
                    raise CommandError(f"{letter_id} is no dead letter's id")
                chosen.setdefault(dead_letters_of(place.topic), []).append(letter_id)
            return chosen
        if not (wanted.everything or wanted.filtered):
            raise CommandError(
                f"say which to {verb}: --id, --reason, --group, --since, or --all", UNREACHABLE
            )
        found: dict[str, list[str]] = {}
        for shown in reversed(await self._matching(State.OPEN)):
            found.setdefault(shown.letter.place.topic, []).append(shown.letter.id)
        return found

    async def _matching(self, state: State | None, most: int | None = None) -> list[Shown]:
        """The letters that were asked for, newest first."""
        since = since_of(self.wanted.since, utc_now())
        found: list[Shown] = []
        bounds: Bounds | None = None
        while bounds is None or bounds:
            page = await self.listing.page(self._topic(), state=state, limit=PAGE, bounds=bounds)
            found += [shown for shown in page.letters if self._matches(shown, since)]
            bounds = page.bounds
            if most is not None and len(found) >= most:
                break
        return found

    def _matches(self, shown: Shown, since: float) -> bool:
        letter, wanted = shown.letter, self.wanted
        return (
            letter.timestamp >= since
            and wanted.reason in (None, letter.reason)
            and wanted.group in (None, letter.group)
        )

    def _topic(self) -> str | None:
        return dead_letters_of(self.wanted.topic) if self.wanted.topic else None

    def _json(self, document: Any) -> None:
        self.console.out(orjson.dumps(document).decode(), highlight=False)


def since_of(given: str | None, now: datetime) -> float:
    """The time that `--since` says, in ms since the epoch.

    Raises:
        CommandError: it says none.
    """
    if given is None:
        return 0.0
    ago = AGO.fullmatch(given)
    try:
        at = (
            now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
            if ago
            else datetime.fromisoformat(given)
        )
    except (ValueError, OverflowError):
        raise CommandError(
            f"--since {given}: give a time like 2026-01-31T12:00:00Z, or 90s, 30m, 2h, 7d",
            UNREACHABLE,
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000


def _who() -> str:
    """Who runs the command, as the system knows it."""
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container may run as a user that it does not know
        return f"cli:{os.getuid()}"


def _print_letters(console: Console, found: list[Shown], state: str) -> None:
    """Two lines a letter: a table has no room for what is wrong with it."""
    for shown in found:
        letter = shown.letter
        told = [documents.time_of(letter.timestamp) or "", letter.reason, letter.group]
        if shown.replays:
            told.append(f"replayed {shown.replays} times before")
        if shown.done is not None:
            told.append(shown.state.value)
        console.print(
            f"[bold]{escape(letter.id)}[/bold]  {escape('  '.join(filter(None, told)))}",
            highlight=False,
            soft_wrap=True,
        )
        detail = " ".join(letter.detail.split())[:DETAIL_SHOWN]
        console.print(f"    {detail}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(found):,} dead letters ({state}), newest first", highlight=False)


def _print_letter(console: Console, document: Mapping[str, Any]) -> None:
    for name, value in document.items():
        if name in ("headers", "value"):
            continue
        words = value if isinstance(value, str) else orjson.dumps(value).decode()
        console.print(f"{name}: {words}", markup=False, highlight=False, soft_wrap=True)
    for name, content in document["headers"].items():
        console.print(f"  {name}: {content}", markup=False, highlight=False, soft_wrap=True)
    value = document["value"]
    text = value.get("text") if isinstance(value, dict) else None
    console.out(text if text is not None else orjson.dumps(value).decode(), highlight=False)
