"""Which ports the servers take, whether one is free, and who holds it if not."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from infra.local.errors import LocalError

LOOPBACK = "127.0.0.1"
LAST_PORT = 65535
# Linux gives outgoing connections the ports from 32768 on.
FREE_RANGE = (12000, 32000)
PORT_TRIES = 1000
# Longest part of a command line that still helps in a message of one line.
COMMAND_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port on the loopback interface, and the variable which moves it."""

    number: int
    variable: str


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one set of servers; worker `i` listens at `worker + i`, gateways alike."""

    gateway: Port
    nginx: Port
    worker: Port
    kafka: Port
    kafka_controller: Port
    mongodb: Port
    redis: Port
    nginx_tls: Port
    prometheus: Port

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Ports:
        """Read the ports that the contract names; raise `LocalError` where one is no port."""

        def read(variable: str, default: int) -> Port:
            text = environment.get(variable) or str(default)
            if not text.isdecimal() or not 0 < int(text) <= LAST_PORT:
                raise LocalError(
                    f"{variable}={text} is no port: give a number from 1 to {LAST_PORT}"
                )
            return Port(int(text), variable)

        kafka = read("KAFKA_PORT", 9092)
        return cls(
            gateway=read("GATEWAY_PORT", 3000),
            nginx=read("NGINX_PORT", 8000),
            worker=read("WORKER_PORT", 6066),
            kafka=kafka,
            kafka_controller=read("KAFKA_CONTROLLER_PORT", min(kafka.number + 1, LAST_PORT)),
            mongodb=read("MONGODB_PORT", 27017),
            redis=read("REDIS_PORT", 6379),
            nginx_tls=read("NGINX_TLS_PORT", 8443),
            prometheus=read("PROMETHEUS_PORT", 9090),
        )

    @classmethod
    def free(cls) -> Ports:
        """Take ports that are free now."""
        numbers = iter(free_ports(len(fields(cls))))
        return cls(*(Port(number, "the port") for number in numbers))


def free_ports(count: int) -> list[int]:
    """Find `count` different free ports below those the system gives to outgoing connections.

    A port out of the system's own range could become some connection's end while a server that
    a test stopped is away. Chosen at random, so that test runs side by side rarely meet.
    """
    found: set[int] = set()
    for _ in range(PORT_TRIES):
        if len(found) == count:
            return sorted(found)
        port = random.randrange(*FREE_RANGE)
        if is_free(port):
            found.add(port)
    raise LocalError(f"found no {count} free ports between {FREE_RANGE[0]} and {FREE_RANGE[1]}")


def is_free(port: int) -> bool:
    """Say whether a server could listen at `port` now."""
    with socket.socket() as probe:
        # As servers do: connections that were closed a moment ago don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def require_free(port: Port, name: str) -> None:
    """Raise `LocalError` naming the port, its holder and the variable, unless `port` is free."""
    if is_free(port.number):
        return
    holder = holder_of(port.number)
    by = f" by {holder}" if holder else ""
    raise LocalError(
        f"{name} can't start: port {port.number} is taken{by}. "
        f"Stop that program, or choose another port with {port.variable}=<port>."
    )


def holder_of(port: int) -> str | None:
    """Describe the process that listens at `port`, if /proc lets us see it."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if inodes.intersection(_open_files(process)):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            text = command.decode(errors="replace").strip()
            return f"pid {process.name} ({text[:COMMAND_CHARACTERS]})"
    return None


def _open_files(process: Path) -> Iterator[str]:
    """Yield what a process has open; files come and go, and others' processes are closed to us."""
    with suppress(OSError):
        for descriptor in os.listdir(process / "fd"):
            with suppress(OSError):
                yield os.readlink(process / "fd" / descriptor)


def _listening_inodes(port: int) -> Iterator[str]:
    listening = "0A"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == listening and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"
