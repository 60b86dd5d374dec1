"""Stock, payments and health."""

from app.domain.payment import Payment, PaymentStatus
from app.stores import repositories
from tests.unit.web.conftest import World, hurried

ORDER_ID = "0b0d6c1e-5d2c-4f0e-9a50-7a1f5a3e9f10"


def shelve(world: World, *products: str) -> None:
    for product in products:
        world.database[repositories.STOCK].put(
            product, available=5, holds={"o1": 2, "o2": 1}, sold=4, fence=9
        )


async def test_stock_is_listed_page_by_page(world: World) -> None:
    shelve(world, "a", "b", "c")

    first = await (await world.get("/inventory?limit=2")).json()
    last = await (await world.get(f"/inventory?limit=2&after={first['next']}")).json()

    assert ["a", "b"] == [stock["productId"] for stock in first["inventory"]]
    assert {
        "inventory": [{"productId": "c", "available": 5, "reserved": 3, "sold": 4}],
        "next": None,
    } == last


async def test_a_page_that_is_just_full_is_the_last(world: World) -> None:
    shelve(world, "a", "b")

    assert (await (await world.get("/inventory?limit=2")).json())["next"] is None


async def test_a_limit_that_is_none_is_named(world: World) -> None:
    for limit in ("0", "1001", "-1", "x", "", "1e2", "9" * 5000):
        response = await world.get(f"/inventory?limit={limit}")

        assert 422 == response.status
        assert "limit" == (await response.json())["errors"][0]["field"]


async def test_a_product_is_found_by_its_escaped_id(world: World) -> None:
    shelve(world, "a b/c?é%")

    response = await world.client.get("/inventory/a%20b%2Fc%3F%C3%A9%25")

    assert 200 == response.status
    assert "a b/c?é%" == (await response.json())["productId"]


async def test_an_unknown_product_is_not_found(world: World) -> None:
    for path in ("none", "%00", "%ED%A0%80", "%ff", "x" * 65):
        assert 404 == (await world.get(f"/inventory/{path}")).status


async def test_a_payment_is_shown(world: World) -> None:
    paid = Payment(ORDER_ID, 1869, PaymentStatus.REFUNDED, "t1", "p1", refund_at="t2")
    world.database[repositories.PAYMENTS].put(ORDER_ID, **repositories.encode_payment(paid))

    response = await world.get(f"/payments/{ORDER_ID}")

    assert {
        "orderId": ORDER_ID,
        "amount": 18.69,
        "status": "REFUNDED",
        "at": "t1",
        "paymentId": "p1",
        "refundedAt": "t2",
    } == await response.json()


async def test_a_void_payment_is_none(world: World) -> None:
    void = Payment(ORDER_ID, 0, PaymentStatus.VOID, "t1", refund_at="t1")
    world.database[repositories.PAYMENTS].put(ORDER_ID, **repositories.encode_payment(void))

    assert 404 == (await world.get(f"/payments/{ORDER_ID}")).status


async def test_an_order_without_a_payment_has_none(world: World) -> None:
    for order_id in (ORDER_ID, "nonsense"):
        assert 404 == (await world.get(f"/payments/{order_id}")).status


async def test_a_worker_lives_though_everything_else_is_away(world: World) -> None:
    world.database.down = world.redis.down = True

    response = await world.get("/livez")

    assert (200, {"status": "ok"}) == (response.status, await response.json())


async def test_a_worker_is_ready_when_all_that_it_needs_answers(world: World) -> None:
    response = await world.get("/readyz")

    assert 200 == response.status
    assert {
        "status": "ok",
        "checks": {
            "mongodb": True,
            "redis": True,
            "kafka": True,
            "services": {"order": True},
        },
    } == await response.json()


async def test_a_server_that_hangs_makes_a_worker_unready_in_time(world: World) -> None:
    world.database.hangs = True

    response = await world.get("/readyz")

    checks = (await response.json())["checks"]
    assert 503 == response.status
    assert (False, True) == (checks["mongodb"], checks["redis"])


async def test_a_service_that_has_not_joined_makes_a_worker_unready(world: World) -> None:
    world.services["order"] = False

    assert 503 == (await world.get("/readyz")).status


@hurried
async def test_a_worker_that_is_to_stop_says_so_when_checked_and_serves_all_else(
    world: World,
) -> None:
    world.resources.stopping = lambda: True

    for path in ("/livez", "/readyz"):
        response = await world.get(path)
        assert (503, "stopping") == (response.status, (await response.json())["status"])
    posted = await world.post()
    assert 202 == posted.status
    assert 200 == (await world.get(f"/orders/{(await posted.json())['orderId']}")).status


async def test_a_worker_that_is_to_stop_ends_each_connection_with_its_answer(world: World) -> None:
    assert "Connection" not in (await world.get("/inventory")).headers
    world.resources.stopping = lambda: True

    assert "close" == (await world.get("/inventory")).headers["Connection"]


async def test_metrics_are_prometheus_text(world: World) -> None:
    await world.get("/livez")

    response = await world.get("/metrics")

    assert "text/plain" == response.content_type
    text = await response.text()
    assert "http_requests_total{" in text
    assert "http_request_duration_seconds_bucket{" in text
