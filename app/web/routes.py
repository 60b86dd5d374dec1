"""Handlers as Faust web views.

A handler is a plain aiohttp one: request in, response out. Faust wants a class a path, so that is
made here, with exactly the methods that have a handler (Faust's own views claim HEAD everywhere).
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import faust
from aiohttp import web
from faust.web import View

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method of a path, such as GET of `/orders/{orderId}`; GET answers HEAD too."""

    method: str
    path: str
    handler: Handler


def add_routes(app: faust.App, routes: Iterable[Route]) -> None:
    """Add the routes to the web server of `app`."""
    paths: dict[str, dict[str, Handler]] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method] = route.handler
    for path, handlers in paths.items():
        if "GET" in handlers:
            handlers.setdefault("HEAD", handlers["GET"])
        app.page(path, name=path)(_view(handlers))


def _view(handlers: dict[str, Handler]) -> type:
    class HandlerView(View):  # type: ignore[misc]  # Faust is not typed
        def __post_init__(self) -> None:
            self.methods = {name.lower(): _method(handlers[name]) for name in handlers}

        def get_methods(self) -> set[str]:
            return set(handlers)

    return HandlerView


def _method(handler: Handler) -> Callable[..., Awaitable[web.StreamResponse]]:
    async def method(request: web.Request, **path: Any) -> web.StreamResponse:
        return await handler(request)  # the path's parts are in the request

    return method
