"""What the log has of one order, and what in it does not agree.

Pure; `app.books_of_log` says which rules these are, and adds the orders up.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from app.domain.order import OrderStatus
from app.money import text, to_minor
from app.saga import Saga
from app.topics import TopicSpec

# The same order posted again, where nobody knew whether the first post had arrived, was placed at
# two times (`app.web.acceptance`), and every event that carries the order repeats that.
MOMENT = "placedAt"
# Of an event that should name its cause and names none.
NO_CAUSE = 0
# What a step that was done and not undone still holds, in words.
HELD = {"inventory": "its stock is still held", "payment": "its money was not given back"}


@dataclass(frozen=True, slots=True)
class Logged:
    """What is kept of a record.

    Attributes:
        id: a hash of the event's id, and `cause` of its cause's.
        content: a hash of what it says.
        at: the record's time, ms since the epoch.
        amount: of money, in minor units, where it names one.
        units: of all its items together.
    """

    order_id: str
    type: str
    id: int
    cause: int | None
    content: int
    at: int
    amount: int | None = None
    units: int = 0
    reason: str | None = None


def logged(
    spec: TopicSpec,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes]],
    at: int,
) -> Logged | None:
    """What a record of a saga's topic says; None for what is no event of its topic.

    That much is read by hand: the models' validation takes longer, and what they would refuse is in
    the dead-letter topic.
    """
    envelope = dict(headers)
    try:
        name = envelope["ce_type"].decode()
        if name not in {event.__name__ for event in spec.events}:
            return None
        data = orjson.loads(value or b"")
        order_id = data["orderId"]
        if key != order_id.encode():
            return None
        amount = data.get("total", data.get("amount"))
        said = {name: content for name, content in data.items() if name != MOMENT}
        cause = envelope.get("causationid")
        return Logged(
            order_id=order_id,
            type=name,
            id=hash(envelope["ce_id"]),
            cause=None if cause is None else hash(cause),
            content=hash(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)),
            at=at,
            amount=None if amount is None else to_minor(amount),
            units=sum(item["quantity"] for item in data.get("items", ())),
            reason=data.get("reason"),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


@dataclass(slots=True)
class Story:
    """The events of one order, in whatever order they are read.

    Attributes:
        first: the time of the earliest, and `last` of the latest, ms since the epoch.
        events: type and content of each event id.
        causes: who names each cause.
        amounts: what each type of event is about, in minor units.
        altered: types of which an id has two contents.
    """

    first: int
    last: int
    events: dict[int, tuple[str, int]] = field(default_factory=dict)
    causes: dict[int, str] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)
    altered: tuple[str, ...] = ()
    units: int = 0
    reason: str | None = None

    @property
    def seen(self) -> frozenset[str]:
        """The types of its events."""
        return frozenset(name for name, _ in self.events.values())

    def note(self, event: Logged, saga: Saga) -> None:
        """Take a record."""
        self.first = min(self.first, event.at)
        self.last = max(self.last, event.at)
        known = self.events.setdefault(event.id, (event.type, event.content))
        if known != (event.type, event.content) and event.type not in self.altered:
            self.altered += (event.type,)
        if event.cause is not None:
            self.causes[event.cause] = event.type
        elif event.type not in _uncaused(saga):
            self.causes[NO_CAUSE] = event.type
        if event.amount is not None:
            self.amounts.setdefault(event.type, event.amount)
        if event.type == saga.completes:
            self.units = event.units
        elif event.type == saga.aborts:
            self.reason = event.reason


def status(seen: frozenset[str], saga: Saga) -> OrderStatus:
    """How the order ended, by its events."""
    if saga.completes in seen:
        return OrderStatus.CONFIRMED
    return OrderStatus.CANCELLED if saga.aborts in seen else OrderStatus.PENDING


def contradictions(story: Story, saga: Saga) -> Iterator[str]:
    """What is wrong whatever else may be missing."""
    seen = story.seen
    for name in sorted(story.altered):
        yield f"{name}: one event id has two contents"
    yield from _repeated(story, saga)
    if saga.completes in seen and saga.aborts in seen:
        yield f"two ends: {saga.completes} and {saga.aborts}"
    elif saga.completes in seen:
        back = [name for step in saga.steps for name in (step.failed, step.undone) if name in seen]
        back += [saga.cancels] if saga.cancels in seen else []
        if back:
            yield f"{saga.completes}, although there is {' and '.join(back)}"
    yield from _amounts(story, saga)


def held(story: Story, saga: Saga) -> Iterator[str]:
    """What an order that was cancelled still holds, of whose every event should be there.

    A step's undoing comes after its doing, but the doing may have been said once more since then:
    of those retention takes the undoing first.
    """
    seen = story.seen
    if saga.aborts in seen and saga.completes not in seen:
        for step in saga.steps:
            if step.done in seen and step.undone not in seen:
                words = HELD.get(step.name, f"its {step.name} was not undone")
                yield f"{saga.aborts}, but {words}: no {step.undone} after {step.done}"


def lacks(story: Story, saga: Saga) -> Iterator[str]:
    """What is missing of an order whose every event should be there."""
    seen = story.seen
    if saga.starts not in seen:
        yield f"its events are there, {saga.starts} is not"
    yield from _uncaused_end(seen, saga)
    for step in saga.steps:
        back = story.amounts.get(step.undone, 0)
        if back and step.done not in seen:
            yield f"{step.undone} of {text(back)} without {step.done}"
    for cause, name in story.causes.items():
        if cause not in story.events:
            yield f"the cause of {name} is not in the log"


def against_store(
    story: Story, saga: Saga, stored: tuple[str, int | None] | None, *, whole: bool
) -> Iterator[str]:
    """What differs from the store's order, of which status and total are given.

    Args:
        whole: whether the log has all of the order's events that there will be.
    """
    if stored is None:
        yield "it is in the log, and there is no such order in the store"
        return
    ended, total = status(story.seen, saga), stored[1]
    if ended is OrderStatus.PENDING:
        if whole and stored[0] != OrderStatus.PENDING:
            yield f"{stored[0]} in the store, and no such end in the log"
    elif stored[0] != ended:
        yield f"{ended} by the log, {stored[0]} in the store"
    ordered = story.amounts.get(saga.starts)
    if ordered is not None and total is not None and ordered != total:
        yield f"{text(ordered)} by the log, {text(total)} in the store"


def _uncaused_end(seen: frozenset[str], saga: Saga) -> Iterator[str]:
    if saga.completes in seen:
        missing = [step.done for step in saga.steps if step.done not in seen]
        if missing:
            yield f"{saga.completes} without {' and '.join(missing)}"
    elif saga.aborts in seen:
        if not saga.undoing(seen):
            yield f"{saga.aborts} without a cause: no step failed, and nobody cancelled"
        owed = [step.undone for step in saga.owed(seen) if step.done not in seen]
        if owed:
            yield f"{saga.aborts} without {' and '.join(owed)}"


def _repeated(story: Story, saga: Saga) -> Iterator[str]:
    """What an order can have once and has more often, each under an id of its own."""
    several = {saga.cancel_request}
    for step in saga.steps:
        several |= {name for name in (step.undo_failed, step.undo_again) if name}
    names = [name for name, _ in story.events.values()]
    for name in sorted(set(names) - several):
        if names.count(name) > 1:
            yield f"{name} is there under {names.count(name)} ids"


def _amounts(story: Story, saga: Saga) -> Iterator[str]:
    amounts = story.amounts
    ordered = amounts.get(saga.starts)
    if ordered is not None:
        for name in (*(step.done for step in saga.steps), saga.completes, saga.aborts):
            if amounts.get(name, ordered) != ordered:
                yield f"{name} is of {text(amounts[name])}, ordered were {text(ordered)}"
    for step in saga.steps:
        if step.undone in amounts and step.done in amounts:
            back, done = amounts[step.undone], amounts[step.done]
            if back != done:
                yield f"{step.undone} of {text(back)}, but {step.done} was of {text(done)}"


def _uncaused(saga: Saga) -> tuple[str | None, ...]:
    """What nothing in the log leads to: a client, or time that passed."""
    return (saga.starts, saga.cancel_request, *(step.undo_again for step in saga.steps))
