"""The program by which a container is asked whether it is ready."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from tests.unit.deploy.compose import ROOT

HEALTHCHECK = ROOT / "infra" / "compose" / "healthcheck.py"


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/readyz"
        finally:
            server.shutdown()
            thread.join()


def check(url: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", HEALTHCHECK, url], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_process_that_is_ready_is_healthy() -> None:
    with answering(200, b'{"status":"ok"}') as url:
        assert check(url) == (0, '200 {"status":"ok"}\n')


def test_a_process_that_is_not_ready_is_unhealthy_and_says_why() -> None:
    with answering(503, b'{"mongodb":false}') as url:
        assert check(url) == (1, '503 {"mongodb":false}\n')


def test_a_process_that_does_not_listen_is_unhealthy() -> None:
    with answering(200, b"") as url:
        pass

    status, said = check(url)

    assert status == 1
    assert "refused" in said
