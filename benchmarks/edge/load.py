"""`python -m benchmarks.edge.load ORDER`: an open-loop load generator, a process of its own.

Requests are due at a constant rate, whether earlier ones are answered or not, and a request's time
runs from when it was due: a system that stalls delays every request that was due meanwhile, which a
closed loop would not even have sent ("coordinated omission"). Requests are bytes made beforehand,
and answers are searched and not parsed, because the generator shares the machine with the system.

ORDER is JSON, see `Order`; so is what it writes, see `Record`.
"""

import asyncio
import resource
import sys
import time
from array import array
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import orjson
import uvloop

from benchmarks.edge.traffic import Request, Traffic, What

# uvloop's own resolution. What is due within a tick is sent together, up to so much late.
TICK_SECONDS = 0.001
# How often requests that take too long are looked for.
SWEEP_SECONDS = 0.25
# nginx takes 4,000 (each is a client's and a gateway's).
CONNECTIONS_MAX = 2000
HEAD_END = b"\r\n\r\n"
OK, ACCEPTED = b"200", b"202"
FINE = "fine"
# Answered well, but a part was missing that could not be had in its time.
PARTIAL = "200, partial"


@dataclass(frozen=True, slots=True)
class Order:
    """What load is wanted.

    Attributes:
        limit_seconds: what each request gives the system, by its header.
        hang_seconds: what is not answered then never will be.
        file: where the record is written.
    """

    port: int
    name: str
    rate: float
    seconds: float
    limit_seconds: float
    hang_seconds: float
    file: str


@dataclass(frozen=True, slots=True)
class Record:
    """What came of a load; the lists have a value for each request, in no order.

    Attributes:
        began: when the first was due, by the machine's monotonic clock.
        due: seconds after that.
        took: seconds from `due` to the end of the answer.
        outcome: index into `outcomes`, of which the first is `FINE`.
        accepted: the ids of the orders that a 202 spoke of.
        connections: the most that were open at once.
        samples: of each kind of error that is an answer, the first one's body.
    """

    began: float
    what: list[int]
    due: list[float]
    took: list[float]
    outcome: list[int]
    outcomes: list[str]
    accepted: list[str]
    cpu_seconds: float
    connections: int
    samples: dict[str, str]


class Connection(asyncio.Protocol):
    """A kept-alive connection with one request under way at most."""

    __slots__ = ("_buffer", "_load", "due", "request", "transport")

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._buffer = b""
        self.transport: asyncio.Transport | None = None
        self.request: Request | None = None
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is of no such class
        self._load.idle_now(self)

    def send(self, request: Request, due: float) -> None:
        assert self.transport is not None
        self.request, self.due = request, due
        self.transport.write(request.data)

    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        end = buffer.find(HEAD_END)
        if end < 0:
            return
        head = buffer[:end].lower()
        body = whole(head, buffer[end + len(HEAD_END) :])
        if body is None:
            return
        self._buffer = b""
        request, self.request = self.request, None
        if request is not None:
            self._load.answered(request, self.due, head, body)
        if b"connection: close" in head or request is None:
            self._load.gone(self)
            if self.transport is not None:
                self.transport.close()
        else:
            self._load.idle_now(self)

    def connection_lost(self, exc: Exception | None) -> None:
        request, self.request = self.request, None
        self._load.gone(self)
        if request is not None:
            self._load.failed(request, self.due, "connection broke")


def whole(head: bytes, rest: bytes) -> bytes | None:
    """The answer's body, or None while it has not come whole."""
    place = head.find(b"\r\ncontent-length:")
    if place >= 0:
        stop = head.find(b"\r\n", place + 2)
        length = int(head[place + 17 : stop if stop >= 0 else len(head)])
        return rest if len(rest) >= length else None
    if b"\r\ntransfer-encoding: chunked" in head:
        return rest if rest.endswith(b"0\r\n\r\n") else None
    return rest


class Load:
    """Sends what is due, and notes what comes of it."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._loop = asyncio.get_running_loop()
        self._traffic = Traffic(f"127.0.0.1:{order.port}", order.name, order.limit_seconds)
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening = 0
        self._most = 0
        self._waiting: deque[tuple[Request, float]] = deque()
        self._sent = 0
        self._noted = 0
        self._what, self._outcome = array("b"), array("H")
        self._due, self._took = array("d"), array("d")
        self._outcomes: dict[str, int] = {FINE: 0}
        self._accepted: list[str] = []
        self._samples: dict[str, str] = {}
        self._began = 0.0

    async def run(self) -> Record:
        """Send everything, and wait until each request is answered or given up."""
        before = _cpu_seconds()
        total = int(self._order.rate * self._order.seconds)
        self._began = time.monotonic()
        sweep = self._began + SWEEP_SECONDS
        while self._noted < total:
            now = time.monotonic()
            while self._sent < total and self._due_at(self._sent) <= now:
                self._send(self._traffic.next(), self._due_at(self._sent))
                self._sent += 1
            if now >= sweep:
                self._sweep(now)
                sweep = now + SWEEP_SECONDS
            await asyncio.sleep(TICK_SECONDS)
        cpu_seconds = _cpu_seconds() - before
        for connection in list(self._all):
            if connection.transport is not None:
                connection.transport.abort()
        return Record(
            self._began,
            list(self._what),
            list(self._due),
            list(self._took),
            list(self._outcome),
            list(self._outcomes),
            self._accepted,
            cpu_seconds,
            self._most,
            self._samples,
        )

    def _due_at(self, number: int) -> float:
        return self._began + number / self._order.rate

    def _send(self, request: Request, due: float) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                connection.send(request, due)
                return
        self._waiting.append((request, due))
        if len(self._all) + self._opening < CONNECTIONS_MAX:
            self._opening += 1
            self._loop.create_task(self._open())

    async def _open(self) -> None:
        try:
            await self._loop.create_connection(
                lambda: Connection(self), "127.0.0.1", self._order.port
            )
        except OSError:
            if self._waiting:
                self.failed(*self._waiting.popleft(), "no connection")
        finally:
            self._opening -= 1

    def idle_now(self, connection: Connection) -> None:
        """Give the connection what has waited longest, or keep it for what comes."""
        self._all.add(connection)
        self._most = max(self._most, len(self._all))
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def gone(self, connection: Connection) -> None:
        """It is of no more use."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def answered(self, request: Request, due: float, head: bytes, body: bytes) -> None:
        """Check the answer."""
        status = head[9:12]
        if request.what is What.ACCEPT:
            if status == ACCEPTED and request.holds in body:
                order_id = orjson.loads(body)["orderId"]
                self._accepted.append(order_id)
                self._traffic.recent.append(order_id.encode())
                self._note(request, due, FINE)
                return
        elif status == OK and request.holds in body:
            partial = request.what is What.DASHBOARD and b'"partial":true' in body
            self._note(request, due, PARTIAL if partial else FINE)
            return
        kind = said(head)
        self._samples.setdefault(kind, body.decode(errors="replace"))
        self._note(request, due, kind)

    def failed(self, request: Request, due: float, why: str) -> None:
        """There is no answer."""
        self._note(request, due, why)

    def _note(self, request: Request, due: float, outcome: str) -> None:
        self._noted += 1
        self._what.append(request.what)
        self._due.append(due - self._began)
        self._took.append(time.monotonic() - due)
        self._outcome.append(self._outcomes.setdefault(outcome, len(self._outcomes)))

    def _sweep(self, now: float) -> None:
        late = now - self._order.hang_seconds
        for connection in [one for one in self._all if one.request and one.due < late]:
            request, connection.request = connection.request, None
            assert request is not None
            assert connection.transport is not None
            self.failed(request, connection.due, "no answer in time")
            connection.transport.abort()
        while self._waiting and self._waiting[0][1] < late:
            self.failed(*self._waiting.popleft(), "never sent")


def said(head: bytes) -> str:
    """An error's status and form, such as `503 problem+json, Retry-After`."""
    form = "problem+json" if b"application/problem+json" in head else "of another form"
    later = ", Retry-After" if b"\r\nretry-after:" in head else ""
    return f"{head[9:12].decode()} {form}{later}"


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def loaded(order: Order) -> Record:
    """Do the load."""
    return await Load(order).run()


def main() -> None:
    """Do the load and write its record."""
    order = Order(**orjson.loads(sys.argv[1]))
    record = uvloop.run(loaded(order))
    Path(order.file).write_bytes(orjson.dumps(asdict(record)))


if __name__ == "__main__":
    main()
