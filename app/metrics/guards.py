"""Locks, and the guard of the stock."""

from prometheus_client import CollectorRegistry, Counter

from app.stores.locks import KIND_SEPARATOR, LockObserver

STOCK = "stock"


class GuardMetrics:
    """Told what becomes of locks, and of writes that the stock's guard refused."""

    def __init__(self, registry: CollectorRegistry) -> None:
        acquisitions = Counter(
            "lock_acquisitions_total",
            "Leases asked for and granted, asked for in vain, and lost before they were given back",
            ["status"],
            registry=registry,
        )
        self._contentions = Counter(
            "lock_contentions_total",
            "Calls that found a lock taken, by the kind of what it locks",
            ["resource"],
            registry=registry,
        )
        self._contentions.labels(STOCK)
        self.locks = LockObserver(
            on_acquired=acquisitions.labels("acquired").inc,
            on_timeout=acquisitions.labels("timeout").inc,
            on_lost=acquisitions.labels("lost").inc,
            on_contention=self._contended,
        )
        self._refused = Counter(
            "stock_guard_refusals_total",
            "Products not written: a higher fencing token was seen, or they would be oversold",
            registry=registry,
        )

    def _contended(self, name: str) -> None:
        # Never the lock's whole name: it names a product, of which there are any number.
        self._contentions.labels(name.partition(KIND_SEPARATOR)[0]).inc()

    def stock_refused(self, products: int) -> None:
        """`Listeners.stock_refused`."""
        self._refused.inc(products)
