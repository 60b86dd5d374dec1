"""What the routes for supervisors, balancers, Prometheus and readers take and answer."""

from typing import Annotated, Any

from pydantic import Field

from app.web.openapi.operation import Answer, Operation, Operations, Parameter, ok
from app.web.schemas import health

TEXT: dict[str, Any] = {"type": "string"}
JSON_DOCUMENT: dict[str, Any] = {"type": "object"}
KEPT = {
    200: Answer("The document.", JSON_DOCUMENT, headers=("ETag", "Cache-Control")),
    304: Answer("It is the one that the client has.", headers=("ETag",)),
}
UNCHANGED = Parameter.header("If-None-Match", Annotated[str, Field()], "An `ETag` it has.")

HEALTH: Operations = {
    ("GET", "/livez"): Operation(
        "live",
        "health",
        "Whether the process answers",
        {200: Answer("It does.", health.Alive), 503: Answer("It is to stop.", health.Alive)},
    ),
    ("GET", "/readyz"): Operation(
        "ready",
        "health",
        "Whether the worker can do its work",
        {
            200: Answer("It can.", health.Ready, headers=("Cache-Control",)),
            503: Answer("It can't, or is to stop.", health.Ready, headers=("Cache-Control",)),
        },
    ),
    ("GET", "/metrics"): Operation(
        "metrics", "health", "Metrics for Prometheus", ok(TEXT, content_type="text/plain")
    ),
    ("GET", "/openapi.json"): Operation(
        "openapi", "reference", "This document", KEPT, parameters=(UNCHANGED,)
    ),
    ("GET", "/asyncapi.json"): Operation(
        "asyncapi", "reference", "The events, as AsyncAPI 3", KEPT, parameters=(UNCHANGED,)
    ),
    ("GET", "/docs"): Operation(
        "docs",
        "reference",
        "This document, to read",
        {
            200: Answer(
                "A page.",
                TEXT,
                content_type="text/html",
                headers=("ETag", "Cache-Control"),
            ),
            304: KEPT[304],
        },
        parameters=(UNCHANGED,),
    ),
}
