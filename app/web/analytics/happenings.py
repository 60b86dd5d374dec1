"""The answers about views of movies and actions of users, and their views."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from app.tables.keys import By
from app.tables.tally import Views
from app.web.analytics import asking
from app.web.analytics.asking import Windows
from app.web.analytics.orders import bounds, going_on, ranked
from app.web.analytics.queries import TableQueries
from app.web.analytics.views import TOP_DEFAULT, TOP_MOST, fresh
from app.web.parameters import whole_number

# By these names the keys of windows go in answers.
NAMES: Mapping[By, str] = {By.MOVIE: "movieId", By.USER: "userId", By.ACTION: "action"}


@dataclass(frozen=True, slots=True)
class Happenings:
    """Answers and views about one topic of what happens.

    Attributes:
        counted: what a window's number is called, such as `views`.
        sizes: of the windows that are kept, in seconds.
        dimensions: that they are kept by.
        ranked_by: the dimension of `top`.
    """

    queries: TableQueries
    counted: str
    sizes: tuple[int, ...]
    dimensions: tuple[By, ...]
    ranked_by: By

    async def windows(self, request: web.Request) -> web.Response:
        """`GET …/windows`: as `/analytics/windows`, without hopping ones."""
        asked = asking.windows(
            {**request.query, "hop": ""}, sizes=self.sizes, dimensions=self.dimensions
        )
        return fresh(await self._windows(asked))

    async def top(self, request: web.Request) -> web.Response:
        """`GET …/top`: the first of one window, by its number; ties by id."""
        query = request.query
        return fresh(
            await self._top(
                asking.window_size(query, self.sizes, default=self.sizes[-1]),
                asking.instant(query, "at"),
                whole_number(query, "n", default=TOP_DEFAULT, most=TOP_MOST),
                allow_partial=asking.allow_partial(query),
            )
        )

    async def _windows(self, asked: Windows) -> dict[str, Any]:
        by = asked.range.by
        found = await self.queries.windows(asked.range, allow_partial=asked.allow_partial)
        return {
            "size": asked.range.size,
            "by": by.name.lower(),
            "windows": [
                {
                    **bounds(start, asked.range.size),
                    **({NAMES[by]: key} if by in NAMES else {}),
                    **self._numbers(tally),
                    "final": self.queries.is_final(start + asked.range.size, found.reached),
                }
                for start, key, tally in found.cells
            ],
            **going_on(found),
            **found.coverage.document(),
        }

    async def _top(
        self, size: int, at: datetime | None, n: int, *, allow_partial: bool
    ) -> dict[str, Any]:
        by, name = self.ranked_by, NAMES[self.ranked_by]
        listed = f"{by.name.lower()}s"
        start: int | None
        if at is None:
            start, known = await self.queries.newest_start(size, by, allow_partial=allow_partial)
            if start is None:
                return {"size": size, "window": None, listed: [], **known.document()}
        else:
            start = int(at.timestamp()) // size * size
        found = await self.queries.window(size, by, start, allow_partial=allow_partial)
        cells = ((key, tally) for _, key, tally in found.cells)
        return {
            "size": size,
            "window": {
                **bounds(start, size),
                "final": self.queries.is_final(start + size, found.reached),
            },
            listed: [
                {name: key, **self._numbers(tally)}
                for key, tally in ranked(cells, lambda tally: tally.views, n)
            ],
            **found.coverage.document(),
        }

    def _numbers(self, tally: Views) -> dict[str, int]:
        return {self.counted: tally.views, "users": round(tally.users.get_estimate())}
