"""The gateway's own routes are described, and its documents handed out at both places."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import hdrs, web
from aiohttp.test_utils import TestClient, TestServer

from app.reference import EVENTS, GATEWAY
from app.settings import Settings
from app.web.openapi.worker import WORKER
from gateway.app import make_app
from gateway.dashboard import Dashboard as MadeDashboard
from gateway.openapi import OWN, Dashboard
from gateway.proxy import PREFIX
from tests.openapi import of_gateway


def made() -> web.Application:
    return make_app(Settings())


def test_every_own_route_is_described_and_nothing_else() -> None:
    found = {
        (route.method, resource.canonical.removeprefix(PREFIX))
        for resource in made().router.resources()
        if resource.canonical.startswith(PREFIX + "/") and "{" not in resource.canonical
        for route in resource
        if route.method not in (hdrs.METH_ANY, hdrs.METH_HEAD)
    }
    assert set(OWN) == found


def test_the_dashboard_is_described_as_it_is_made() -> None:
    assert set(MadeDashboard.model_fields) == set(Dashboard.model_fields)


def test_what_clients_may_ask_of_workers_is_described_too() -> None:
    described = {
        (method.upper(), path)
        for path, methods in of_gateway()["paths"].items()
        for method in methods
    }
    passed_on = {route for route, operation in WORKER.items() if not operation.internal}
    assert passed_on | set(OWN) == described


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Without anything behind it: nothing here needs a worker or Redis."""
    app = made()
    app.cleanup_ctx.clear()
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("prefix", ["", PREFIX])
async def test_the_documents_are_handed_out_at_the_root_and_under_the_api(
    client: TestClient[web.Request, web.Application], prefix: str
) -> None:
    for name, file in (("openapi.json", GATEWAY), ("asyncapi.json", EVENTS)):
        answer = await client.get(f"{prefix}/{name}")
        assert (200, file.read_bytes()) == (answer.status, await answer.read())

    page = await client.get(f"{prefix}/docs")
    text = await page.text()
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert 'href="openapi.json"' in text
    assert all(operation.name in text for operation in OWN.values())
