"""What is counted of every request; labels are bounded whatever clients send."""

from functools import cache
from http import HTTPMethod

from aiohttp import web
from prometheus_client import Counter, Histogram

from app.metrics.registry import REGISTRY

REQUESTS = Counter(
    "http_requests_total",
    "Requests answered",
    ["service", "method", "path", "status"],
    registry=REGISTRY,
)
DURATION = Histogram(
    "http_request_duration_seconds",
    "Time to the answer",
    ["service", "method", "path"],
    registry=REGISTRY,
)

SERVICE = "worker"
UNMATCHED = "unmatched"
OTHER_METHOD = "OTHER"
METHODS = frozenset(HTTPMethod)


def observe(request: web.Request, status: int, seconds: float) -> None:
    """Count an answered request under its route's template."""
    method = request.method if request.method in METHODS else OTHER_METHOD
    path = route_template(request)
    _requests(method, path, int(status)).inc()
    _duration(method, path).observe(seconds)


# There are as many as there are routes, methods and statuses.
@cache
def _requests(method: str, path: str, status: int) -> Counter:
    return REQUESTS.labels(SERVICE, method, path, str(status))


@cache
def _duration(method: str, path: str) -> Histogram:
    return DURATION.labels(SERVICE, method, path)


def route_template(request: web.Request) -> str:
    """The template of the request's route, such as `/orders/{orderId}`."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNMATCHED


def count_unreadable(status: int) -> None:
    """Count what was refused before it was looked at, mostly because it was not HTTP."""
    _requests(OTHER_METHOD, UNMATCHED, int(status)).inc()
