"""Which chunks are in flight, and how far each partition may be committed.

A partition's committable offset is the end of the *finished prefix* of its chunks: every chunk
before it was finished. Chunks may be finished in any order. When a partition is taken away, its
tickets become void, so work that ends late can't commit what now belongs to somebody else.
"""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


class TicketState(Enum):
    """The life of a chunk."""

    OPEN = "open"  # delivered; nobody works on it
    CLAIMED = "claimed"  # somebody works on it
    FINISHED = "finished"  # all its effects are durable
    VOID = "void"  # its partition was taken away, or it will be delivered again


@dataclass(eq=False, slots=True)
class Ticket(Generic[P]):
    """A chunk's entry: records `first` to `last` (offsets, inclusive) of `partition`."""

    partition: P
    first: int
    last: int
    state: TicketState = TicketState.OPEN


@dataclass(frozen=True, slots=True)
class InFlight:
    """What of a partition was delivered and is not finished; records are counted by offsets.

    Attributes:
        taken: the offset before which work has begun; 0 where none has.
        under_way: records that somebody works on.
        waiting: records that nobody works on yet.
    """

    taken: int = 0
    under_way: int = 0
    waiting: int = 0


class CommitTracker(Generic[P]):
    """Tracks chunks in flight. Not thread-safe: used from one event loop.

    Attributes:
        idle: set while no ticket is claimed.
    """

    def __init__(self) -> None:
        self.idle = asyncio.Event()
        self.idle.set()
        self._tickets: dict[P, deque[Ticket[P]]] = {}
        self._ends: dict[P, int] = {}
        self._claimed = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether work may not begin: partitions are being taken away."""
        return self._closed

    def open(self, partition: P, first: int, last: int) -> Ticket[P]:
        """A ticket for a chunk that was just delivered.

        A chunk that begins before the end of the one before it means that the consumer went back:
        everything not finished will be delivered again, so its earlier tickets are void.
        """
        if last < first:
            raise ValueError(f"{partition}: a chunk from {first} to {last}")
        tickets = self._tickets.setdefault(partition, deque())
        if tickets and first <= tickets[-1].last:
            self._void(tickets)
        ticket = Ticket(partition, first, last)
        tickets.append(ticket)
        return ticket

    def claim(self, ticket: Ticket[P]) -> bool:
        """Begin work on a chunk; False if it must be dropped (void, or work may not begin)."""
        if self._closed or ticket.state is not TicketState.OPEN:
            return False
        ticket.state = TicketState.CLAIMED
        self._claimed += 1
        self.idle.clear()
        return True

    def finish(self, ticket: Ticket[P]) -> bool:
        """All effects of the chunk are durable; False if that came too late to be committed."""
        if ticket.state is not TicketState.CLAIMED:
            return False
        self._leave(ticket, TicketState.FINISHED)
        tickets = self._tickets[ticket.partition]
        while tickets and tickets[0].state is TicketState.FINISHED:
            self._ends[ticket.partition] = tickets.popleft().last + 1
        return True

    def abandon(self, ticket: Ticket[P]) -> None:
        """Stop work on a chunk without finishing it: it holds its partition's commit until it is
        delivered again."""
        if ticket.state is TicketState.CLAIMED:
            self._leave(ticket, TicketState.VOID)

    def finished(self, partition: P) -> int | None:
        """The offset before which all that was delivered is finished; None where nothing was
        delivered since the partition was given out."""
        tickets = self._tickets.get(partition)
        return tickets[0].first if tickets else self._ends.get(partition)

    def in_flight(self, partition: P) -> InFlight:
        """Of what is in flight how much is worked on; walks over the partition's chunks."""
        taken = under_way = waiting = 0
        for ticket in self._tickets.get(partition, ()):
            records = ticket.last - ticket.first + 1
            if ticket.state is TicketState.OPEN:
                waiting += records
                continue
            taken = ticket.last + 1
            if ticket.state is TicketState.CLAIMED:
                under_way += records
        return InFlight(taken, under_way, waiting)

    def committable(self) -> dict[P, int]:
        """For each partition with a finished prefix, the offset after it."""
        return dict(self._ends)

    def close(self) -> None:
        """No work may begin from here on; `idle` tells when what has begun is done."""
        self._closed = True

    def reopen(self) -> None:
        """Work may begin again."""
        self._closed = False

    def revoke(self, partitions: Iterable[P]) -> None:
        """The partitions were taken away: forget them, and void their tickets."""
        for partition in partitions:
            self._void(self._tickets.pop(partition, deque()))
            self._ends.pop(partition, None)

    def _void(self, tickets: deque[Ticket[P]]) -> None:
        for ticket in tickets:
            if ticket.state is TicketState.CLAIMED:
                self._leave(ticket, TicketState.VOID)
            else:
                ticket.state = TicketState.VOID
        tickets.clear()

    def _leave(self, ticket: Ticket[P], state: TicketState) -> None:
        ticket.state = state
        self._claimed -= 1
        if not self._claimed:
            self.idle.set()
