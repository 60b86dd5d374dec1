"""`/sagas/flow`: how many orders wait at which step now, and what came of the others.

Those under way are looked up by the index on their status, so many at most; what has ended is known
to the analytics tables. However many ask this worker, it looks once a second.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from app.resources import Clock
from app.saga import Saga
from app.stores.listing import Course
from app.web.answers import json_response
from app.web.problems import ProblemError

# Orders under way that are looked at: some 30 ms of a worker's time. Above it the oldest are.
LOOKED_AT_MOST = 2000
# What changes every moment need not be asked for more often.
KEPT_SECONDS = 1.0
# Before the first step: events of the steps were heard, and the order itself was not yet.
RECORD = "order"
FORWARD, BACK = "forward", "back"

Pending = Callable[[int], Awaitable[list[Course]]]
Totals = Callable[[], Awaitable[Mapping[str, Any]]]
Place = tuple[str, str]


class FlowViews:
    """The view of the flow.

    Args:
        pending: the courses of orders that have not ended, the oldest first, so many at most.
        totals: the summary of all orders; raises `ProblemError` where there is none now.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        pending: Pending,
        totals: Totals,
        saga: Saga,
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        self._pending = pending
        self._totals = totals
        self._saga = saga
        self._clock = clock
        self._monotonic = monotonic
        self._asked: asyncio.Task[dict[str, Any]] | None = None
        self._asked_at = 0.0

    async def get(self, request: web.Request) -> web.Response:
        """`GET /sagas/flow`."""
        now = self._monotonic()
        if self._asked is None or self._failed() or now - self._asked_at >= KEPT_SECONDS:
            self._asked = asyncio.create_task(self._flow())
            self._asked_at = now
        # Whoever leaves does not take the answer from the others.
        return json_response(
            await asyncio.shield(self._asked), headers={"Cache-Control": "no-cache"}
        )

    def _failed(self) -> bool:
        return self._asked is not None and self._asked.done() and bool(self._asked.exception())

    async def _flow(self) -> dict[str, Any]:
        courses, totals = await asyncio.gather(self._pending(LOOKED_AT_MOST + 1), self._ended())
        looked_at = courses[:LOOKED_AT_MOST]
        found: dict[str, Any] = {
            "steps": steps_of(looked_at, self._saga, self._clock()),
            "pending": len(looked_at),
            **totals,
        }
        return found | {"atLeast": True} if len(courses) > len(looked_at) else found

    async def _ended(self) -> dict[str, Any]:
        try:
            totals = await self._totals()
        except ProblemError:
            return {"confirmed": None, "cancelled": None, "cancelledBy": {}, "partial": True}
        names = ("confirmed", "cancelled", "cancelledBy", "partial")
        return {name: totals[name] for name in names if name in totals}


def steps_of(courses: Iterable[Course], saga: Saga, now: datetime) -> list[dict[str, Any]]:
    """How many wait at each step, forward in their order and then back, and for how long."""
    waiting: Counter[Place] = Counter()
    since: dict[Place, str] = {}
    for course in courses:
        place = place_of(course, saga)
        waiting[place] += 1
        since[place] = min(since.get(place, course.updated_at), course.updated_at)
    names = [step.name for step in saga.steps]
    places: list[Place] = [(RECORD, FORWARD), *((name, FORWARD) for name in names)]
    # What was done first is undone last.
    places += [(name, BACK) for name in reversed(names)]
    found = []
    for step, direction in places:
        each: dict[str, Any] = {
            "step": step,
            "direction": direction,
            "waiting": waiting[step, direction],
        }
        if (step, direction) in since:
            began = datetime.fromisoformat(since[step, direction])
            # Never below zero, though the clocks of two workers differ.
            each["oldestSeconds"] = max(0.0, round((now - began).total_seconds(), 3))
        found.append(each)
    return found


def place_of(course: Course, saga: Saga) -> Place:
    """The step that the order waits at, and whether that goes forward or back."""
    current = saga.current(course.seen)
    if saga.starts not in course.seen or current is None:
        return RECORD, FORWARD
    return current, BACK if saga.undoing(course.seen) else FORWARD
