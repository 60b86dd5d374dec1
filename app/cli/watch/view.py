"""What is known: the newest answer to each question, and rates from the ones before."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

# A minute of samples, one a second, and the one before them.
SAMPLES = 61
MINUTE = 60.0
# A gateway gives the same answer twice for some time: that is no second without orders.
SAME_SECONDS = 1.8
# Asked every second: below this, an answer has only just been missed.
SILENT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The totals at a time (seconds, monotonic); `revenue` in currency units."""

    at: float
    orders: int
    confirmed: int
    cancelled: int
    revenue: float


@dataclass(slots=True)
class History:
    """The totals of the last minute."""

    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def note(self, sample: Sample) -> None:
        """Take the newest totals; those of another system begin anew."""
        if self.samples:
            last = self.samples[-1]
            if sample.orders < last.orders:
                self.samples.clear()
            elif sample.at - last.at < SAME_SECONDS and sample == replace(last, at=sample.at):
                return
        self.samples.append(sample)

    def orders(self) -> list[float | None]:
        """Orders a second, from each sample to the next."""
        return [
            (new.orders - old.orders) / max(new.at - old.at, 1e-3) for old, new in self._pairs()
        ]

    def revenue(self) -> list[float | None]:
        """Revenue a second, likewise."""
        return [
            (new.revenue - old.revenue) / max(new.at - old.at, 1e-3) for old, new in self._pairs()
        ]

    def success(self) -> list[float | None]:
        """The share of the orders that ended from each sample to the next which were confirmed."""
        return [_success(old, new) for old, new in self._pairs()]

    def orders_per_minute(self) -> float | None:
        """Over the last minute, or as far back as is known; None before there are two samples."""
        return self._per_minute(lambda sample: float(sample.orders))

    def revenue_per_minute(self) -> float | None:
        """Likewise."""
        return self._per_minute(lambda sample: sample.revenue)

    def recent_success(self) -> float | None:
        """Of the orders that ended in the last minute."""
        return _success(self.samples[0], self.samples[-1]) if self.samples else None

    def _pairs(self) -> Sequence[tuple[Sample, Sample]]:
        return list(pairwise(self.samples))

    def _per_minute(self, value: Any) -> float | None:
        if len(self.samples) < 2:
            return None
        old, new = self.samples[0], self.samples[-1]
        return float((value(new) - value(old)) / max(new.at - old.at, 1e-3) * MINUTE)


def _success(old: Sample, new: Sample) -> float | None:
    confirmed = new.confirmed - old.confirmed
    ended = confirmed + new.cancelled - old.cancelled
    return confirmed / ended if ended else None


@dataclass(slots=True)
class View:
    """All that is shown.

    Attributes:
        url: who is asked.
        answers: the newest answer to each question.
        faults: why the newest question of each kind got none.
        answered_at: when anything was last answered (monotonic), and `known_at` the totals.
    """

    url: str
    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    answered_at: float = 0.0
    known_at: float = 0.0
    history: History = field(default_factory=History)

    def answer(self, name: str, document: Mapping[str, Any]) -> None:
        """Take an answer."""
        self.answered_at = time.monotonic()
        self.faults.pop(name, None)
        self.answers[name] = document
        if name == "analytics":
            self.known_at = self.answered_at
            self.history.note(
                Sample(
                    self.answered_at,
                    document["orders"],
                    document["confirmed"],
                    document["cancelled"],
                    document["revenue"],
                )
            )

    def fault(self, name: str, words: str, *, answered: bool) -> None:
        """Note that a question got no answer to show; what was known before stays."""
        self.faults[name] = words
        if answered:
            self.answered_at = time.monotonic()

    def trouble(self) -> str | None:
        """Why what is shown is not of now; None where it is."""
        now = time.monotonic()
        if now - self.answered_at > SILENT_SECONDS:
            return f"reconnecting, no answer for {now - self.answered_at:.0f} s"
        if now - self.known_at > SILENT_SECONDS:
            return f"totals are {now - self.known_at:.0f} s old" if self.known_at else "no totals"
        return None

    @property
    def lags(self) -> list[Mapping[str, Any]]:
        """The groups; none where they are not known."""
        return list(self.answers.get("groups", {}).get("groups", ()))

    @property
    def open_letters(self) -> int | None:
        """Dead letters that nobody has seen to; None where that is not known."""
        found = self.answers.get("letters")
        if found is None:
            return None
        return sum(int(count.get("open", 0)) for count in found.get("counts", ()))

    @property
    def pending(self) -> int | None:
        """Orders that have not ended."""
        flow, totals = self.answers.get("flow"), self.answers.get("analytics")
        if flow is not None:
            return int(flow["pending"])
        if totals is not None:
            return int(totals["orders"] - totals["confirmed"] - totals["cancelled"])
        return None

    def workers(self) -> dict[str, list[str]]:
        """Of each worker, by its name, the services with which it takes part."""
        found: dict[str, list[str]] = {}
        for group in self.lags:
            for member in group["members"]:
                name = str(member["clientId"]).removesuffix(f"-{group['service']}")
                found.setdefault(name, []).append(str(group["service"]))
        return dict(sorted(found.items()))
