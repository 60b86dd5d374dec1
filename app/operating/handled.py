"""What was done about dead letters: one document a letter, in MongoDB.

Dead-letter topics only grow, so that what was replayed or discarded is kept here, under the
letter's place. A letter is claimed before anything is done about it and marked after: of two
operators at once, one does it. A claim that its process did not live to see through is void after
`CLAIM_SECONDS`; then the letter is open again, and to replay it twice is harmless.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

from pymongo.errors import BulkWriteError

from app.events import timestamp
from app.operating.catalogue import Extents
from app.operating.letters import Letter, Place
from app.stores.mongo import DUPLICATE_KEY, Database, Document, translated
from app.stores.repositories import DEAD_LETTERS

# Longer than a batch takes with both servers as slow as their time limits allow.
CLAIM_SECONDS = 60
# So many letters are looked up by their ids, for which every server has an index. Of more, the
# local MongoDB server would take longer than for all documents (1000 of 20,000: 1.2 s, all 0.5 s).
IDS_MOST = 400


class State(StrEnum):
    """What was done about a letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


CLAIMED = "claimed"
DONE = (State.REPLAYED.value, State.DISCARDED.value)


@dataclass(frozen=True, slots=True)
class Done:
    """What was done about a letter, when, by whom (None: nobody was asked), and why."""

    state: State
    at: datetime
    by: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """Letters that are ours to do something about; of the others, why they are not."""

    token: str
    letters: Sequence[Letter]
    refused: Mapping[str, str]


class Handled:
    """The documents. Each method raises `TransientStoreError` where the database is away."""

    def __init__(self, database: Database) -> None:
        self._documents = database[DEAD_LETTERS]

    async def of(self, ids: Iterable[str]) -> Mapping[str, Done]:
        """What was done about each of the letters about which something was."""
        with translated():
            found = self._documents.find({"_id": {"$in": list(ids)}})
            return {
                each["_id"]: Done(State(each["state"]), each["at"], each["by"], each.get("why"))
                async for each in found
                if each["state"] in DONE
            }

    async def among(self, topic: str, partition: int, offsets: range) -> Mapping[int, State]:
        """The offsets of a dead-letter topic's partition about which something was done."""
        if len(offsets) <= IDS_MOST:
            ids = [Place(topic, partition, offset).id for offset in offsets]
            query: Document = {"_id": {"$in": ids}}
        else:
            within = {"$gte": offsets.start, "$lt": offsets.stop}
            query = {"topic": topic, "partition": partition, "offset": within}
        with translated():
            found = self._documents.find(query, {"offset": 1, "state": 1})
            return {
                each["offset"]: State(each["state"])
                async for each in found
                if each["state"] in DONE
            }

    async def counts(self, extents: Mapping[str, Extents]) -> Mapping[str, Counter[State]]:
        """Of each dead-letter topic, how many letters there are in each state."""
        counts: dict[str, Counter[State]] = {}
        for topic, partitions in extents.items():
            counts[topic] = Counter({State.OPEN: sum(map(len, partitions.values()))})
            # Of a topic that never held a letter, none was dealt with.
            if any(extent.end for extent in partitions.values()):
                for state in (State.REPLAYED, State.DISCARDED):
                    counts[topic][state] = await self._count(topic, state, partitions)
                    counts[topic][State.OPEN] -= counts[topic][state]
        return counts

    async def _count(self, topic: str, state: State, partitions: Extents) -> int:
        """The letters of a topic in a state, less those that have expired since."""
        query = {"topic": topic, "state": state.value}
        with translated():
            count = await self._documents.count_documents(query)
            for partition, extent in partitions.items():
                if extent.begin and count:
                    expired = {"partition": partition, "offset": {"$lt": extent.begin}}
                    count -= await self._documents.count_documents({**query, **expired})
        return int(count)

    async def replayed(self, identities: Iterable[str]) -> Mapping[str, Sequence[int]]:
        """Of each identity, the offsets of the letters that were replayed.

        Letters of one identity are in one partition, as their originals are.
        """
        found: dict[str, list[int]] = {}
        with translated():
            async for each in self._documents.find({"identity": {"$in": list(identities)}}):
                if each["state"] == State.REPLAYED:
                    found.setdefault(each["identity"], []).append(each["offset"])
        return found

    async def claim(self, letters: Sequence[Letter], *, by: str | None, now: datetime) -> Claim:
        """Claim those about which nothing was done, nor is being done now."""
        token = uuid4().hex
        documents = {letter.id: self._document(letter, token, by, now) for letter in letters}
        taken = await self._insert(list(documents.values()))
        refused: dict[str, str] = {}
        for letter_id in taken:
            words = await self._take_over(documents[letter_id], now)
            if words:
                refused[letter_id] = words
        return Claim(token, [each for each in letters if each.id not in refused], refused)

    async def mark(
        self, claim: Claim, ids: Iterable[str], state: State, *, why: str | None, now: datetime
    ) -> None:
        """Note that it is done."""
        done = {"state": state.value, "at": now, **({"why": why} if why else {})}
        with translated():
            await self._documents.update_many(
                {"_id": {"$in": list(ids)}, "claim": claim.token}, {"$set": done}
            )

    async def release(self, claim: Claim, ids: Iterable[str]) -> None:
        """Give up what was claimed and not done."""
        with translated():
            await self._documents.delete_many(
                {"_id": {"$in": list(ids)}, "claim": claim.token, "state": CLAIMED}
            )

    @staticmethod
    def _document(letter: Letter, token: str, by: str | None, now: datetime) -> Document:
        place, original = letter.place, letter.original
        return {
            "_id": letter.id,
            "topic": place.topic,
            "partition": place.partition,
            "offset": place.offset,
            "identity": letter.identity,
            "group": letter.group,
            "reason": letter.reason,
            "original": [original.topic, original.partition, original.offset] if original else None,
            "state": CLAIMED,
            "claim": token,
            "until": now + timedelta(seconds=CLAIM_SECONDS),
            "at": now,
            "by": by,
        }

    async def _insert(self, documents: Sequence[Document]) -> Sequence[str]:
        """Insert those that are not there; the ids of those that are."""
        if not documents:
            return ()
        with translated():
            try:
                await self._documents.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                details = error.details or {}
                faults = details.get("writeErrors", [])
                if {each["code"] for each in faults} != {DUPLICATE_KEY}:
                    raise
                return [documents[each["index"]]["_id"] for each in faults]
        return ()

    async def _take_over(self, wanted: Document, now: datetime) -> str | None:
        """Put the document in the place of a void claim; else say what is there."""
        with translated():
            found: Any = await self._documents.find_one({"_id": wanted["_id"]})
            if found is None:
                return "It was just given up by somebody else; try again."
            whom = f" by {found['by']}" if found["by"] else ""
            if found["state"] in DONE:
                return f"It was {found['state']}{whom} at {timestamp(found['at'])}."
            if found["until"] > now:
                return f"It is being dealt with{whom} now."
            result = await self._documents.update_one(
                {"_id": wanted["_id"], "claim": found["claim"]},
                {"$set": {name: value for name, value in wanted.items() if name != "_id"}},
            )
        return None if result.matched_count else "Somebody else was first."
