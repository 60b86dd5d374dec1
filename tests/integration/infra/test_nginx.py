"""A real nginx: what it says itself is a problem document, and what it hands on is checked."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.local import servers
from infra.local.control import Process
from infra.local.health import wait_until
from infra.local.ports import LOOPBACK, Port, free_ports, is_free

pytestmark = pytest.mark.timeout(60)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEX = "0123456789abcdef"


class Nginx:
    def __init__(self, folder: Path, gateway: int) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self.process = Process(
            servers.nginx(
                folder,
                folder / "logs" / "nginx.log",
                Port(self.port, "NGINX_PORT"),
                [f"{LOOPBACK}:{gateway}"],
            )
        )

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def send(self, data: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        with socket.create_connection((LOOPBACK, self.port), 10) as connection:
            connection.sendall(data)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response, response.read()


@pytest.fixture
def gateway() -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A gateway that notes the headers it gets, and has problems of its own at /problem."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(503 if self.path == "/problem" else 200)
            self.send_header("X-Instance-Id", "gateway-1")
            self.end_headers()
            self.wfile.write(b"the gateway's own")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1], seen
    server.shutdown()
    server.server_close()


def started(nginx: Nginx) -> Nginx:
    nginx.process.start()
    assert wait_until(lambda: not is_free(nginx.port), 10), nginx.process.log_tail()
    return nginx


@pytest.fixture
def nginx(tmp_path: Path, gateway: tuple[int, list[dict[str, str]]]) -> Iterator[Nginx]:
    made = started(Nginx(tmp_path, gateway[0]))
    yield made
    made.process.terminate()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Nginx]:
    """nginx whose gateway is away."""
    made = started(Nginx(tmp_path, free_ports(1)[0]))
    yield made
    made.process.terminate()


def problem(answer: tuple[http.client.HTTPResponse, bytes], status: int) -> dict[str, Any]:
    """The problem document, after checks of what all have in common."""
    response, body = answer
    document: dict[str, Any] = json.loads(body)
    assert status == response.status
    assert response.getheader("Content-Type") == "application/problem+json"
    assert response.getheader("X-Instance-Id") == "nginx"
    assert document["traceId"] == response.getheader("X-Trace-Id")
    assert document["type"] == "about:blank"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return document


def test_a_body_that_is_too_large_is_a_413_with_the_clients_trace(nginx: Nginx) -> None:
    answer = nginx.ask("POST", "/api/orders", b"x" * 3_000_000, X_Trace_Id="abc-1")

    document = problem(answer, 413)
    assert document["traceId"] == "abc-1"
    assert document["instance"] == "/api/orders"
    assert answer[0].getheader("Retry-After") is None


def test_a_gateway_that_is_away_is_a_502_that_says_when_to_try_again(alone: Nginx) -> None:
    answer = alone.ask("GET", "/api/orders?limit=1")

    document = problem(answer, 502)
    assert document["instance"] == "/api/orders"
    assert answer[0].getheader("Retry-After") == "1"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"TRACE /api/x HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: odd\r\n\r\n", 501),
        (b"GET / HTTP/7.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /.problem HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    ],
)
def test_what_never_reaches_a_gateway_is_a_problem_too(
    nginx: Nginx, request_bytes: bytes, status: int
) -> None:
    response, body = nginx.send(request_bytes)

    problem((response, body), status)
    assert (response.getheader("Allow") is not None) == (status == 405)


def test_a_path_that_would_break_the_json_is_left_out(alone: Nginx) -> None:
    request = b'GET /a"b\\ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

    assert "instance" not in problem(alone.send(request), 502)


def test_problems_of_the_gateway_pass_unchanged(nginx: Nginx) -> None:
    response, body = nginx.ask("GET", "/problem")

    assert (503, b"the gateway's own") == (response.status, body)
    assert response.getheader("X-Instance-Id") == "gateway-1"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X_Trace_Id": "abc-1.2_3:4"}, "abc-1.2_3:4"),
        ({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, TRACE),
        ({"X_Trace_Id": "mine", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, "mine"),
        ({"X_Trace_Id": 'a"b'}, None),
        ({"X_Trace_Id": "a" * 129}, None),
        ({"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"}, None),
        ({}, None),
    ],
)
def test_the_gateway_gets_the_clients_trace_or_a_new_one(
    nginx: Nginx,
    gateway: tuple[int, list[dict[str, str]]],
    headers: dict[str, str],
    expected: str | None,
) -> None:
    nginx.ask("GET", "/api/x", **headers)

    (seen,) = gateway[1]
    if expected is None:
        assert len(seen["x-trace-id"]) == 32
        assert set(seen["x-trace-id"]) <= set(HEX)
    else:
        assert expected == seen["x-trace-id"]


def test_what_a_client_says_of_its_own_forwarding_is_overwritten(
    nginx: Nginx, gateway: tuple[int, list[dict[str, str]]]
) -> None:
    nginx.ask("GET", "/x", X_Forwarded_Host="evil", X_Forwarded_Proto="gopher", Host="shop.test")

    (seen,) = gateway[1]
    assert seen["x-forwarded-host"] == "shop.test"
    assert seen["x-forwarded-proto"] == "http"


def test_the_access_log_names_the_trace_and_leaves_probes_out(nginx: Nginx) -> None:
    for path in ("/livez", "/api/readyz", "/metrics?x=1", "/api/orders"):
        nginx.ask("GET", path, X_Trace_Id="abc-1")
    log = nginx.folder / "access.log"

    assert wait_until(lambda: log.stat().st_size > 0, 10)
    (line,) = log.read_text().splitlines()
    assert '"GET /api/orders HTTP/1.1" 200' in line
    assert line.endswith(" abc-1")
