"""What is counted: every request, and late events; labels are bounded whatever clients send."""

from http import HTTPMethod

from aiohttp import web
from prometheus_client import Counter, Histogram

REQUESTS = Counter(
    "http_requests_total", "Requests answered", ["service", "method", "path", "status"]
)
DURATION = Histogram(
    "http_request_duration_seconds", "Time to the answer", ["service", "method", "path"]
)
LATE = Counter("late_events_total", "Events too late for some of their windows", ["topic"])

SERVICE = "worker"
UNMATCHED = "unmatched"
OTHER_METHOD = "OTHER"
METHODS = frozenset(HTTPMethod)


def observe(request: web.Request, status: int, seconds: float) -> None:
    """Count an answered request under its route's template."""
    method = request.method if request.method in METHODS else OTHER_METHOD
    path = route_template(request)
    REQUESTS.labels(SERVICE, method, path, str(status)).inc()
    DURATION.labels(SERVICE, method, path).observe(seconds)


def count_late(topic: str, events: int) -> None:
    """Count events that came after the grace of some window they belong to."""
    LATE.labels(topic).inc(events)


def route_template(request: web.Request) -> str:
    """The template of the request's route, such as `/orders/{orderId}`."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNMATCHED


def count_unreadable(status: int) -> None:
    """Count what was refused before it was looked at, mostly because it was not HTTP."""
    REQUESTS.labels(SERVICE, OTHER_METHOD, UNMATCHED, str(int(status))).inc()
