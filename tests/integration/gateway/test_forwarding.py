import asyncio
import gzip

import pytest
from aiohttp import ClientPayloadError, web
from yarl import URL

from gateway import proxy
from tests.integration.gateway.servers import gateway, raw_upstream, until, upstream

pytestmark = pytest.mark.timeout(30)

LIMIT = 2048


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("/api/orders", "/orders"),
        ("/api/orders/", "/orders/"),
        ("/api", "/"),
        ("/api/", "/"),
        ("/api/api/orders", "/api/orders"),
        ("/api/a%2Fb%20c%C3%A9/%7E", "/a%2Fb%20c%C3%A9/%7E"),
        ("/api//double", "//double"),
    ],
)
async def test_the_prefix_is_taken_away_and_the_rest_passes_as_written(
    asked: str, expected: str
) -> None:
    async with upstream() as worker, gateway(worker) as front:
        async with front.client.get(URL(asked, encoded=True)) as answer:
            assert 200 == answer.status
        assert expected == worker.seen[0].target
        assert "/api" == worker.seen[0].headers["X-Forwarded-Prefix"]


@pytest.mark.parametrize(
    "query",
    ["a=%20b+c&&d=%2f%2F&e", "=&=", "x=1%2", "q=%C3%A9&q=%ff", "a=b?c=d/e", "z=1&a=2&z=3", "a;b,c"],
)
async def test_the_query_string_reaches_the_worker_byte_for_byte(query: str) -> None:
    async with upstream() as worker, gateway(worker) as front:
        request = f"GET /api/orders?{query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        assert (await front.raw(request.encode())).startswith(b"HTTP/1.1 200 ")
        assert f"/orders?{query}" == worker.seen[0].target


async def test_a_target_that_names_the_host_is_taken_as_well() -> None:
    async with upstream() as worker, gateway(worker) as front:
        request = b"GET http://h/api/orders?a=b/c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        assert b"200" == (await front.raw(request)).split(b" ", 2)[1]
        assert "/orders?a=b/c" == worker.seen[0].target


async def test_bytes_that_no_url_may_have_are_refused() -> None:
    async with upstream() as worker, gateway(worker) as front:
        request = b"GET /api/orders?q=\xff HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        assert b"400" == (await front.raw(request)).split(b" ", 2)[1]
        assert [] == worker.seen


async def test_the_worker_learns_the_clients_address_protocol_and_host() -> None:
    async with upstream() as worker, gateway(worker) as front:
        await front.client.get("/api/orders", headers={"Host": "shop.example"})
        headers = worker.seen[0].headers
        assert "127.0.0.1" == headers["X-Forwarded-For"]
        assert "http" == headers["X-Forwarded-Proto"]
        assert "shop.example" == headers["X-Forwarded-Host"]
        assert worker.url == f"http://{headers['Host']}"
        assert "1.1 gateway-1" == headers["Via"]


async def test_what_a_proxy_in_front_has_said_is_kept() -> None:
    async with upstream() as worker, gateway(worker) as front:
        said = {
            "X-Forwarded-For": "203.0.113.7",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "shop.example",
        }
        await front.client.get("/api/orders", headers=said)
        headers = worker.seen[0].headers
        assert "203.0.113.7, 127.0.0.1" == headers["X-Forwarded-For"]
        assert "https" == headers["X-Forwarded-Proto"]
        assert "shop.example" == headers["X-Forwarded-Host"]


async def test_hop_by_hop_headers_of_the_client_do_not_reach_the_worker() -> None:
    async with upstream() as worker, gateway(worker) as front:
        request = (
            b"GET /api/orders HTTP/1.1\r\nHost: h\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
            b"Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Authorization: Basic eA==\r\n"
            b"Upgrade: h2c\r\nX-Other: 2\r\n\r\n"
        )
        assert (await front.raw(request)).startswith(b"HTTP/1.1 200 ")
        headers = worker.seen[0].headers
        away = {"Connection", "X-Mine", "Keep-Alive", "TE", "Proxy-Authorization", "Upgrade"}
        assert set() == {name for name in away if name in headers}
        assert "2" == headers["X-Other"]


async def test_hop_by_hop_headers_of_the_worker_do_not_reach_the_client() -> None:
    reply = (
        b"HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: Basic\r\nX-Other: 2\r\nContent-Length: 2\r\n\r\nok"
    )
    async with (
        raw_upstream(reply) as worker,
        gateway(worker) as front,
        front.client.get("/api/orders") as answer,
    ):
        assert b"ok" == await answer.read()
        away = {"Connection", "X-Mine", "Keep-Alive", "Proxy-Authenticate"}
        assert set() == {name for name in away if name in answer.headers}
        assert "2" == answer.headers["X-Other"]


async def test_nothing_is_said_in_the_clients_name() -> None:
    async with upstream() as worker, gateway(worker) as front:
        await front.client.post("/api/orders", data=b"x")
        headers = worker.seen[0].headers
        invented = {"User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Cookie"}
        assert set() == {name for name in invented if name in headers}


async def test_status_reason_headers_and_body_pass_unchanged() -> None:
    body = gzip.compress(b"hello " * 100)

    async def answer(_request: web.Request) -> web.StreamResponse:
        response = web.Response(status=418, reason="Short And Stout", body=body)
        response.headers.update({"Content-Encoding": "gzip", "ETag": '"x"', "Server": "tea"})
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2; Path=/")
        return response

    async with upstream(answer=answer) as worker, gateway(worker) as front:
        async with front.client.get("/api/tea") as got:
            assert (418, "Short And Stout") == (got.status, got.reason)
            assert body == await got.read()
            assert str(len(body)) == got.headers["Content-Length"]
            assert ["a=1", "b=2; Path=/"] == got.headers.getall("Set-Cookie")
            assert ("gzip", '"x"', "tea") == tuple(
                got.headers[name] for name in ("Content-Encoding", "ETag", "Server")
            )
        # Nor does the gateway keep one client's cookies for the next.
        await front.client.get("/api/tea")
        assert "Cookie" not in worker.seen[1].headers


async def test_a_problem_of_the_worker_passes_unchanged() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=422, body=b"{}", content_type="application/problem+json")

    async with (
        upstream(answer=answer) as worker,
        gateway(worker) as front,
        front.client.get("/api/orders") as got,
    ):
        assert (422, b"{}") == (got.status, await got.read())


async def test_a_redirect_goes_to_the_client_and_is_not_followed() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with upstream(answer=answer) as worker, gateway(worker) as front:
        async with front.client.get("/api/orders", allow_redirects=False) as got:
            assert (307, "/elsewhere") == (got.status, got.headers["Location"])
        assert 1 == len(worker.seen)


async def test_head_tells_the_length_and_has_no_body() -> None:
    async with (
        upstream() as worker,
        gateway(worker) as front,
        front.client.head("/api/orders") as got,
    ):
        assert 200 == got.status
        assert "21" == got.headers["Content-Length"]
        assert b"" == await got.read()


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_passes(status: int) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with upstream(answer=answer) as worker, gateway(worker) as front:
        for _ in range(2):
            async with front.client.get("/api/orders") as got:
                assert (status, b"") == (got.status, await got.read())


async def test_a_body_up_to_the_limit_reaches_the_worker_whole() -> None:
    async with upstream() as worker, gateway(worker, body_max_bytes=LIMIT) as front:
        body = bytes(range(256)) * (LIMIT // 256)
        async with front.client.post("/api/orders", data=body) as answer:
            assert 200 == answer.status
        assert body == worker.seen[0].body


async def test_a_compressed_body_passes_as_it_is() -> None:
    async with upstream() as worker, gateway(worker) as front:
        body = gzip.compress(b"{}")
        await front.client.post("/api/orders", data=body, headers={"Content-Encoding": "gzip"})
        assert body == worker.seen[0].body
        assert "gzip" == worker.seen[0].headers["Content-Encoding"]


async def test_a_body_that_says_it_is_too_large_is_refused_unread() -> None:
    async with upstream() as worker, gateway(worker, body_max_bytes=LIMIT) as front:
        async with front.client.post("/api/orders", data=bytes(LIMIT + 1)) as answer:
            assert 413 == answer.status
            assert "application/problem+json" == answer.content_type
            assert str(LIMIT) in (await answer.json(content_type=None))["detail"]
        assert [] == worker.seen


async def test_a_body_that_turns_out_too_large_is_refused() -> None:
    async def chunks() -> object:
        for _ in range(4):
            yield bytes(LIMIT // 2)

    async with upstream() as worker, gateway(worker, body_max_bytes=LIMIT) as front:
        async with front.client.post("/api/orders", data=chunks()) as answer:
            assert 413 == answer.status
            assert "application/problem+json" == answer.content_type
        assert [] == worker.seen


async def test_a_body_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy, "BODY_SECONDS", 0.05)
    monkeypatch.setattr("gateway.server.OPTIONS", {"access_log": None, "lingering_time": 0.05})
    async with upstream() as worker, gateway(worker) as front:
        request = b"POST /api/orders HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nslow"
        answer = await front.raw(request)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        assert [] == worker.seen


async def test_a_head_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.server.OPTIONS", {"access_log": None, "keepalive_timeout": 0.05})
    async with upstream() as worker, gateway(worker) as front:
        assert b"" == await front.raw(b"GET /api/orders HTTP/1.1\r\nHost: h\r\n")


async def test_a_streamed_answer_reaches_the_client_as_it_comes() -> None:
    go_on = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await go_on.wait()
        await response.write(b"data: 2\n\n")
        return response

    async with (
        upstream(answer=answer) as worker,
        gateway(worker) as front,
        front.client.get("/api/analytics/stream") as got,
    ):
        assert b"data: 1\n\n" == await got.content.readany()
        assert "text/event-stream" == got.content_type
        go_on.set()
        assert b"data: 2\n\n" == await got.content.read()


async def test_a_stream_may_last_longer_than_the_time_limit_for_an_answer() -> None:
    limit = 1.0  # by when also a busy machine has the answer's head

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + 2 * limit:
            await response.write(b".")
            await asyncio.sleep(limit / 10)
        await response.write(b"end")
        return response

    async with (
        upstream(answer=answer) as worker,
        gateway(worker, gateway_timeout_seconds=limit) as front,
        front.client.get("/api/analytics/stream") as got,
    ):
        assert (await got.read()).endswith(b"end")


@pytest.mark.parametrize(
    "head", [b"Content-Length: 100\r\n\r\npart", b"Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"]
)
async def test_an_answer_that_breaks_off_breaks_off_at_the_client(head: bytes) -> None:
    async with (
        raw_upstream(b"HTTP/1.1 200 OK\r\n" + head) as worker,
        gateway(worker) as front,
    ):
        with pytest.raises((ClientPayloadError, ConnectionError)):
            async with front.client.get("/api/orders") as got:
                await got.read()
        assert 0 == front.workers[0].outstanding


async def test_a_client_that_leaves_cancels_the_workers_work() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def answer(_request: web.Request) -> web.StreamResponse:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return web.Response()

    async with upstream(answer=answer) as worker, gateway(worker) as front:
        call = asyncio.create_task(front.client.get("/api/orders/1"))
        await began.wait()
        assert 1 == front.workers[0].outstanding
        call.cancel()
        await until(cancelled.is_set)
        await until(lambda: front.workers[0].outstanding == 0)
        gone = 'http_requests_total{method="GET",path="/api/orders",service="gateway",status="499"}'
        assert 1 == await front.metric(gone)


async def test_a_client_that_leaves_a_stream_cancels_the_workers_work() -> None:
    cancelled = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return response

    async with upstream(answer=answer) as worker, gateway(worker) as front:
        async with front.client.get("/api/analytics/stream") as got:
            await got.content.readany()
            got.close()
        await until(cancelled.is_set)
        await until(lambda: front.workers[0].outstanding == 0)


async def test_a_large_answer_passes_whole() -> None:
    body = bytes(range(256)) * 20_000

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with (
        upstream(answer=answer) as worker,
        gateway(worker) as front,
        front.client.get("/api/orders") as got,
    ):
        assert body == await got.read()
