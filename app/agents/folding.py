"""What the services share: fold decisions over a batch, with one load and one save."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from app.codec import encode
from app.domain.decision import Decision
from app.events import Event
from app.stores.mongo import DocumentStore, Stored
from app.streaming import OutRecord

S = TypeVar("S")


def outgoing(events: Iterable[Event]) -> list[OutRecord]:
    """The records of events."""
    encoded = (encode(event) for event in events)
    return [OutRecord(e.topic, e.key, e.value, e.headers) for e in encoded]


def keys(events: Iterable[Event]) -> list[str]:
    """Each order (or movie) that the events are about, once, in their order."""
    return list(dict.fromkeys(event.key for event in events))


class Folding(Generic[S]):
    """The states of a batch's orders, as loaded and as decided so far."""

    def __init__(self, stored: Mapping[str, Stored[S]]) -> None:
        self._stored = stored
        self._states = {key: entry.state for key, entry in stored.items()}
        self.emitted: list[Event] = []

    def state(self, event: Event) -> S | None:
        """The state of the event's order, before the event."""
        return self._states[event.key]

    def apply(self, event: Event, decision: Decision[S | None]) -> None:
        """Take over what was decided about the event."""
        self._states[event.key] = decision.state
        self.emitted.extend(decision.events)

    def changes(self) -> list[tuple[str, Stored[S], S]]:
        """The states that differ from what was loaded."""
        return [
            (key, self._stored[key], state)
            for key, state in self._states.items()
            if state is not None and state is not self._stored[key].state
        ]


async def fold(
    store: DocumentStore[S],
    events: Sequence[Event],
    decide: Callable[[S | None, Event], Decision[S | None]],
    *,
    on_stored: Callable[[Sequence[tuple[str, Stored[S], S]]], None] = lambda changes: None,
) -> list[OutRecord]:
    """Load the orders' states, decide every event in order, save what changed; what to publish.

    `on_stored` is told what was saved.
    """
    folding = Folding(await store.load(keys(events)))
    for event in events:
        folding.apply(event, decide(folding.state(event), event))
    changes = folding.changes()
    await store.save(changes)
    on_stored(changes)
    return outgoing(folding.emitted)


def rounds(events: Sequence[Event]) -> Iterator[list[Event]]:
    """The events in groups that hold each order at most once, an order's events in their order."""
    groups: list[list[Event]] = []
    seen: dict[str, int] = {}
    for event in events:
        position = seen.get(event.key, 0)
        seen[event.key] = position + 1
        if position == len(groups):
            groups.append([])
        groups[position].append(event)
    yield from groups
