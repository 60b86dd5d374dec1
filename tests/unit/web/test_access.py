"""Who may call which view of a worker, with AUTH=on; and whose things are shown."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.console import FILES, PAGE
from app.domain.payment import Payment, PaymentStatus
from app.identity import Principal, Role
from app.identity.passing import passed_on
from app.identity.policy import Who, who_may
from app.stores import repositories
from app.web.analytics import parts
from tests.unit.identity.tokens import CLUSTER_TOKEN, SECRET, signed
from tests.unit.web.conftest import BODY, SETTINGS, World, made_of

UNKNOWN = "0b0d6c1e-5d2c-4f0e-9a50-7a1f5a3e9f10"
CLOSED = SETTINGS.model_copy(
    update={"auth": "on", "auth_secret": SECRET, "cluster_token": CLUSTER_TOKEN}
)
OPEN = ["livez", "readyz", "metrics", "docs", "openapi.json", "asyncapi.json", "asyncapi.yaml"]
# Whoever waits for what is not to come would wait so long.
PATIENT = {"Prefer": "wait=30"}
SOON_SECONDS = 10.0
# Tokens are made once, when the module is read: long before its tests where many are collected.
SESSION_SECONDS = 3600
# Faust adds these to every worker. They tell who owns which key, to anybody who asks.
FAUSTS_OWN = re.compile(r"/|/(router|table)/.*")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def as_(user: str, role: str = "customer") -> dict[str, str]:
    return bearer(signed(sub=user, role=role, exp=time.time() + SESSION_SECONDS))


ALICE, BOB = as_("alice"), as_("bob")
OPERATOR, ADMIN = as_("oscar", "operator"), as_("ada", "admin")


@pytest.fixture
async def closed() -> AsyncIterator[World]:
    async with made_of(CLOSED) as made:
        yield made


def routes(world: World) -> list[tuple[str, str]]:
    """Method and template of every view of ours."""
    app = world.client.app
    assert app is not None
    found = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and not FAUSTS_OWN.fullmatch(route.resource.canonical)
    }
    return sorted(found)


async def status(world: World, method: str, path: str, headers: Any = None, **more: Any) -> int:
    async with asyncio.timeout(SOON_SECONDS):
        response = await world.client.request(method, path, headers=headers, **more)
        await response.read()
    return response.status


async def ordered(world: World, user: str, *, stored: bool = True) -> str:
    """The id of an order that this user has placed."""
    response = await world.client.post("/orders", json=BODY | {"userId": user}, headers=OPERATOR)
    assert 202 == response.status
    if stored:
        world.store()
    return str((await response.json())["orderId"])


async def test_every_view_says_who_may_call_it(world: World) -> None:
    assert [] == [route for route in routes(world) if who_may(*route) is None]
    assert len(routes(world)) > 40


async def test_only_health_documentation_and_the_page_need_no_token(closed: World) -> None:
    for method, template in routes(closed):
        who = who_may(method, template)
        if template in (PAGE, FILES):
            assert Who.ANYONE is who
            continue
        if who is Who.ANYONE:
            assert template.strip("/") in OPEN
            assert await status(closed, method, template) in {200, 503}
            continue
        path = re.sub(r"\{\w+\}", UNKNOWN, template)
        response = await closed.client.request(method, path)
        assert (401, template) == (response.status, template)
        assert "application/problem+json" == response.content_type
        if who is not Who.WORKERS:
            assert 'Bearer realm="orderflow"' == response.headers["WWW-Authenticate"]


async def test_views_for_operators_and_admins_refuse_who_has_less(closed: World) -> None:
    asked = 0
    for method, template in routes(closed):
        path = re.sub(r"\{\w+\}", UNKNOWN, template)
        refused = {Who.OPERATORS: [ALICE], Who.ADMINS: [ALICE, OPERATOR]}
        for headers in refused.get(who_may(method, template) or Who.ANYONE, []):
            response = await closed.client.request(method, path, headers=headers)
            assert (403, template) == (response.status, template)
            if method != "HEAD":
                assert "This needs the role" in (await response.json())["detail"]
            assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]
            asked += 1
    assert asked > 15


async def test_what_a_role_is_for_it_may(closed: World) -> None:
    stock = {"available": 3}
    assert 201 == await status(closed, "PUT", "/inventory/p", ADMIN, json=stock)
    assert 200 == await status(closed, "GET", "/inventory/p", ALICE)
    assert 200 == await status(closed, "GET", "/inventory/p/history", OPERATOR)
    assert 200 == await status(closed, "GET", "/sagas", OPERATOR)
    assert 200 == await status(closed, "GET", "/users", OPERATOR)


@pytest.mark.parametrize("path", ["/router/", "/router/x/y/", "/table/", "/table/x/"])
async def test_what_nobody_has_decided_on_is_for_nobody(closed: World, path: str) -> None:
    assert 401 == await status(closed, "GET", path)
    assert 403 == await status(closed, "GET", path, ADMIN)


async def test_what_is_not_there_is_not_there_for_who_has_a_token(closed: World) -> None:
    assert 401 == await status(closed, "GET", "/nowhere")
    assert 404 == await status(closed, "GET", "/nowhere", ALICE)
    assert 405 == await status(closed, "DELETE", "/orders", ALICE)


@pytest.mark.parametrize(
    "token",
    [
        lambda: signed("another secret that nobody has set"),
        lambda: signed(exp=int(time.time()) - 60),
        lambda: signed(role="root"),
        lambda: "demo-token",
    ],
)
async def test_a_token_that_is_not_valid_is_refused(
    closed: World, token: Callable[[], str]
) -> None:
    response = await closed.get("/orders", **bearer(token()))

    assert 401 == response.status
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


async def test_a_gateway_is_believed_by_the_cluster_token_alone(closed: World) -> None:
    passed = passed_on(Principal("ö", Role.OPERATOR), CLUSTER_TOKEN)
    assert 200 == await status(closed, "GET", "/sagas", passed)

    for token in ("", "wrong", CLUSTER_TOKEN + "x"):
        forged = {**passed, "X-Cluster-Token": token}
        assert 401 == await status(closed, "GET", "/sagas", forged)
        assert 403 == await status(closed, "GET", "/sagas", {**forged, **ALICE})
    assert 401 == await status(closed, "GET", "/sagas", {"X-Cluster-Token": CLUSTER_TOKEN})


async def test_parts_are_for_workers_whatever_the_role(closed: World) -> None:
    path = f"{parts.PATH}/order-windows?partitions=0"
    assert 401 == await status(closed, "GET", path, ADMIN)
    assert 409 == await status(closed, "GET", path, {"X-Cluster-Token": CLUSTER_TOKEN})


async def test_an_order_is_its_users_and_to_others_as_if_it_were_not(closed: World) -> None:
    for stored in (True, False):
        order_id = await ordered(closed, "bob", stored=stored)
        for path in (f"/orders/{order_id}", f"/sagas/{order_id}", f"/payments/{order_id}"):
            other = await closed.get(path, **ALICE, **PATIENT)
            unknown = await closed.get(path.replace(order_id, UNKNOWN), **ALICE, **PATIENT)

            assert (404, 404) == (other.status, unknown.status)
            said = [(await one.json(content_type=None))["detail"] for one in (other, unknown)]
            assert said[0].replace(order_id, UNKNOWN) == said[1]
        if stored:
            assert 200 == await status(closed, "GET", f"/orders/{order_id}", BOB)
            assert 200 == await status(closed, "GET", f"/sagas/{order_id}", BOB)
            assert 200 == await status(closed, "GET", f"/orders/{order_id}", OPERATOR)


async def test_a_payment_is_shown_to_who_has_placed_the_order(closed: World) -> None:
    order_id = await ordered(closed, "bob")
    paid = Payment(order_id, 1869, PaymentStatus.CHARGED, "t1", "p1")
    closed.database[repositories.PAYMENTS].put(order_id, **repositories.encode_payment(paid))

    for headers, expected in ((ALICE, 404), (BOB, 200), (OPERATOR, 200)):
        assert expected == await status(closed, "GET", f"/payments/{order_id}", headers)


async def test_whose_order_is_not_known_yet_is_shown_to_no_customer(closed: World) -> None:
    order_id = await ordered(closed, "bob", stored=False)
    closed.redis.values.clear()
    closed.redis.values[f"orderflow:accepted:{order_id}"] = b"{}"  # too large to be remembered
    assert closed.client.app is not None
    async with made_of(CLOSED) as elsewhere:  # which has not accepted it itself
        elsewhere.redis.values.update(closed.redis.values)
        for headers in (ALICE, BOB):
            assert 503 == await status(elsewhere, "GET", f"/sagas/{order_id}", headers)
            path = f"/orders/{order_id}/cancel"
            assert 503 == await status(elsewhere, "POST", path, headers)
        assert [] == elsewhere.log.events


async def test_only_its_user_and_operators_cancel_an_order(closed: World) -> None:
    order_id = await ordered(closed, "bob")
    path, before = f"/orders/{order_id}/cancel", len(closed.log.events)

    assert 404 == await status(closed, "POST", path, {**ALICE, **PATIENT})
    assert before == len(closed.log.events)
    assert 202 == await status(closed, "POST", path, BOB)
    assert 202 == await status(closed, "POST", path, OPERATOR)


async def test_nobody_orders_or_views_for_another(closed: World) -> None:
    body = BODY | {"userId": "bob"}
    for path, posted in (("/orders", body), ("/movies/m1/views", {"userId": "bob"})):
        response = await closed.client.post(path, json=posted, headers=ALICE)

        assert 403 == response.status
        assert "bob" in (await response.json())["detail"]
        assert [] == closed.log.events
        assert 202 == await status(closed, "POST", path, BOB, json=posted)
        assert 202 == await status(closed, "POST", path, OPERATOR, json=posted)
        closed.log.events.clear()


async def test_a_customers_list_has_its_own_orders_only(closed: World) -> None:
    bobs = await ordered(closed, "bob")
    alices = await ordered(closed, "alice")

    async def listed(query: str, headers: dict[str, str]) -> set[str]:
        response = await closed.client.get(f"/orders{query}", headers=headers)
        return {order["orderId"] for order in (await response.json())["orders"]}

    assert {alices} == await listed("", ALICE)
    assert {alices} == await listed("?userId=alice", ALICE)
    assert {bobs, alices} == await listed("", OPERATOR)
    assert {bobs} == await listed("?userId=bob", OPERATOR)
    assert 403 == await status(closed, "GET", "/orders?userId=bob", ALICE)


async def test_a_user_is_shown_to_itself(closed: World) -> None:
    bob = {"userId": "bob", "name": "Bob", "email": "bob@example.com"}
    assert 201 == await status(closed, "POST", "/users", ADMIN, json=bob)

    other = await closed.get("/users/bob", **ALICE)
    unknown = await closed.get("/users/nobody", **ALICE)

    assert (404, 404) == (other.status, unknown.status)
    assert (await other.json())["detail"] == (await unknown.json())["detail"]
    assert 200 == await status(closed, "GET", "/users/bob", BOB)
    assert 200 == await status(closed, "GET", "/users/bob", OPERATOR)


async def test_with_authentication_off_no_token_is_looked_at(world: World) -> None:
    for headers in ({}, bearer("nonsense"), ALICE, {"X-Auth-User": "x", "X-Auth-Role": "root"}):
        assert 202 == await status(world, "POST", "/orders", headers, json=BODY)
        assert 200 == await status(world, "GET", "/sagas", headers)
