"""What `make status` says of a server: well, gone, or what it lacks."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.local.health import condition
from infra.local.ports import free_ports

Serve = Callable[[int, bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that gives one answer; returns its URL."""
    servers = []

    def start(status: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/readyz"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_answer_of_200_is_healthy(serve: Serve) -> None:
    assert condition(serve(200, b"{}")) == "healthy"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"checks": {"mongodb": True, "redis": False, "kafka": False, "services": {}}},
            "not ready: redis, kafka",
        ),
        (
            {"checks": {"mongodb": True, "services": {"order": True, "payment": False}}},
            "not ready: payment",
        ),
        ({"ready": False, "workers": {"live": 0, "total": 2}}, "not ready: 0 of 2 workers live"),
        ({"type": "about:blank", "title": "Bad Gateway"}, "not ready: Bad Gateway"),
        ({"checks": {}}, "not ready: HTTP 503"),
        ([], "not ready: HTTP 503 Service Unavailable"),
    ],
)
def test_an_answer_of_503_is_told_in_its_own_words(
    serve: Serve, body: object, expected: str
) -> None:
    assert expected == condition(serve(503, json.dumps(body).encode()))


def test_an_error_that_is_no_json_is_told_by_its_status(serve: Serve) -> None:
    assert condition(serve(500, b"<html>")) == "not ready: HTTP 500 Internal Server Error"


@pytest.mark.parametrize("scheme", ["http", "redis", "kafka", "mongodb"])
def test_where_nothing_listens_there_is_no_answer(scheme: str) -> None:
    assert condition(f"{scheme}://127.0.0.1:{free_ports(1)[0]}/") == "no answer"
