import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import ClientConnectorError, ClientError, ClientSession, web

from gateway.server import nobody_waits
from tests.integration.gateway.servers import LOOPBACK, free_port_url, gateway, upstream

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).parents[3]
WAIT_SECONDS = 20.0
POLL_SECONDS = 0.02
# By when also a busy machine has a new connection taken.
LEAVE_SECONDS = 2.0
LAST_REQUEST_SECONDS = 5.0


@contextlib.asynccontextmanager
async def process(module: str, **environment: str) -> AsyncIterator[Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        # Reads the pipes to their end too, so that their transports close.
        await started.communicate()


@contextlib.asynccontextmanager
async def worker() -> AsyncIterator[tuple[Process, str]]:
    async with process("tests.integration.gateway.worker_process") as started:
        assert started.stdout is not None
        async with asyncio.timeout(WAIT_SECONDS):
            port = int(await started.stdout.readline())
        yield started, f"http://{LOOPBACK}:{port}"


@contextlib.asynccontextmanager
async def gateway_process(*workers: str) -> AsyncIterator[tuple[Process, ClientSession]]:
    url = free_port_url()
    async with (
        process(
            "gateway",
            GATEWAY_PORT=url.rpartition(":")[2],
            GATEWAY_WORKERS=",".join(workers),
            GATEWAY_HEALTH_INTERVAL_SECONDS="0.1",
        ) as started,
        ClientSession(url) as client,
    ):
        async with asyncio.timeout(WAIT_SECONDS):
            while not await answers(client, "/readyz"):
                assert started.returncode is None
                await asyncio.sleep(POLL_SECONDS)
        yield started, client


async def answers(client: ClientSession, path: str) -> bool:
    try:
        async with client.get(path) as answer:
            return answer.status == 200
    except ClientConnectorError:
        return False


async def test_requests_go_on_when_a_worker_is_killed() -> None:
    async with (
        worker() as (_, one),
        worker() as (doomed, two),
        gateway_process(one, two) as (_, client),
    ):
        statuses = []
        for number in range(200):
            if number == 50:
                doomed.kill()
            headers = {"Idempotency-Key": f"k{number}"}
            async with client.post("/api/orders", data=b"{}", headers=headers) as answer:
                statuses.append(answer.status)
        assert [200] * 200 == statuses


async def test_sigterm_refuses_new_requests_finishes_those_in_flight_and_ends() -> None:
    async with (
        worker() as (_, url),
        gateway_process(url) as (started, client),
        ClientSession(url) as direct,
    ):
        in_flight = asyncio.create_task(client.get("/api/slow"))
        assert await answers(direct, "/begun")
        started.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_SECONDS):
            while await accepts(str(client._base_url)):
                await asyncio.sleep(POLL_SECONDS)
        assert not in_flight.done()
        assert await answers(direct, "/release")
        async with await in_flight as answer:
            assert (200, "done") == (answer.status, await answer.text())
        async with asyncio.timeout(WAIT_SECONDS):
            assert 0 == await started.wait()


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_a_request_that_waits_to_be_taken_when_the_gateway_listens_no_more_is_answered(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    run(late_request())


async def late_request() -> None:
    async with upstream() as worker, gateway(worker) as front:
        (site,) = front.runner.sites
        assert isinstance(site, web.TCPSite)
        await front.client.close()
        # The kernel has taken it, our loop can't have: it has not run since.
        with socket.create_connection((LOOPBACK, front.port), WAIT_SECONDS) as late:
            late.sendall(b"POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            await nobody_waits(site)
            await site.stop()
            answer = await asyncio.to_thread(late.recv, 65536)
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_gateway_that_leaves_serves_on_then_listens_no_more_then_answers_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A busy machine takes longer to find out that nobody listens any more.
    monkeypatch.setattr("gateway.server.LAST_REQUEST_SECONDS", LAST_REQUEST_SECONDS)
    async with upstream() as worker, gateway(worker) as front, contextlib.AsyncExitStack() as stack:
        (site,) = front.runner.sites
        assert isinstance(site, web.TCPSite)
        url = f"http://{LOOPBACK}:{front.port}/"
        reader, writer = await asyncio.open_connection(LOOPBACK, front.port)
        stack.callback(writer.close)
        leaving = asyncio.create_task(front.runner.leave(site, LEAVE_SECONDS))
        await asyncio.sleep(0)
        assert await accepts(url)
        async with asyncio.timeout(WAIT_SECONDS):
            while await accepts(url):
                await asyncio.sleep(POLL_SECONDS)
            # A balancer that kept its connection, and sends on it still.
            assert not leaving.done()
            writer.write(b"GET /api/orders HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close\r\n" in answer
        await leaving


async def accepts(url: str) -> bool:
    """Whether a new connection is taken."""
    try:
        async with ClientSession() as fresh, fresh.get(url + "livez"):
            return True
    except ClientError:
        return False


async def test_an_endless_stream_is_cut_when_the_time_for_draining_is_over() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await asyncio.Event().wait()
        return response

    async with (
        upstream(answer=endless) as stream,
        gateway(stream, drain_seconds=0.1) as front,
        front.client.get("/api/analytics/stream") as answer,
    ):
        await answer.content.readany()
        async with asyncio.timeout(WAIT_SECONDS):
            await front.runner.cleanup()
        with pytest.raises((ClientError, ConnectionError)):
            await answer.content.read()


@pytest.mark.parametrize(
    "environment", [{"GATEWAY_WORKERS": "nonsense"}, {"GATEWAY_PORT": "0"}], ids=str
)
async def test_settings_that_can_not_be_used_end_it_at_once_with_a_reason(
    environment: dict[str, str],
) -> None:
    async with process("gateway", **environment) as started, asyncio.timeout(WAIT_SECONDS):
        _, said = await started.communicate()
        assert 2 == started.returncode
        assert next(iter(environment)).lower().encode() in said.lower()
        assert b"Traceback" not in said


async def test_a_port_that_is_taken_ends_it_with_a_reason() -> None:
    async with upstream() as holder:
        environment = {"GATEWAY_PORT": str(holder.port), "GATEWAY_WORKERS": holder.url}
        async with process("gateway", **environment) as started, asyncio.timeout(WAIT_SECONDS):
            _, said = await started.communicate()
            assert 1 == started.returncode
            last = json.loads(said.splitlines()[-1])
            assert ("can't listen", "error") == (last["event"], last["level"])


async def test_only_failures_are_logged_one_line_each() -> None:
    async with worker() as (doomed, url), gateway_process(url) as (started, client):
        for _ in range(20):
            assert await answers(client, "/api/orders")
        doomed.kill()
        await doomed.wait()
        async with client.post("/api/orders", headers={"X-Trace-Id": "t-1"}) as answer:
            failed = answer.status
        assert failed in {502, 503}
        started.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_SECONDS):
            _, said = await started.communicate()
        lines = [json.loads(line) for line in said.splitlines()]
        assert {"listening", "stopping"} <= {line["event"] for line in lines}
        about_requests = [line for line in lines if "path" in line]
        assert 1 == len(about_requests)
        expected = ("request failed", "POST", "/api/orders", failed, "t-1")
        line = about_requests[0]
        assert expected == tuple(
            line[name] for name in ("event", "method", "path", "status", "client_trace_id")
        )
