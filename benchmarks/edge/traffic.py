"""What the clients of the load send: 70 % reads, 30 % orders; each request made beforehand, but for
its key or its order's id, so that sending one costs next to nothing."""

import random
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import orjson

PRODUCTS = 200
USERS = 997
# Bodies that are made once; keys make orders different.
BODIES = 500
# Reads are of one of so many orders that were accepted last.
RECENT = 500


class What(IntEnum):
    """What a request asks for."""

    ACCEPT = 0
    ORDER = 1
    INVENTORY = 2
    ANALYTICS = 3
    DASHBOARD = 4


# In a hundred requests.
SHARES: Mapping[What, int] = {
    What.ACCEPT: 30,
    What.ORDER: 45,
    What.INVENTORY: 15,
    What.ANALYTICS: 9,
    What.DASHBOARD: 1,
}
PATHS = {
    What.INVENTORY: "/api/inventory",
    What.ANALYTICS: "/api/analytics",
    What.DASHBOARD: "/api/dashboard",
}


def product(number: int) -> str:
    """A product's id."""
    return f"edge-{number}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send, and what its answer must hold."""

    what: What
    data: bytes
    holds: bytes


class Traffic:
    """An endless mix, the same for the same seed.

    Args:
        name: of this load; no other one's keys are the same.
        limit_seconds: what each request gives the system, by `X-Request-Timeout`.
    """

    def __init__(self, host: str, name: str, limit_seconds: float, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._name = name
        self._number = 0
        self._common = f"Host: {host}\r\nX-Request-Timeout: {limit_seconds:g}\r\n"
        self._bodies = [self._body() for _ in range(BODIES)]
        self._fixed = {
            what: Request(what, f"GET {path} HTTP/1.1\r\n{self._common}\r\n".encode(), b"{")
            for what, path in PATHS.items()
        }
        self._mix = self._shuffled()
        self.recent: deque[bytes] = deque(maxlen=RECENT)

    def next(self) -> Request:
        """The next request; an order is read only once one was accepted."""
        what = next(self._mix)
        if what is What.ACCEPT:
            return self._accept()
        if what is What.ORDER and self.recent:
            order_id = self._chance.choice(self.recent)
            head = b"GET /api/orders/%b HTTP/1.1\r\n%b\r\n" % (order_id, self._common.encode())
            return Request(what, head, b'"orderId":"%b"' % order_id)
        return self._fixed.get(what, self._fixed[What.INVENTORY])

    def _accept(self) -> Request:
        self._number += 1
        body = self._bodies[self._number % BODIES]
        head = (
            f"POST /api/orders HTTP/1.1\r\n{self._common}Content-Type: application/json\r\n"
            f"Idempotency-Key: {self._name}-{self._number}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return Request(What.ACCEPT, head.encode() + body, b'"orderId":')

    def _shuffled(self) -> Iterator[What]:
        hundred = [what for what, share in SHARES.items() for _ in range(share)]
        while True:
            self._chance.shuffle(hundred)
            yield from hundred

    def _body(self) -> bytes:
        """An order of two lines."""
        items = [
            {"productId": product(number), "quantity": self._chance.randint(1, 5), "price": 1.99}
            for number in self._chance.sample(range(PRODUCTS), 2)
        ]
        return orjson.dumps({"userId": f"user-{self._chance.randrange(USERS)}", "items": items})
