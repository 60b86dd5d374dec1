"""Movies service: counts each movie's views, and splits each view into the events it leads to.

Consumes: movie.views.v1 (key: movie id). Produces: user.actions.v1 (key: user id) and
movie.events.v1 (key: movie id). Stores: movies, one document a movie; movie_views, one a view.
Compensates: nothing, a view can't be undone.

A movie's views are all in one partition, so one process at a time numbers them, in the order of the
log. Views are written before their movies: after a crash between the two, they come again, are
known by their numbers, and are counted then.
"""

from collections.abc import Sequence

from app.agents.folding import keys, outgoing
from app.domain.movies import Movie, View, track
from app.events import Event
from app.resources import Resources
from app.stores import movies as stores
from app.streaming import OutRecord
from app.topics import MOVIE_VIEWS


class MoviesService:
    """Tracks views."""

    def __init__(self, resources: Resources) -> None:
        self._movies = stores.movies(resources.database)
        self._views = stores.views(resources.database)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topic of the views."""
        return (MOVIE_VIEWS.name,)

    async def handle(self, events: Sequence[Event]) -> list[OutRecord]:
        """One load and one save of each collection for a batch.

        Raises:
            ConflictError: somebody else has counted meanwhile. Nothing is lost: a view that was
                written has the number that it would be given again.
        """
        movies = await self._movies.load(keys(events))
        views = await self._views.load(dict.fromkeys(event.data.origin for event in events))
        counted: dict[str, Movie] = {}
        numbered: dict[str, View] = {}
        emitted: list[Event] = []
        for event in events:
            view_id = event.data.origin
            movie = counted.get(event.key) or movies[event.key].state
            known = numbered.get(view_id) or views[view_id].state
            decision = track(movie, known, event)
            if known is None:
                numbered[view_id] = decision.state.view
            if decision.state.movie is not movie:
                counted[event.key] = decision.state.movie
            emitted.extend(decision.events)
        await self._views.save([(key, views[key], view) for key, view in numbered.items()])
        await self._movies.save([(key, movies[key], movie) for key, movie in counted.items()])
        return outgoing(emitted)
