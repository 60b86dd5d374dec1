"""A real nginx in front of three trivial gateways, for tests of what nginx does."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from infra.local import nginx
from infra.local.certificate import Certificate
from infra.local.control import Process
from infra.local.health import wait_until
from infra.local.nginx import Front, Tls
from infra.local.ports import LOOPBACK, Port, free_ports, is_free

Answer = tuple[http.client.HTTPResponse, bytes]
WAIT_SECONDS = 60
# In the order in which they stand in the upstream.
NAMES = ("gateway-1", "gateway-2", "gateway-3")
EVENTS = (b"data: one\n\n", b"data: two\n\n")


class Gateway(ThreadingHTTPServer):
    """Says its name. `/held` and the second event of `/stream` wait for `go`.

    Attributes:
        seen: of each request, its body and its headers by lower-case names.
        breaks: it reads requests and then closes the connection.
    """

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, name: str, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), Handler)
        self.name = name
        self.address = f"{LOOPBACK}:{self.server_address[1]}"
        self.seen: list[tuple[bytes, dict[str, str]]] = []
        self.breaks = False
        self.go = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self.go.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((body, headers))
        if self.server.breaks:
            return
        if self.path == "/held":
            self.server.go.wait(WAIT_SECONDS)
        self.send_response(503 if self.path == "/problem" else 200)
        self.send_header("X-Instance-Id", self.server.name)
        self.end_headers()
        if self.path == "/stream":
            self.wfile.write(EVENTS[0])
            self.server.go.wait(WAIT_SECONDS)
            self.wfile.write(EVENTS[1])
        else:
            self.wfile.write(b"the gateway's own")

    do_POST = do_GET  # noqa: N815 (the name that the server looks for)

    def log_message(self, *_: object) -> None:
        pass


class Nginx:
    """nginx at free ports, plain and with TLS, in front of gateways that are there or not."""

    def __init__(self, folder: Path, gateways: list[str], *, tls: bool = False) -> None:
        self.folder = folder
        self.gateways = gateways
        self.port, tls_port = free_ports(2)
        self.certificate = Certificate(folder / "tls")
        self.tls = Tls(Port(tls_port, "NGINX_TLS_PORT"), self.certificate) if tls else None
        self.front = Front(Port(self.port, "NGINX_PORT"), tls=self.tls)
        self.process = Process(self._program())

    def _program(self) -> nginx.Program:
        log = self.folder / "logs" / "nginx.log"
        return nginx.nginx(self.folder, log, self.front, self.gateways)

    def start(self) -> None:
        self.process.start()
        assert wait_until(lambda: not is_free(self.port), WAIT_SECONDS), self.process.log_tail()

    def use(self, strategy: str) -> None:
        """Balance like this from now on, with no gateway known as failed."""
        self.front = replace(self.front, strategy=strategy)
        assert self.process.started is not None
        self.process.started = nginx.reload(self._program(), self.process.started)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        source: str = LOOPBACK,
        **headers: str,
    ) -> Answer:
        """One request over a connection of its own, from this address of loopback."""
        connection = http.client.HTTPConnection(
            LOOPBACK, self.port, timeout=WAIT_SECONDS, source_address=(source, 0)
        )
        return answered(connection, method, path, body, headers)

    def ask_with_tls(self, path: str, context: ssl.SSLContext, **headers: str) -> Answer:
        assert self.tls is not None
        connection = http.client.HTTPSConnection(
            "localhost", self.tls.port.number, timeout=WAIT_SECONDS, context=context
        )
        return answered(connection, "GET", path, None, headers)

    def send(self, data: bytes, port: int | None = None) -> Answer:
        with self.opened(data, port=port) as connection:
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response, response.read()

    def opened(self, data: bytes, source: str = LOOPBACK, port: int | None = None) -> socket.socket:
        """A connection over which this is sent."""
        address = (LOOPBACK, port or self.port)
        connection = socket.create_connection(address, WAIT_SECONDS, source_address=(source, 0))
        connection.sendall(data)
        return connection


def answered(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def name_of(answer: Answer) -> str:
    """The gateway that answered, after a check that one did."""
    response, _ = answer
    assert 200 == response.status
    return str(response.getheader("X-Instance-Id"))


def closed(connection: socket.socket) -> None:
    """Close it at once, without a wait for what is still under way."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@contextmanager
def three(folder: Path, *, tls: bool = False) -> Iterator[tuple[Nginx, list[Gateway]]]:
    """nginx in front of three gateways."""
    with ExitStack() as stack:
        gateways = []
        for name in NAMES:
            gateway = Gateway(name)
            gateways.append(gateway)
            stack.callback(gateway.stop)
        front = Nginx(folder, [gateway.address for gateway in gateways], tls=tls)
        front.start()
        stack.callback(front.process.terminate)
        yield front, gateways
