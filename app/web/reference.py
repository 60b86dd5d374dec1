"""`/openapi.json`, `/asyncapi.json`, `/docs`: what this worker takes, answers and says."""

from app.reference import EVENTS, WORKER, Shipped
from app.web.routes import Route


def reference_routes() -> tuple[Route, ...]:
    """The routes of the reference."""
    api, events = Shipped(WORKER), Shipped(EVENTS)
    return (
        Route("GET", "/openapi.json", api.json),
        Route("GET", "/asyncapi.json", events.json),
        Route("GET", "/docs", api.html),
    )
