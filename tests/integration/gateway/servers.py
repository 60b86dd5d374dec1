"""Real servers for the gateway's tests: workers that do as told, and the gateway itself."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, DummyCookieJar, web
from multidict import CIMultiDict

from app.settings import Settings
from gateway.app import make_app
from gateway.keys import WORKERS
from gateway.openapi import OWN
from gateway.proxy import PREFIX
from gateway.server import GatewayRunner, nobody_connects, nobody_waits
from gateway.workers import Worker
from tests.openapi import Reference, of_gateway

LOOPBACK = "127.0.0.1"
# Nobody listens there: the gateway does without, unless a test has one.
NO_REDIS = f"redis://{LOOPBACK}:1/0"
WAIT_SECONDS = 10.0
POLL_SECONDS = 0.005
# Between checks, where a test is about what happens between two.
SELDOM_SECONDS = 600.0

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the condition to hold."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Seen:
    """A request as a worker got it."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes


async def plain(request: web.Request) -> web.StreamResponse:
    return web.json_response({"target": request.raw_path})


@dataclass
class Upstream:
    """A worker: `answer` says what it does with a request, `livez` and `readyz` how it feels."""

    answer: Answer = plain
    livez: int = 200
    readyz: int = 200
    name: str = "worker-1"
    host: str = LOOPBACK
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    checks: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=0)
        app.router.add_get("/livez", self._livez)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            auto_decompress=False,
            shutdown_timeout=0.05,
        )
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, self.host, self.port)
        await self._site.start()
        self.port = self._site.port

    async def stop(self) -> None:
        # A health check may have begun to connect when the gateway before it was cleaned up.
        await nobody_waits(self._site)
        await self._runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.StreamResponse:
        self.checks += 1
        return web.Response(status=self.livez)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(Seen(request.method, request.raw_path, request.headers.copy(), body))
        if request.path == "/readyz":
            return web.Response(status=self.readyz)
        response = await self.answer(request)
        response.headers.setdefault("X-Instance-Id", self.name)
        return response


@contextlib.asynccontextmanager
async def upstream(**options: Any) -> AsyncIterator[Upstream]:
    server = Upstream(**options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@dataclass
class Raw:
    """A worker that answers what no HTTP library would: `reply`, and then it closes."""

    reply: bytes = b""
    port: int = 0
    seen: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /livez "):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                self.seen.append(head)
                writer.write(self.reply)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def raw_upstream(reply: bytes = b"") -> AsyncIterator[Raw]:
    raw = Raw(reply)
    server = await asyncio.start_server(raw.handle, LOOPBACK, 0)
    raw.port = server.sockets[0].getsockname()[1]
    async with server:
        yield raw
        # As of an `Upstream`.
        await nobody_connects(server.sockets)


@dataclass
class Gateway:
    """The gateway, and a client that adds nothing of its own."""

    port: int
    app: web.Application
    runner: GatewayRunner
    client: ClientSession

    @property
    def workers(self) -> list[Worker]:
        workers = self.app[WORKERS]
        return list(workers)

    @property
    def live(self) -> int:
        return self.app[WORKERS].live

    async def raw(self, request: bytes) -> bytes:
        """What comes back for these very bytes until the gateway closes the connection."""
        async with asyncio.timeout(WAIT_SECONDS):
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
            try:
                writer.write(request)
                return await reader.read()
            finally:
                writer.close()

    async def metric(self, line: str) -> float:
        """The value of the sample that begins with `line`; 0 where there is none."""
        async with self.client.get("/metrics") as answer:
            for sample in (await answer.text()).splitlines():
                if sample.startswith(line):
                    return float(sample.rpartition(" ")[2])
        return 0.0


@contextlib.asynccontextmanager
async def gateway(
    *workers: Upstream | Raw | str, drain_seconds: float = 0.5, **fields: Any
) -> AsyncIterator[Gateway]:
    """A gateway before these workers; `fields` are settings."""
    urls = [worker if isinstance(worker, str) else worker.url for worker in workers]
    chosen = Settings(
        **{
            "gateway_workers": ",".join(urls),
            "redis_url": NO_REDIS,
            "gateway_health_interval_seconds": 0.05,
            "gateway_connect_timeout_seconds": 1.0,
            "gateway_timeout_seconds": WAIT_SECONDS,
            **fields,
        }
    )
    app, reference = make_app(chosen), Reference(of_gateway(), prefix=PREFIX)
    # What it passes on, whole or in parts, are a test's answers, not the API's.
    own = OWN.keys() - {("POST", "/pay"), ("GET", "/dashboard")}
    app.on_response_prepare.append(reference.noted_of(own))
    runner = GatewayRunner(app, drain_seconds=drain_seconds)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        async with ClientSession(
            f"http://{LOOPBACK}:{site.port}",
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as client:
            yield Gateway(site.port, runner.app, runner, client)
        # Nor is a connection left behind of a request that the test gave up.
        await nobody_waits(site)
    finally:
        await runner.cleanup()
    assert [] == reference.faults


def free_port_url() -> str:
    """An address at which nobody listens."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        return f"http://{LOOPBACK}:{held.getsockname()[1]}"
