"""What is counted of every request; labels are bounded whatever clients send."""

from http import HTTPMethod

from aiohttp import web
from prometheus_client import Counter, Gauge, Histogram

from app.metrics.loop import LoopLag
from app.metrics.registry import new_registry
from app.metrics.scraping import CONTENT_TYPE, Scrapes
from gateway.watching import WatchedWorkers
from gateway.workers import Workers

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
        ("livez", "readyz", "metrics", "breakers"),
    )
    for segment in group
)


class Metrics:
    """The gateway's own metrics.

    Attributes:
        loop: must be watched, as long as the process runs.
    """

    def __init__(self) -> None:
        self._registry = new_registry()
        self._scrapes = Scrapes(self._registry)
        self.loop = LoopLag(self._registry)
        self._bound: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
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

        self._rate_limited = Counter(
            "rate_limited_total",
            "Requests refused because of a rate limit",
            ["limit"],
            registry=self._registry,
        )
        self._cache = Counter(
            "cache_requests_total",
            "Requests for what the read cache keeps",
            ["path", "outcome"],
            registry=self._registry,
        )
        self._redis = Gauge(
            "redis_available", "Whether Redis answered the last time", registry=self._registry
        )
        self._resent = Counter(
            "gateway_resends_total",
            "Requests whose connection broke and that could be sent again",
            ["outcome"],
            registry=self._registry,
        )
        self._refused = Counter(
            "gateway_refusals_total",
            "Requests that no live worker could be sent, because all were full or open",
            ["reason"],
            registry=self._registry,
        )

    def rate_limited(self, limit: str) -> None:
        """Count a request that was one too many; `limit` is `client`, `user` or `limited`."""
        self._rate_limited.labels(limit).inc()

    def cache_asked(self, path: str, outcome: str) -> None:
        """Count an answer of the read cache.

        Args:
            path: one that is kept.
            outcome: `hit`, `stale`, `miss` or `bypass`.
        """
        self._cache.labels(path, outcome).inc()

    def redis_available(self, *, available: bool) -> None:
        """Show whether Redis answers."""
        self._redis.set(available)

    def watch(self, workers: Workers) -> None:
        """Show how it is with each worker, as of when it is asked."""
        self._registry.register(WatchedWorkers(workers))

    def resent(self, *, allowed: bool) -> None:
        """Count a request that could be sent again."""
        self._resent.labels("sent" if allowed else "over_budget").inc()

    def refused(self, reason: str) -> None:
        """Count a request that was sent to nobody; `reason` is `full` or `open`."""
        self._refused.labels(reason).inc()

    def observe(self, request: web.BaseRequest, status: int, seconds: float) -> None:
        """Count an answered request."""
        method = request.method if request.method in METHODS else "OTHER"
        key = method, template(request.path), int(status)
        requests, duration = self._bound.get(key) or self._bind(key)
        requests.inc()
        duration.observe(seconds)

    def _bind(self, key: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        """Once a method, path and status: looking one up by its labels costs more than counting."""
        method, path, status = key
        bound = self._bound[key] = (
            self._requests.labels(SERVICE, method, path, str(status)),
            self._duration.labels(SERVICE, method, path),
        )
        return bound

    async def handle(self, _request: web.Request) -> web.Response:
        """`GET /metrics`: Prometheus' text format."""
        body = await self._scrapes.text()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


def template(path: str) -> str:
    """The path's known first part, such as `/api/orders` for everything below it."""
    first, *rest = path.removeprefix("/").split("/", 2)
    if first != API:
        return f"/{first}" if first in OWN and not rest else OTHER
    segment = rest[0] if rest else ""
    if not segment:
        return "/api"
    return f"/api/{segment if segment in SEGMENTS else OTHER}"
