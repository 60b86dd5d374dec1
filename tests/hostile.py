"""A small system with AUTH=on, and a client that says whatever it likes to any part of it."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from app.identity import Principal, Role
from app.identity.tokens import Issuer
from infra.local.nginx import Front
from infra.local.nginx import nginx as nginx_program
from infra.local.ports import LOOPBACK, Port, free_ports
from infra.local.testing import (
    GatewayProcess,
    LocalServers,
    Process,
    WorkerProcess,
    start_gateway,
    start_worker,
)

WAIT_SECONDS = 60
MIB = 1_048_576
# Streams and other held requests that the gateway has places for.
HELD_MOST = 3
SETTINGS = {
    "AUTH": "on",
    "GATEWAY_HELD_MAX": str(HELD_MOST),
    # Nobody is to notice that it ends.
    "SHUTDOWN_DELAY_SECONDS": "0",
}
# What only the inside knows: frames of Python, and what it is made of.
INSIDE = re.compile(rb"Traceback|File \"|site-packages|ProblemError|pydantic|aiohttp|\.py\b")
STATUS_LINE = re.compile(rb"HTTP/[0-9.]+ [0-9]{3} ")


@dataclass(frozen=True)
class System:
    """A worker, the gateway and nginx, all with AUTH=on."""

    servers: LocalServers
    worker: WorkerProcess
    gateway: GatewayProcess
    nginx: Process
    began_mib: Mapping[str, int]

    def port(self, door: str) -> int:
        process: Process = getattr(self, door)
        return int(process.url.rpartition(":")[2])

    def opened(self, door: str, data: bytes = b"") -> socket.socket:
        """A connection over which this is sent."""
        connection = socket.create_connection((LOOPBACK, self.port(door)), WAIT_SECONDS)
        connection.sendall(data)
        return connection

    def send(self, door: str, data: bytes) -> "Answer":
        """What comes back for these bytes until the server closes the connection."""
        with self.opened(door) as connection:
            with contextlib.suppress(ConnectionError):  # it is refused before it is read
                connection.sendall(data)
            return Answer(received(connection))

    def bearer(self, user: str, role: Role = Role.CUSTOMER) -> str:
        secret = self.servers.environment()["AUTH_SECRET"]
        token = Issuer(secret, "orderflow", "orderflow", 600).issue(
            Principal(user, role), time.time()
        )
        return f"Authorization: Bearer {token}"


class Answer(NamedTuple):
    """All that a server sent on a connection."""

    all: bytes

    @property
    def status(self) -> int:
        return int(self.all.split(b" ", 2)[1])

    @property
    def body(self) -> bytes:
        return self.all.partition(b"\r\n\r\n")[2]

    def refused_with(self, *statuses: int) -> None:
        """A whole problem of one of these statuses, that tells nothing of the inside."""
        head = self.all.partition(b"\r\n\r\n")[0]
        assert self.status in statuses, self.all
        assert 1 == len(STATUS_LINE.findall(self.all)), self.all
        assert b"content-type: application/problem+json" in head.lower(), self.all
        problem = json.loads(self.body)
        assert self.status == problem["status"]
        assert problem["traceId"]
        assert not INSIDE.search(self.all), self.all


def received(connection: socket.socket) -> bytes:
    """All that comes until the connection is closed, in one way or the other."""
    found = b""
    try:
        while part := connection.recv(MIB):
            found += part
    except ConnectionResetError:
        pass
    return found


def request(
    method: str, target: str, *headers: str | bytes, body: bytes = b"", host: str = "Host: x"
) -> bytes:
    """A request as it is written; with a length where it has a body and none is said."""
    lines = [each if isinstance(each, bytes) else each.encode("latin-1") for each in headers]
    said = b"\r\n".join(lines).lower()
    if body and b"content-length" not in said and b"transfer-encoding" not in said:
        lines.append(b"Content-Length: %d" % len(body))
    head = [f"{method} {target} HTTP/1.1".encode("latin-1"), host.encode(), *lines]
    return b"\r\n".join([*head, b"Connection: close", b"", body])


def under(door: str, path: str) -> str:
    """The path of something of the API."""
    return path if door == "worker" else f"/api{path}"


@contextmanager
def started(folder: Path) -> Iterator[System]:
    """A system of its own."""
    with (
        LocalServers(folder) as servers,
        start_worker(servers, env=SETTINGS) as worker,
        start_gateway(servers, [worker], env=SETTINGS) as gateway,
        front(folder / "nginx", gateway) as nginx,
    ):
        began = {each.program.name: mib(each) for each in (worker, gateway)}
        yield System(servers, worker, gateway, nginx, began)


@contextmanager
def front(folder: Path, gateway: Process) -> Iterator[Process]:
    listening = Front(Port(free_ports(1)[0], "NGINX_PORT"))
    address = gateway.url.removeprefix("http://")
    process = Process(nginx_program(folder, folder / "nginx.log", listening, [address]))
    process.start()
    try:
        process.wait_ready()
        yield process
    finally:
        process.terminate()


def mib(process: Process) -> int:
    assert process.started is not None
    status = Path(f"/proc/{process.started.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024
