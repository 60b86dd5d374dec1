"""`/movies`: taking views, and telling how often each movie was viewed.

`GET /movies/top` is answered from the windows of the analytics, not from here; no movie can have
that id (`RESERVED_MOVIES`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from app.domain.movies import Movie
from app.stores.mongo import Database
from app.stores.movies import movies_page
from app.web import cursors
from app.web.access import caller_of, require_self
from app.web.answers import json_response
from app.web.links import link
from app.web.parameters import idempotency_key, valid_or_none, whole_number
from app.web.problems import ProblemError, invalid
from app.web.rendering import movie_document
from app.web.requests import MovieId, ViewMovie, error_of, errors_of, parse, read_json_body
from app.web.shielded import Shielded
from app.web.tracing import trace_of
from app.web.viewing import Tracker

LISTED = "movies"
PAGE_DEFAULT = 50
PAGE_MOST = 200
MOVIE_ID = TypeAdapter[str](MovieId)


@dataclass(frozen=True, slots=True)
class MovieViews:
    """The handlers of movies.

    Attributes:
        stored: the movie of this id, if it was ever viewed.
    """

    tracker: Tracker
    database: Database
    stored: Callable[[str], Awaitable[Movie | None]]
    _to_its_end: Shielded = field(default_factory=Shielded)

    async def post(self, request: web.Request) -> web.Response:
        """`POST /movies/{movieId}/views`: 202 once the view is in the log."""
        key = idempotency_key(request)
        asked = parse(ViewMovie, await read_json_body(request))
        require_self(caller_of(request), asked.user_id)
        movie_id = _movie_id(request)
        traceparent = trace_of(request).traceparent
        tracked = await self._to_its_end(
            self.tracker.track(movie_id, asked.user_id, key, traceparent)
        )
        headers = {"Location": link(request, "movies", movie_id)}
        if tracked.replayed:
            headers["Idempotency-Replayed"] = "true"
        return json_response(tracked.body, status=HTTPStatus.ACCEPTED, headers=headers)

    async def get(self, request: web.Request) -> web.Response:
        """`GET /movies/{movieId}`: as far as its views are counted, which takes a moment."""
        movie_id = valid_or_none(MOVIE_ID, request.match_info["movieId"])
        movie = await self.stored(movie_id) if movie_id is not None else None
        if movie is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "No view of such a movie was counted.")
        return json_response(movie_document(movie))

    async def list(self, request: web.Request) -> web.Response:
        """`GET /movies`: by id."""
        limit = whole_number(request.query, "limit", default=PAGE_DEFAULT, most=PAGE_MOST)
        position = cursors.cursor_of(request.query, LISTED, 1)
        after = position[0] if position else None
        page = await movies_page(self.database, after=after, limit=limit + 1)
        shown = page[:limit]
        more = len(page) > limit
        return json_response(
            {
                "movies": [movie_document(movie) for movie in shown],
                "nextCursor": cursors.encode(LISTED, shown[-1].movie_id) if more else None,
            }
        )


def _movie_id(request: web.Request) -> str:
    """The movie's id in the path of a post.

    Raises:
        ProblemError: 422 where it can be no movie's.
    """
    try:
        return MOVIE_ID.validate_python(request.match_info["movieId"])
    except ValidationError as error:
        raise invalid([error_of("movieId", errors_of(error)[0]["detail"])]) from None
