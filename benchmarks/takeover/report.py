"""The take-over's part of docs/performance.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import Result
from benchmarks.takeover.figures import Takeover

HEADER = (
    "| orders | the worker ends by | system | partitions given, s | whole again, s "
    "| recovery, s | not whole for, s | of it nothing, s | new orders counted, s "
    "| changelog records read | peak MB | equal |\n"
    f"| ---: | --- | --- |{' ---: |' * 8} --- |"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A take-over, and its result."""

    end: str
    seen: Takeover
    result: Result

    @property
    def recovery(self) -> float | None:
        """Seconds between the two: reading back, and beginning to answer."""
        if self.seen.whole is None or self.seen.given is None:
            return None
        return max(0.0, self.seen.whole - self.seen.given)

    def cells(self) -> str:
        """A row of the table."""
        seen, result = self.seen, self.result
        times = (
            seen.given,
            seen.whole,
            self.recovery,
            seen.short_seconds,
            seen.silent_seconds,
            seen.counted,
        )
        return (
            f"| {seen.before.orders:,} | `{self.end}` | {result.system} "
            f"| {' | '.join(map(told, times))} | {seen.read_back:,} | {result.peak_memory_mb:,.0f} "
            f"| {'yes' if result.equal else 'NO'} |"
        )


def told(seconds: float | None) -> str:
    """Seconds, if there are any to tell."""
    return "-" if seconds is None else f"{seconds:.1f}"


def progress(row: Row) -> str:
    """A line while the job goes on."""
    return (
        f"{row.result.system}: given after {told(row.seen.given)} s, whole after "
        f"{told(row.seen.whole)} s, {'equal' if row.result.equal else 'NOT equal'} "
        f"{row.result.note}"
    ).rstrip()


def explain(rows: Sequence[Row], session_seconds: float) -> str:
    """The table, and what is seen in it."""
    return "\n".join(
        [
            HEADER,
            *(row.cells() for row in rows),
            "",
            (
                "Two waits follow each other. First the group must give the partitions to the "
                "worker that stays. One that was killed is missed only when its last heartbeat is "
                f"{session_seconds:g} s ago (`SESSION_TIMEOUT_SECONDS`); until then the survivor "
                "answers for its own partitions, which is 503 but for `?allow=partial`. One that "
                "is told to end leaves, and nobody waits for it. Either way the survivor hears of "
                "it with its own next heartbeat, up to a third of that time-out later: standbys "
                "change nothing of this. Then the recovery: without standbys the survivor reads "
                "the partitions' changelog into its tables, longer the more windows there are; a "
                "standby has read it all along, and has only to begin. From the moment that the "
                "group gives partitions out until the recovery is over, no partition is answered "
                "for, the survivor's own neither, and no order is counted."
            ),
        ]
    )
