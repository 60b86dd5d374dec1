"""The log of orders whose sagas were played out, as records; and what the books make of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from app.books_of_log import EndOf, LogAudit, LogBooks, Window
from app.codec import encode
from app.events import Event, OrderPlaced
from app.saga import Saga
from app.saga_story import Logged, logged
from app.topics import BY_EVENT, BY_NAME
from tests.unit.saga.choreography import Choreography

SECOND = 1000
WHOLE = Window()


@dataclass
class Played:
    """A choreography, and when each of its events was appended, in ms."""

    world: Choreography
    log: list[tuple[int, Event]] = field(default_factory=list)

    @classmethod
    def of(cls, table: Saga, **stock: int) -> "Played":
        """A world in which nothing has happened yet."""
        world = Choreography(table)
        world.inventory.stock(stock)
        return cls(world)

    def move(self, act: Callable[[], object]) -> None:
        """Do it, a second after what was done before."""
        before = {topic: len(events) for topic, events in self.world.topics.items()}
        act()
        at = (len(self.log) + 1) * SECOND
        for topic, events in self.world.topics.items():
            self.log += [(at, event) for event in events[before[topic] :]]

    def order(self, placed: OrderPlaced) -> None:
        """Place an order."""
        self.move(lambda: self.world.ask(placed))

    def run(self) -> "Played":
        """Until everybody has heard everything, and nothing is owed."""
        while True:
            while waiting := self.world.waiting():
                self.move(lambda at=waiting[0]: self.world.deliver(*at))
            swept: list[bool] = []
            self.move(lambda found=swept: found.append(self.world.sweep()))
            if not swept[0]:
                return self

    def records(self) -> list[Logged]:
        """The log as it is read."""
        return [record(event, at) for at, event in self.log]


def record(event: Event, at: int = SECOND) -> Logged:
    """What is kept of an event's record."""
    sent = encode(event)
    kept = logged(BY_NAME[sent.topic], sent.key, sent.value, sent.headers, at)
    assert kept is not None
    return kept


def books(
    records: Iterable[Logged | None],
    table: Saga,
    window: Window = WHOLE,
    end_of: EndOf | None = None,
) -> LogBooks:
    """What the fold of the records comes to."""
    found = LogBooks()
    audit = LogAudit(table, found)
    for each in records:
        audit.note(each)
    audit.close(window, end_of)
    return found


def problems(found: LogBooks) -> list[str]:
    """In words."""
    return [each.problem for each in found.discrepancies]


def without(log: Sequence[Logged], *types: str) -> list[Logged]:
    """The log, and these types of event never were."""
    return [each for each in log if each.type not in types]


def altered(log: Sequence[Logged], kind: str, **changes: object) -> list[Logged]:
    """The log with other words for the event of this type."""
    return [replace(each, **changes) if each.type == kind else each for each in log]


def topic_of(event: Event) -> str:
    """The topic of an event."""
    return BY_EVENT[event.type].name
