"""Refunds that are refused, and steps that fail by the seed."""

from collections import Counter
from collections.abc import Iterator

import pytest

from app.domain.simulation import fails
from infra.local.testing import LocalServers
from tests.shop import Shop, order, post_all

pytestmark = pytest.mark.timeout(240)
END_SECONDS = 90


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    with LocalServers(tmp_path_factory.mktemp("time")) as servers:
        yield servers


async def test_a_refused_refund_is_visible_and_retried_until_it_is_done(
    servers: LocalServers,
) -> None:
    shop = Shop(
        servers,
        env={
            "SAGA_ORDER": "payment,inventory",
            "PAYMENT_REFUND_FAILURE_RATE": "0.5",
            "REFUND_RETRY_SECONDS": "0.5",
            "REFUND_RETRY_MAX_SECONDS": "1",
            "SWEEP_INTERVAL_SECONDS": "0.5",
        },
    )
    try:
        shop.start("worker-1", "worker-2")
        await shop.stock({"rare": 20})
        ids = await post_all(shop.url, [order(("rare", 1))] * 120)
        ends = await shop.all_end(ids, END_SECONDS)
        assert Counter({("CONFIRMED", None): 20, ("CANCELLED", "OUT_OF_STOCK"): 100}) == Counter(
            ends.values()
        )
        await shop.books_balance()
        with shop.database() as database:
            attempts = Counter([p["refundAttempts"] async for p in database.payments.find({})])
            told = [{e["event"] for e in o["history"]} async for o in database.orders.find({})]
        assert 20 == attempts[0]
        assert sum(n for tried, n in attempts.items() if tried > 1) > 20, "many took several"
        assert any({"PaymentRefundFailed", "PaymentRefunded"} <= events for events in told)
    finally:
        shop.stop()


@pytest.mark.parametrize("saga", ["inventory,payment", "payment,inventory"])
async def test_two_thousand_orders_end_as_the_seeded_failures_say(
    servers: LocalServers, saga: str
) -> None:
    shop = Shop(
        servers,
        env={
            "SAGA_ORDER": saga,
            "PAYMENT_FAILURE_RATE": "0.3",
            "INVENTORY_FAILURE_RATE": "0.2",
            "PAYMENT_SEED": "9",
        },
    )
    try:
        shop.start("worker-1", "worker-2")
        await shop.stock({f"p{n}": 100_000 for n in range(50)})
        bodies = [order((f"p{n % 50}", 1), (f"p{(n * 7 + 1) % 50}", 2)) for n in range(2000)]
        ids = await post_all(shop.url, bodies)
        ends = await shop.all_end(ids, END_SECONDS)
        for order_id, end in ends.items():
            reasons = {
                "inventory": ("OUT_OF_STOCK", fails(9, "inventory", order_id, 0.2)),
                "payment": ("PAYMENT_FAILED", fails(9, "payment", order_id, 0.3)),
            }
            failed = [reasons[step][0] for step in saga.split(",") if reasons[step][1]]
            assert (("CANCELLED", failed[0]) if failed else ("CONFIRMED", None)) == end
        await shop.books_balance()
    finally:
        shop.stop()
