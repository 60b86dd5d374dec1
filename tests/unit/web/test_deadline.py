"""`X-Request-Timeout`: no answer later than whoever asks will wait."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from app.web.deadline import begun, in_time
from app.web.middleware import answered
from tests.unit.web.conftest import World
from tests.unit.web.fakes import until

LIMIT = {"X-Request-Timeout": "0.05"}


async def test_a_request_whose_time_is_up_is_a_504_and_what_it_began_goes_on(world: World) -> None:
    world.log.open.clear()
    # By when also a busy machine has given the event to the log.
    response = await world.post(X_Request_Timeout="0.5")
    problem = await response.json(content_type="application/problem+json")
    assert (504, 504) == (response.status, problem["status"])
    assert "may still be done" in problem["detail"]
    world.log.open.set()
    await until(lambda: world.log.events != [])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time to answer, also on a busy machine."""
    monkeypatch.setattr("app.web.deadline.ANSWER_SECONDS", 30.0)


@pytest.mark.usefixtures("patient")
async def test_a_wait_ends_before_the_requests_time_does(world: World) -> None:
    response = await world.post(X_Request_Timeout="30.2", Prefer="wait=60")
    assert (202, "PENDING") == (response.status, (await response.json())["status"])


@pytest.mark.usefixtures("patient")
async def test_without_time_to_wait_there_is_no_wait(world: World) -> None:
    response = await world.post(X_Request_Timeout="30", Prefer="wait=60")
    assert 202 == response.status
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize("limit", ["", "-1", "soon", "1e9", "1" * 10])
async def test_a_limit_that_is_no_number_of_seconds_is_a_bad_request(
    world: World, limit: str
) -> None:
    response = await world.post(X_Request_Timeout=limit)
    problem = await response.json(content_type="application/problem+json")
    assert (400, "urn:orderflow:problem:bad-request-timeout") == (
        response.status,
        problem["type"],
    )
    assert [] == world.log.events


async def late(_request: web.Request) -> web.StreamResponse:
    raise TimeoutError


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    ends = loop.time() + 2 * float(LIMIT["X-Request-Timeout"])
    while loop.time() < ends:
        await response.write(b".")
        await asyncio.sleep(0.01)
    await response.write(b"end")
    return response


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = web.Application(middlewares=[answered, in_time])
    app.on_response_prepare.append(begun)
    app.router.add_get("/late", late)
    app.router.add_get("/stream", stream)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_an_answer_that_has_begun_goes_on_beyond_the_limit(url: str) -> None:
    async with ClientSession() as client, client.get(url + "stream", headers=LIMIT) as answer:
        assert (await answer.read()).endswith(b"end")


async def test_another_limit_that_is_over_is_not_taken_for_the_requests(url: str) -> None:
    headers = {"X-Request-Timeout": "60"}
    async with ClientSession() as client, client.get(url + "late", headers=headers) as answer:
        assert 500 == answer.status
