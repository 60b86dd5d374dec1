"""Who may ask the gateway for what, and whom the worker hears of."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
import pytest_asyncio

from app.identity.passing import HEADERS
from tests.integration.gateway.servers import Gateway, Upstream, gateway, upstream
from tests.unit.identity.tokens import CLUSTER_TOKEN, SECRET, by_hand, claims, signed

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]

KEYS = {"auth_secret": SECRET, "cluster_token": CLUSTER_TOKEN}
# What somebody would send who takes the worker's trust for himself.
FORGED = {"X-Cluster-Token": CLUSTER_TOKEN[:-1], "X-Auth-User": "bob", "x-auth-role": "admin"}
OPEN = ["/", "/livez", "/readyz", "/metrics", "/api/livez", "/api/readyz", "/api/metrics"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def of(role: str, user: str = "alice") -> dict[str, str]:
    return bearer(signed(sub=user, role=role))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker() -> AsyncIterator[Upstream]:
    async with upstream() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def closed(worker: Upstream) -> AsyncIterator[Gateway]:
    """AUTH=on."""
    async with gateway(worker, auth="on", **KEYS) as front:
        yield front


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(worker: Upstream) -> AsyncIterator[Gateway]:
    """AUTH=off, with keys."""
    async with gateway(worker, auth="off", **KEYS) as front:
        yield front


@pytest.fixture(autouse=True)
def _nothing_seen(worker: Upstream) -> None:
    worker.seen.clear()


async def status(front: Gateway, method: str, path: str, headers: Any = None) -> int:
    async with front.client.request(method, path, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize("path", OPEN)
async def test_health_and_metrics_need_no_token(closed: Gateway, path: str) -> None:
    assert 200 == await status(closed, "GET", path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/orders"),
        ("POST", "/api/orders"),
        ("GET", "/api/dashboard"),
        ("GET", "/api/count"),
        ("GET", "/api/secure"),
        ("GET", "/api/no-such-thing"),
        ("DELETE", "/api/livez/x"),
        ("GET", "/api"),
        ("GET", "/nowhere"),
    ],
)
async def test_everything_else_does(
    closed: Gateway, worker: Upstream, method: str, path: str
) -> None:
    async with closed.client.request(method, path) as answer:
        assert 401 == answer.status
        assert 'Bearer realm="orderflow"' == answer.headers["WWW-Authenticate"]
        assert "application/problem+json" == answer.content_type
        assert "Authorization: Bearer" in (await answer.json(content_type=None))["detail"]
    assert [] == worker.seen


@pytest.mark.parametrize(
    "token",
    [
        lambda: signed("another secret that nobody has set"),
        lambda: signed(exp=int(time.time()) - 60),
        lambda: jwt.encode(claims(), "", algorithm="none"),
        lambda: by_hand({"alg": "HS256"}, b"[" * 2500, SECRET.encode()),
        lambda: signed(padding="x" * 4096),
        lambda: "demo-token",
        lambda: "",
    ],
)
async def test_a_token_that_is_not_valid_is_refused_and_reaches_nobody(
    closed: Gateway, worker: Upstream, token: Callable[[], str]
) -> None:
    async with closed.client.get("/api/orders", headers=bearer(token())) as answer:
        assert 401 == answer.status
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert "application/problem+json" == answer.content_type
    assert [] == worker.seen


async def test_the_worker_hears_whom_the_gateway_has_verified(
    closed: Gateway, worker: Upstream
) -> None:
    headers = {**of("customer", "ünï/1"), **FORGED}
    assert 200 == await status(closed, "GET", "/api/orders", headers)

    heard = worker.seen[-1].headers
    assert [CLUSTER_TOKEN] == heard.getall("X-Cluster-Token")
    assert ["%C3%BCn%C3%AF%2F1"] == heard.getall("X-Auth-User")
    assert ["customer"] == heard.getall("X-Auth-Role")


@pytest.mark.parametrize(
    ("role", "method", "path", "expected"),
    [
        ("customer", "GET", "/api/orders", 200),
        ("customer", "GET", "/api/inventory", 200),
        ("customer", "GET", "/api/no-such-thing", 200),
        ("customer", "GET", "/api/sagas", 403),
        ("customer", "GET", "/api/analytics/stream", 403),
        ("customer", "GET", "/api/breakers", 403),
        ("customer", "GET", "/api/blocking", 403),
        ("customer", "PUT", "/api/%69nventory/x", 403),
        ("operator", "GET", "/api/sagas", 200),
        ("operator", "GET", "/api/breakers", 200),
        ("operator", "PUT", "/api/inventory/x", 403),
        ("operator", "POST", "/api/dlq/order.events.v1.dlq/replay", 200),
        ("admin", "PUT", "/api/inventory/x", 200),
    ],
)
async def test_a_role_opens_what_it_is_for(
    closed: Gateway, worker: Upstream, role: str, method: str, path: str, expected: int
) -> None:
    async with closed.client.request(method, path, headers=of(role)) as answer:
        assert expected == answer.status
        if expected == 403:
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
            assert "application/problem+json" == answer.content_type
            assert [] == worker.seen


@pytest.mark.parametrize("headers", [{}, bearer("demo-token"), bearer("nonsense")])
async def test_with_authentication_off_all_is_open_and_nobody_is_passed_on(
    opened: Gateway, worker: Upstream, headers: dict[str, str]
) -> None:
    assert 200 == await status(opened, "PUT", "/api/inventory/x", {**headers, **FORGED})
    assert set() == {name for name in HEADERS if name in worker.seen[-1].headers}


async def test_with_authentication_off_a_valid_token_still_says_who_asks(
    opened: Gateway, worker: Upstream
) -> None:
    assert 200 == await status(opened, "GET", "/api/orders", of("customer"))
    assert "alice" == worker.seen[-1].headers["X-Auth-User"]


async def test_secure_takes_a_valid_token_and_says_whose_it_is(
    opened: Gateway, closed: Gateway
) -> None:
    for front in (opened, closed):
        async with front.client.get("/api/secure", headers=of("operator")) as answer:
            assert 200 == answer.status
            found = await answer.json()
            assert ("alice", "operator") == (found["userId"], found["role"])


async def test_secure_refuses_an_expired_token_also_with_authentication_off(
    opened: Gateway,
) -> None:
    expired = bearer(signed(exp=int(time.time()) - 60))
    async with opened.client.get("/api/secure", headers=expired) as answer:
        assert 401 == answer.status
        assert "The token has expired." == (await answer.json(content_type=None))["detail"]


async def test_the_demo_token_is_for_development(worker: Upstream, closed: Gateway) -> None:
    assert 401 == await status(closed, "GET", "/api/secure", bearer("demo-token"))
    async with gateway(worker, auth="on", auth_development="on", **KEYS) as front:
        assert 200 == await status(front, "GET", "/api/secure", bearer("demo-token"))
        assert 401 == await status(front, "GET", "/api/orders", bearer("demo-token"))
        async with front.client.post("/api/token", json={"userId": "alice"}) as answer:
            token = (await answer.json())["token"]
        assert 200 == await status(front, "GET", "/api/orders", bearer(token))


async def test_tokens_are_given_out_in_development(opened: Gateway, closed: Gateway) -> None:
    asked = {"userId": "alice", "role": "admin"}
    async with opened.client.post("/api/token", json=asked) as answer:
        assert (200, "no-store") == (answer.status, answer.headers["Cache-Control"])
        given = await answer.json()
    assert {
        "token": given["token"],
        "userId": "alice",
        "role": "admin",
        "expiresIn": 3600,
        "access_token": given["token"],
        "token_type": "Bearer",
        "expires_in": 3600,
    } == given
    assert 200 == await status(closed, "PUT", "/api/inventory/x", bearer(given["token"]))


async def test_no_tokens_are_given_out_elsewhere(worker: Upstream, closed: Gateway) -> None:
    asked = {"userId": "alice"}
    async with closed.client.post("/api/token", json=asked) as answer:
        assert 404 == answer.status
        assert "AUTH_DEVELOPMENT" in (await answer.json(content_type=None))["detail"]
    async with (
        gateway(worker, auth="off") as front,  # nothing to sign with
        front.client.post("/api/token", json=asked) as answer,
    ):
        assert 404 == answer.status
        assert "AUTH_SECRET" in (await answer.json(content_type=None))["detail"]


@pytest.mark.parametrize(
    ("body", "expected", "named"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[" * 4000, 400, None),
        (b'{"userId": "a"' + b" " * 4096 + b"}", 413, None),
        (b"[]", 422, "body"),
        (b"{}", 422, "userId"),
        (b'{"userId": ""}', 422, "userId"),
        (b'{"userId": 7}', 422, "userId"),
        (b'{"userId": "a\\nb"}', 422, "userId"),
        (b'{"userId": "a", "role": "root"}', 422, "role"),
        (b'{"userId": "a", "role": null}', 422, "role"),
        (b'{"userId": "a", "seconds": 9}', 422, "seconds"),
    ],
)
async def test_what_is_wrong_with_asking_for_a_token_is_named(
    opened: Gateway, body: bytes, expected: int, named: str | None
) -> None:
    async with opened.client.post("/api/token", data=body) as answer:
        assert expected == answer.status
        assert "application/problem+json" == answer.content_type
        problem = await answer.json(content_type=None)
    assert named is None or named == problem["errors"][0]["field"]


async def test_a_token_can_only_be_asked_for_by_post(opened: Gateway) -> None:
    async with opened.client.get("/api/token") as answer:
        assert (405, "POST") == (answer.status, answer.headers["Allow"])


async def test_while_keys_cant_be_had_the_client_is_told_to_come_back(worker: Upstream) -> None:
    away = "http://127.0.0.1:9/jwks.json"  # the port of `discard`, where nobody listens
    async with (
        gateway(worker, auth="on", auth_jwks_url=away, cluster_token=CLUSTER_TOKEN) as front,
        front.client.get(
            "/api/orders", headers=bearer(by_hand({"alg": "RS256", "kid": "x"}, claims()))
        ) as answer,
    ):
        assert (503, "5") == (answer.status, answer.headers["Retry-After"])
