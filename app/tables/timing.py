"""What the progress of all partitions says of time: what is final, and what time it is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from app.tables.ledger import NEVER, Progress
from app.tables.reading import Part
from app.tables.tally import Sums


def common_watermark(parts: Iterable[Part], now: int, idle: float) -> int:
    """The event time (ms) that all partitions have reached.

    One that has heard nothing for `idle` ms (by the wall clock, `now`) does not hold the others up;
    when all are idle the highest counts. One that never heard anything has no say. But one that is
    behind is not idle, however old the last record is that it has counted: what it has yet to count
    may be of any time after its watermark, and of any time at all where it has none.
    """
    told = [(part.progress, part.behind) for part in parts]
    active = [
        each.watermark
        for each, behind in told
        if behind or (each.arrived != NEVER and now - each.arrived <= idle)
    ]
    if active:
        return min(active)
    return max((each.watermark for each, _ in told), default=NEVER)


def stream_time(progress: Iterable[Progress], now: int) -> int:
    """The newest event time (ms), moved on by the wall time since anything was heard.

    So in a replay it is the replayed time, and when events stop it goes on all the same. `NEVER`
    where nothing was ever heard.
    """
    heard = [each for each in progress if each.newest != NEVER]
    if not heard:
        return NEVER
    since = now - max(each.arrived for each in heard)
    return max(each.newest for each in heard) + max(since, 0)


def hopping(slices: Mapping[int, Sums], size: int, hop: int) -> dict[int, Sums]:
    """Hopping windows of `size` that start every `hop` seconds, by start; from tumbling windows of
    `hop` seconds, each of which is a slice of `size / hop` of them.

    Exact, and kept once instead of `size / hop` times: stream slicing (Traub et al. 2019, Scotty).
    """
    found: defaultdict[int, Sums] = defaultdict(Sums)
    for start, sums in slices.items():
        for back in range(0, size, hop):
            found[start - back].add(sums)
    return dict(sorted(found.items()))
