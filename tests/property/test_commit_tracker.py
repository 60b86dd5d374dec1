"""The commit tracker against a model: any order of delivery, finishing, revocation, going back."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from app.streaming.tracker import CommitTracker, Ticket

PARTITIONS = st.sampled_from(["a", "b", "c"])


class TrackerAgainstModel(RuleBasedStateMachine):
    """The model keeps, for each partition, every offset delivered since it was assigned, and the
    set of those whose chunk was finished; it knows nothing of prefixes or queues."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.tracker: CommitTracker[str] = CommitTracker()
        self.next: dict[str, int] = {}
        self.delivered: dict[str, set[int]] = {}
        self.finished: dict[str, set[int]] = {}
        self.alive: dict[Ticket[str], str] = {}  # ticket -> "open" | "claimed"
        self.closed = False

    @rule(target=tickets, partition=PARTITIONS, gap=st.integers(0, 3), size=st.integers(1, 5))
    def deliver(self, partition: str, gap: int, size: int) -> Ticket[str]:
        first = self.next.get(partition, 0) + gap
        last = first + size - 1
        ticket = self.tracker.open(partition, first, last)
        self.next[partition] = last + 1
        self.delivered.setdefault(partition, set()).update(range(first, last + 1))
        self.finished.setdefault(partition, set())
        self.alive[ticket] = "open"
        return ticket

    @rule(target=tickets, partition=PARTITIONS, size=st.integers(1, 5))
    def go_back_to_the_committed_offset(self, partition: str, size: int) -> Ticket[str]:
        unfinished = self.delivered.get(partition, set()) - self.finished.get(partition, set())
        if not unfinished:
            return self.deliver(partition, 0, size)
        first = min(unfinished)
        last = first + size - 1
        ticket = self.tracker.open(partition, first, last)
        for old in [t for t in self.alive if t.partition == partition]:
            del self.alive[old]
        self.next[partition] = last + 1
        self.delivered[partition] = {o for o in self.delivered[partition] if o < first} | set(
            range(first, last + 1)
        )
        self.finished[partition] = {o for o in self.finished[partition] if o < first}
        self.alive[ticket] = "open"
        return ticket

    @rule(ticket=tickets)
    def claim(self, ticket: Ticket[str]) -> None:
        expected = not self.closed and self.alive.get(ticket) == "open"
        assert expected == self.tracker.claim(ticket)
        if expected:
            self.alive[ticket] = "claimed"

    @rule(ticket=tickets)
    def finish(self, ticket: Ticket[str]) -> None:
        expected = self.alive.get(ticket) == "claimed"
        assert expected == self.tracker.finish(ticket)
        if expected:
            del self.alive[ticket]
            self.finished[ticket.partition].update(range(ticket.first, ticket.last + 1))

    @rule(ticket=tickets)
    def abandon(self, ticket: Ticket[str]) -> None:
        self.tracker.abandon(ticket)
        if self.alive.get(ticket) == "claimed":
            del self.alive[ticket]

    @rule(partitions=st.sets(PARTITIONS))
    def revoke(self, partitions: set[str]) -> None:
        self.tracker.revoke(partitions)
        for partition in partitions:
            self.delivered.pop(partition, None)
            self.finished.pop(partition, None)
            self.next.pop(partition, None)
        self.alive = {t: s for t, s in self.alive.items() if t.partition not in partitions}

    @rule()
    def close(self) -> None:
        self.tracker.close()
        self.closed = True

    @rule()
    def reopen(self) -> None:
        self.tracker.reopen()
        self.closed = False

    @invariant()
    def nothing_is_committed_before_it_is_done(self) -> None:
        for partition, end in self.tracker.committable().items():
            before = {o for o in self.delivered[partition] if o < end}
            assert before <= self.finished[partition]

    @invariant()
    def all_of_the_finished_prefix_is_committed(self) -> None:
        for partition, delivered in self.delivered.items():
            unfinished = delivered - self.finished[partition]
            prefix = {o for o in delivered if not unfinished or o < min(unfinished)}
            if prefix:
                assert max(prefix) + 1 == self.tracker.committable()[partition]

    @invariant()
    def what_is_finished_ends_where_something_delivered_is_not(self) -> None:
        for partition in "abc":
            delivered = self.delivered.get(partition, set())
            unfinished = delivered - self.finished.get(partition, set())
            after_all = max(delivered, default=-1) + 1 or None
            expected = min(unfinished) if unfinished else after_all
            assert expected == self.tracker.finished(partition)

    @invariant()
    def idle_says_whether_work_is_under_way(self) -> None:
        claimed = sum(state == "claimed" for state in self.alive.values())
        assert (claimed == 0) == self.tracker.idle.is_set()

    @invariant()
    def what_is_in_flight_is_under_way_or_waits(self) -> None:
        for partition in "abc":
            in_flight = self.tracker.in_flight(partition)
            assert self._records(partition, "claimed") == in_flight.under_way
            assert self._records(partition, "open") == in_flight.waiting

    def _records(self, partition: str, state: str) -> int:
        return sum(
            ticket.last - ticket.first + 1
            for ticket, of in self.alive.items()
            if ticket.partition == partition and of == state
        )


TestTrackerAgainstModel = TrackerAgainstModel.TestCase
TestTrackerAgainstModel.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
