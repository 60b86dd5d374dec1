"""What is counted of every request; labels are bounded whatever clients send."""

from http import HTTPMethod

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SERVICE = "gateway"
OTHER = "other"
METHODS = frozenset(HTTPMethod)
OWN = frozenset({"", "livez", "readyz", "metrics"})
API = "api"
SEGMENTS = frozenset(
    segment
    for group in (
        ("orders", "inventory", "payments", "users", "sagas", "analytics", "movies"),
        ("topics", "groups", "dlq", "token", "dashboard", "pay", "secure", "limited"),
        ("blocking", "non-blocking", "cpu-bound", "count"),
        ("livez", "readyz", "metrics"),
    )
    for segment in group
)


class Metrics:
    """The gateway's own metrics."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "http_requests_total",
            "Requests answered",
            ["service", "method", "path", "status"],
            registry=self._registry,
        )
        self._duration = Histogram(
            "http_request_duration_seconds",
            "Time to the answer's end",
            ["service", "method", "path"],
            registry=self._registry,
        )

    def observe(self, request: web.BaseRequest, status: int, seconds: float) -> None:
        """Count an answered request."""
        method = request.method if request.method in METHODS else "OTHER"
        path = template(request.path)
        self._requests.labels(SERVICE, method, path, str(status)).inc()
        self._duration.labels(SERVICE, method, path).observe(seconds)

    async def handle(self, _request: web.Request) -> web.Response:
        """`GET /metrics`: Prometheus' text format."""
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def template(path: str) -> str:
    """The path's known first part, such as `/api/orders` for everything below it."""
    first, *rest = path.removeprefix("/").split("/", 2)
    if first != API:
        return f"/{first}" if first in OWN and not rest else OTHER
    segment = rest[0] if rest else ""
    if not segment:
        return "/api"
    return f"/api/{segment if segment in SEGMENTS else OTHER}"
