"""What comes before a request is one, on a worker's own connections."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web

from app import connection
from app.connection import Bodies
from app.web import requests
from app.web.serving import serve_with
from tests.unit.web.conftest import World

LOOPBACK = "127.0.0.1"
WAIT_SECONDS = 60
PATIENCE_SECONDS = 0.05
# More than the kernel takes for a client that reads nothing.
LARGE_BYTES = 64 << 20


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[int]:
    """The port at which a worker serves the application."""
    driver = SimpleNamespace(web=SimpleNamespace(web_app=app, _runner=None))
    serve_with(driver, "worker-7")
    runner: web.AppRunner = driver.web._runner
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        yield site.port
    finally:
        await runner.cleanup()


async def raw(port: int, data: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    async with asyncio.timeout(WAIT_SECONDS):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\nAuthorization: Bearer secret\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"X-A: " + b"a" * 8000 + b"\r\n") * 5 + b"\r\n", 431),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: x\r\nConnection: close\r\n\r\n", 417),
    ],
)
async def test_what_the_application_never_sees_is_a_problem_too(
    data: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(web.Application()) as port:
        answer = await raw(port, data)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert status == json.loads(body)["status"] == int(answer.split()[1])
    assert b"application/problem+json" in head
    assert b"secret" not in answer
    assert [] == [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_large_bodies_have_so_much_room_together(monkeypatch: pytest.MonkeyPatch) -> None:
    size = connection.BODY_SMALL_BYTES + 1
    monkeypatch.setattr(Bodies.__init__, "__defaults__", (size,))
    go_on, read = asyncio.Event(), []

    async def hold(request: web.Request) -> web.StreamResponse:
        read.append(len(await request.read()))
        await go_on.wait()
        return web.Response()

    def post(size: int) -> bytes:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        return head % size + bytes(size)

    app = web.Application()
    app.router.add_post("/", hold)
    async with served(app) as port:
        first = asyncio.create_task(raw(port, post(size)))
        while not read:
            await asyncio.sleep(0)
        refused = await raw(port, post(size))
        small = asyncio.create_task(raw(port, post(10)))
        go_on.set()
        answers = [await first, await small, await raw(port, post(size))]

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in refused
    assert [b"HTTP/1.1 200 "] * 3 == [answer[:13] for answer in answers]
    assert [size, 10, size] == read


async def test_a_head_that_does_not_come_is_not_waited_for(world: World) -> None:
    limit = world.client.app._handler_args["keepalive_timeout"]
    assert connection.KEEPALIVE_SECONDS == limit
    app = web.Application(handler_args={"keepalive_timeout": PATIENCE_SECONDS})
    async with served(app) as port:
        assert b"" == await raw(port, b"GET / HTTP/1.1\r\nHost: x\r\n")


async def test_a_body_that_does_not_come_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", PATIENCE_SECONDS)
    head = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    reader, writer = await asyncio.open_connection(LOOPBACK, world.client.port)
    writer.write(head + b"Content-Length: 9\r\n\r\n{")
    async with asyncio.timeout(WAIT_SECONDS):
        assert b"HTTP/1.1 408 " in await reader.readline()
    writer.close()


async def test_a_client_that_reads_nothing_of_its_answer_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS", PATIENCE_SECONDS)
    gone = asyncio.Event()

    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await response.write(bytes(LARGE_BYTES))
        finally:
            gone.set()
        return response

    app = web.Application(handler_args={"handler_cancellation": True})
    app.router.add_get("/", large)
    async with served(app) as port:
        _, writer = await asyncio.open_connection(LOOPBACK, port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(WAIT_SECONDS):
            await gone.wait()
        writer.close()


class Transport(asyncio.Transport):
    """One whose client has left so much unread."""

    def __init__(self, unread: int) -> None:
        super().__init__()
        self.unread = unread
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.aborted = True


async def test_a_client_that_reads_slowly_is_not_let_go() -> None:
    client = connection.ClientConnection(web.Server(never), loop=asyncio.get_running_loop())
    slow, stuck = Transport(100), Transport(100)
    client._look(slow, unsent=101)
    client._watch_no_more()
    client._look(stuck, unsent=100)
    assert (False, True) == (slow.aborted, stuck.aborted)


async def never(_: web.BaseRequest) -> web.StreamResponse:
    raise NotImplementedError
