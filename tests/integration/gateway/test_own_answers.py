import re
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from gateway.keys import STOPPING, WORKERS
from infra.demo.spans import read
from tests.integration.gateway.servers import SELDOM_SECONDS, free_port_url, gateway, upstream

pytestmark = pytest.mark.timeout(30)

TOKEN = {"Authorization": "Bearer demo-token"}
OWN = ["/", "/livez", "/readyz", "/metrics", "/api/livez", "/api/readyz", "/api/metrics"]
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HEX = re.compile("[0-9a-f]{32}")


async def test_the_root_is_the_console_which_asks_under_api() -> None:
    async with (
        upstream() as worker,
        gateway(worker) as front,
        front.client.get("/") as answer,
    ):
        assert "text/html" == answer.content_type
        assert 'data-api="/api"' in await answer.text()
    assert [] == worker.seen


@pytest.mark.parametrize("path", ["/livez", "/api/livez"])
async def test_the_gateway_lives_without_a_worker(path: str) -> None:
    async with gateway(free_port_url()) as front:
        assert 200 == (await front.client.get(path)).status


@pytest.mark.parametrize("path", ["/readyz", "/api/readyz"])
async def test_the_gateway_is_ready_with_one_live_worker_and_not_with_none(path: str) -> None:
    async with upstream() as worker:
        async with (
            gateway(worker, free_port_url()) as front,
            front.client.get(path) as answer,
        ):
            assert 200 == answer.status
            assert {"live": 1, "total": 2} == (await answer.json())["workers"]
        async with gateway(free_port_url()) as front:
            assert 503 == (await front.client.get(path)).status
        assert [] == worker.seen


async def test_a_gateway_that_is_to_stop_says_so_and_ends_each_connection_with_its_answer() -> None:
    async with upstream() as worker, gateway(worker) as front:
        front.app[STOPPING].set()
        async with front.client.get("/readyz") as answer:
            assert (503, False) == (answer.status, (await answer.json())["ready"])
        async with front.client.post("/api/orders", data=b"{}") as answer:
            assert (200, "close") == (answer.status, answer.headers["Connection"])


@pytest.mark.parametrize("path", OWN)
async def test_the_gateways_own_paths_are_for_reading(path: str) -> None:
    async with upstream() as worker, gateway(worker) as front:
        async with front.client.post(path) as answer:
            assert 405 == answer.status
            assert {"GET", "HEAD"} == set(answer.headers["Allow"].split(","))
            assert "application/problem+json" == answer.content_type
        assert 200 == (await front.client.head(path)).status
        assert [] == worker.seen


async def test_secure_answers_who_shows_the_token() -> None:
    async with upstream() as worker, gateway(worker) as front:
        for scheme in ("Bearer", "bearer"):
            headers = {"Authorization": f"{scheme} demo-token"}
            async with front.client.get("/api/secure", headers=headers) as answer:
                assert 200 == answer.status
                assert (await answer.json())["secure"] is True


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "demo-token",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer demo-token-x",
        "Basic demo-token",
    ],
)
async def test_secure_refuses_who_does_not(header: str | None) -> None:
    async with upstream() as worker, gateway(worker) as front:
        headers = {} if header is None else {"Authorization": header}
        async with front.client.get("/api/secure", headers=headers) as answer:
            assert 401 == answer.status
            assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
            assert "application/problem+json" == answer.content_type
        assert [] == worker.seen


@pytest.mark.parametrize("path", ["/metrics", "/api/metrics"])
async def test_metrics_count_and_time_every_request_under_few_paths(path: str) -> None:
    async with upstream() as worker, gateway(worker) as front:
        for number in range(3):
            await front.client.get(f"/api/orders/{number}")
            await front.client.get(f"/api/made-up-{number}")
        async with front.client.get(path) as answer:
            text = await answer.text()
    labels = 'method="GET",path="/api/{}",service="gateway"'
    assert f'http_requests_total{{{labels.format("orders")},status="200"}} 3.0' in text
    assert f'http_requests_total{{{labels.format("other")},status="200"}} 3.0' in text
    assert f"http_request_duration_seconds_count{{{labels.format('orders')}}} 3.0" in text
    assert "made-up" not in text


async def test_a_method_that_nobody_knows_makes_no_label_of_its_own() -> None:
    async with upstream() as worker, gateway(worker) as front:
        await front.client.request("MADEUP", "/api/orders")
        assert 0 == await front.metric('http_requests_total{method="MADEUP"')


@pytest.mark.parametrize("path", [*OWN, "/api/secure", "/api/orders", "/nowhere"])
async def test_every_answer_names_its_trace_and_who_gave_it(path: str) -> None:
    async with upstream() as worker, gateway(worker, gateway_name="gateway-7") as front:
        async with front.client.get(path, headers={"X-Trace-Id": "t-1"}) as answer:
            assert ["t-1"] == answer.headers.getall("X-Trace-Id")
            assert ["gateway-7"] == answer.headers.getall("X-Instance-Id")
        async with front.client.get(path) as answer:
            assert HEX.fullmatch(answer.headers["X-Trace-Id"])


async def test_the_worker_gets_the_trace_and_its_own_name_reaches_the_client() -> None:
    async with upstream(name="worker-9") as worker, gateway(worker) as front:
        async with front.client.get("/api/orders") as answer:
            trace = answer.headers["X-Trace-Id"]
            assert "worker-9" == answer.headers["X-Worker-Id"]
        assert trace == worker.seen[0].headers["X-Trace-Id"]
        assert trace == worker.seen[0].headers["traceparent"].split("-")[1]


async def test_each_worker_that_is_asked_is_a_span_and_goes_on_from_it(tmp_path: Path) -> None:
    file, trace, gone = tmp_path / "spans", "a" * 32, free_port_url()
    async with (
        upstream() as worker,
        gateway(
            gone,
            worker,
            traces_file=str(file),
            gateway_balancing="round_robin",
            gateway_health_interval_seconds=SELDOM_SECONDS,
        ) as front,
    ):
        for process in front.app[WORKERS]:
            process.mark_live()
        for _ in range(2):
            headers = {"traceparent": f"00-{trace}-{'b' * 16}-01"}
            async with front.client.get("/api/orders", headers=headers) as answer:
                assert (200, trace) == (answer.status, answer.headers["X-Trace-Id"])
    spans = read([file], trace)
    served = [span for span in spans if span.kind == "server"]
    calls = [span for span in spans if span.kind == "client"]
    assert [("GET /api/orders", "b" * 16)] * 2 == [(span.name, span.parent) for span in served]
    assert {span.id for span in served} == {span.parent for span in calls}
    answered = [span.id for span in calls if "http.response.status_code" in span.attributes]
    assert answered == [seen.headers["traceparent"].split("-")[2] for seen in worker.seen]
    ports = [span.attributes["server.port"] for span in calls if span.id not in answered]
    assert [int(gone.rpartition(":")[2])] == ports
    assert '"message":"NeverSentError"' in file.read_text()


async def test_a_valid_traceparent_reaches_the_worker_as_it_is() -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with upstream() as worker, gateway(worker) as front:
        headers = {"traceparent": parent, "tracestate": "vendor=1"}
        async with front.client.get("/api/orders", headers=headers) as answer:
            assert "a" * 32 == answer.headers["X-Trace-Id"]
        seen = worker.seen[0].headers
        assert (parent, "vendor=1") == (seen["traceparent"], seen["tracestate"])


async def test_a_trace_id_that_is_not_sane_is_replaced_everywhere() -> None:
    async with upstream() as worker, gateway(worker) as front:
        async with front.client.get("/api/orders", headers={"X-Trace-Id": "a b"}) as answer:
            assert HEX.fullmatch(answer.headers["X-Trace-Id"])
        assert HEX.fullmatch(worker.seen[0].headers["X-Trace-Id"])


@pytest.mark.parametrize("path", ["/nowhere", "/apis/orders", "/%61pi/orders", "/API/orders"])
async def test_what_is_not_under_the_api_is_not_found(path: str) -> None:
    async with upstream() as worker, gateway(worker) as front:
        request = f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        answer = await front.raw(request.encode())
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"application/problem+json" in answer
        assert [] == worker.seen


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /api/orders HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/orders HTTP/1.1\r\nHost: h\r\nbad header\r\n\r\n", 400),
        (
            b"GET /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n" + CHUNKED + b"\r\n",
            400,
        ),
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 404),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 404),
        (b"GET /api/" + b"x" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431),
        (b"GET /api/x HTTP/1.1\r\nHost: h\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET /api/x HTTP/1.1\r\nHost: h\r\n" + b"X-Many: 1\r\n" * 200 + b"\r\n", 400),
        (
            b"POST /api/x HTTP/1.1\r\nHost: h\r\n" + CHUNKED + b"\r\nnonsense\r\n",
            400,
        ),
        (
            b"GET /api/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: wonders\r\n\r\n",
            417,
        ),
    ],
    ids=[
        "no HTTP",
        "no host",
        "a header without a colon",
        "two framings",
        "no path",
        "a tunnel",
        "a long path",
        "a long header",
        "many headers",
        "a broken chunk",
        "an expectation",
    ],
)
async def test_what_the_server_itself_refuses_is_a_problem_too(
    request_bytes: bytes, status: int
) -> None:
    async with upstream() as worker, gateway(worker) as front:
        answer = await front.raw(request_bytes)
        assert str(status).encode() == answer.split(b" ", 2)[1]
        head, _, body = answer.partition(b"\r\n\r\n")
        for expected in (b"application/problem+json", b"X-Trace-Id: ", b"X-Instance-Id: gateway-1"):
            assert expected in head
        assert f'"status":{status}'.encode() in body
        assert b"Traceback" not in answer
        assert [] == worker.seen


async def test_a_fault_of_the_gateway_is_a_problem_without_a_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_path: str) -> str:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("gateway.proxy.target_of", fail)
    async with (
        upstream() as worker,
        gateway(worker) as front,
        front.client.get("/api/orders") as answer,
    ):
        body = await answer.text()
        assert 500 == answer.status
        assert "application/problem+json" == answer.content_type
        assert answer.headers["X-Trace-Id"] in body
        assert "secret" not in body


async def test_a_gateway_that_stops_tells_clients_that_the_connection_ends() -> None:
    async def stop_meanwhile(_request: web.Request) -> web.StreamResponse:
        await front.app.shutdown()
        return web.Response()

    async with (
        upstream(answer=stop_meanwhile) as worker,
        gateway(worker) as front,
        front.client.get("/api/orders") as answer,
    ):
        assert "close" == answer.headers["Connection"]


def test_the_gateway_loads_none_of_the_workers_libraries() -> None:
    code = (
        "import sys, gateway.__main__; "
        "print({'faust', 'motor', 'pymongo', 'aiokafka'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert "none" == done.stdout.strip()
