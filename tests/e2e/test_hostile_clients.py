"""What nobody who means well would send, to a worker, to the gateway and to nginx: each is refused
cleanly, the others go on being served, and nothing comes of it."""

import contextlib
import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from app.identity import Role
from app.topics import ORDER
from tests.hostile import HELD_MOST, MIB, Answer, System, mib, received, request, started, under
from tests.kafka import read_all
from tests.shop import order
from tests.unit.identity.tokens import by_hand, claims, signed

pytestmark = pytest.mark.timeout(180)

DOORS = ("worker", "gateway", "nginx")
# What ends nobody's life, but would if it were kept: the tests send 600 MB of bodies.
GROWN_MIB_MOST = 250
JSON = "Content-Type: application/json"
MINE: dict[str, Any] = order(("p1", 1))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with started(tmp_path_factory.mktemp("hostile")) as ready:
        yield ready


@pytest.fixture
def alice(system: System) -> str:
    return system.bearer("alice")


def others_are_served(system: System, door: str) -> None:
    carol = request("GET", under(door, "/movies"), system.bearer("carol"))
    assert 200 == system.send(door, carol).status


@pytest.fixture(autouse=True)
def _all_are_served_afterwards(system: System) -> Iterator[None]:
    yield
    for door in DOORS:
        others_are_served(system, door)


# What is not HTTP, or can be read in two ways. One status for all doors, or nginx' own beside.
CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = b"0\r\n\r\n" + request("POST", "/api/orders", JSON, body=json.dumps(MINE).encode())
NOT_HTTP: Mapping[str, tuple[Callable[[str], bytes], tuple[int, ...]]] = {
    name: (build, statuses)
    for name, build, *statuses in (
        ("two equal lengths", lambda p: post(p, "Content-Length: 2", "Content-Length: 2"), 400),
        ("two lengths", lambda p: post(p, "Content-Length: 1", "Content-Length: 2"), 400),
        ("a list of lengths", lambda p: post(p, "Content-Length: 2, 2"), 400),
        ("a negative length", lambda p: post(p, "Content-Length: -1"), 400),
        ("a length with a sign", lambda p: post(p, "Content-Length: +2"), 400),
        ("a hexadecimal length", lambda p: post(p, "Content-Length: 0x2"), 400),
        ("an endless length", lambda p: post(p, "Content-Length: " + "9" * 30), 400),
        ("CL.TE", lambda p: post(p, "Content-Length: 4", CHUNKED, body=SMUGGLED), 400),
        ("TE.CL", lambda p: post(p, CHUNKED, "Content-Length: 4", body=SMUGGLED), 400),
        ("an unknown coding", lambda p: post(p, "Transfer-Encoding: xchunked"), 400, 501),
        ("a coding after chunked", lambda p: post(p, CHUNKED + ", identity"), 400, 501),
        ("chunked twice", lambda p: post(p, CHUNKED, CHUNKED), 400),
        ("a space before the colon", lambda p: post(p, "Transfer-Encoding : chunked"), 400),
        ("a hidden chunked", lambda p: post(p, "Transfer-Encoding:\x0bchunked"), 400, 501),
        ("a folded header", lambda p: request("GET", p, "X-A: b\r\n c"), 400),
        ("a bare CR", lambda p: request("GET", p, "X-A: b\rc"), 400),
        ("NUL in a header", lambda p: request("GET", p, "X-A: b\0c"), 400),
        ("a header without a name", lambda p: request("GET", p, ": a"), 400),
        ("a chunk of no size", lambda p: post(p, CHUNKED, body=b"zz\r\n{}\r\n0\r\n\r\n"), 400),
        ("a negative chunk", lambda p: post(p, CHUNKED, body=b"-2\r\n{}\r\n0\r\n\r\n"), 400),
        ("an endless chunk", lambda p: post(p, CHUNKED, body=b"f" * 17 + b"\r\n{}"), 400),
        ("a chunk that goes on", lambda p: post(p, CHUNKED, body=b"2\r\n{}{}\r\n0\r\n\r\n"), 400),
        ("no host", lambda p: request("GET", p, host="X-A: b"), 400),
        ("two hosts", lambda p: request("GET", p, "Host: evil"), 400),
        ("NUL in the path", lambda p: request("GET", p + "\0"), 400),
        ("a space in the path", lambda p: request("GET", p + " a"), 400),
        ("bytes in the path", lambda p: request("GET", p + "\xff"), 400),
        ("no method", lambda p: request("BREW", p), 400),
        ("a lower-case method", lambda p: request("get", p), 400),
        ("a long method", lambda p: request("A" * 5000, p), 400),
        ("HTTP/2 in clear", lambda _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), 400),
        ("HTTP/2.0", lambda p: f"GET {p} HTTP/2.0\r\nHost: x\r\n\r\n".encode(), 505),
        ("HTTP/9.9", lambda p: f"GET {p} HTTP/9.9\r\nHost: x\r\n\r\n".encode(), 400, 505),
        ("TLS", lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(99), 400),
        ("a URL of 100 kB", lambda p: request("GET", p + "?" + "a" * 100_000), 431, 414),
        ("a header of 1 MB", lambda p: request("GET", p, "X-A: " + "b" * MIB), 431),
        (
            "1,000 headers",
            lambda p: request("GET", p, *(f"X-{i}: a" for i in range(1000))),
            400,
            431,
        ),
        ("700 kB of headers", lambda p: request("GET", p, *["Prefer: " + "a;" * 4000] * 90), 431),
    )
}


def post(path: str, *headers: str, body: bytes = b"{}") -> bytes:
    return request("POST", path, JSON, *headers, body=body)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", NOT_HTTP)
def test_what_is_not_http_is_refused_and_the_connection_closed(
    system: System, alice: str, name: str, door: str
) -> None:
    build, statuses = NOT_HTTP[name]
    data = build(under(door, "/orders"))
    if door != "nginx":
        # The server closes without being told; nginx does where it refuses itself.
        data = data.replace(b"\r\nConnection: close", b"", 1)
    data = data.replace(b"\r\nHost: x", f"\r\nHost: x\r\n{alice}".encode(), 1)

    answer = system.send(door, data)

    answer.refused_with(*statuses)
    # Not even to who sent it: what reads logs of answers is not meant to.
    assert alice.rpartition(" ")[2].encode() not in answer.all


@pytest.mark.parametrize("door", ["worker", "gateway"])
def test_http_0_9_is_not_spoken(system: System, door: str) -> None:
    assert 505 == system.send(door, b"GET /livez\r\n\r\n").status


# What a worker says to paths; the gateway says the same, and nginx that or a plain 400.
PATHS = (
    *("/../livez", "/%2e%2e/livez", "/./movies", "//movies", "/movies;a=b", "/;/movies"),
    *("/orders/../sagas", "/orders/..%2fsagas", "/MOVIES", "/movies%00", "/movies%0d%0aX:y"),
    *("/orders/%ff", "/orders/%ed%a0%80", "/orders/%zz", "/users/..%2f..%2fetc%2fpasswd"),
    *("/inventory/a%00b", "/movies/" + "a" * 3000, "/analytics/parts/order-windows"),
)


@pytest.mark.parametrize("door", DOORS)
def test_no_path_leads_elsewhere(system: System, alice: str, door: str) -> None:
    for path in PATHS:
        answer = system.send(door, request("GET", under(door, path), alice))
        expected = (404, 400) if door == "nginx" else (404,)
        if door == "worker" and "parts" in path:
            expected = (401,)
        answer.refused_with(*expected)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "DELETE", "PATCH", "PROPFIND"])
def test_a_method_that_means_nothing_here_is_refused(
    system: System, alice: str, method: str, door: str
) -> None:
    answer = system.send(door, request(method, under(door, "/orders"), alice))
    answer.refused_with(400, 404, 405)


def with_price(price: str) -> bytes:
    return json.dumps(MINE).replace("1.25", price).encode()


BODIES: Mapping[str, tuple[bytes, int]] = {
    "no JSON": (b"{", 400),
    "100,000 arrays": (b"[" * 100_000 + b"]" * 100_000, 400),
    "100,000 objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
    "1e400": (with_price("1e400"), 400),
    "5,000 digits": (with_price("1" + "0" * 5000), 400),
    "900,000 digits": (with_price("1" * 900_000), 400),
    "NaN": (with_price("NaN"), 400),
    "Infinity": (with_price("-Infinity"), 400),
    "a lone surrogate": (json.dumps(MINE).replace("alice", "\\ud800").encode(), 400),
    "no UTF-8": (b'{"userId":"\xff"}', 400),
    "UTF-16": (json.dumps(MINE).encode("utf-16"), 400),
    "something behind": (json.dumps(MINE).encode() + b"x", 400),
    "NUL in a name": (json.dumps(MINE).replace("alice", "al\\u0000ice").encode(), 422),
    "an operator for a name": (json.dumps({**MINE, "userId": {"$gt": ""}}).encode(), 422),
    "a key twice": (json.dumps(MINE)[:-1].encode() + b',"items":[]}', 422),
    "no object": (b"null", 422),
    "10,000 items": (json.dumps({**MINE, "items": MINE["items"] * 10_000}).encode(), 422),
    "100,000 keys": (json.dumps({f"{i:x}": 1 for i in range(90_000)}).encode(), 422),
}


@pytest.mark.parametrize("door", ["worker", "gateway"])
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_order_is_refused(
    system: System, alice: str, name: str, door: str
) -> None:
    body, status = BODIES[name]
    system.send(door, request("POST", under(door, "/orders"), alice, JSON, body=body)).refused_with(
        status
    )


# The last two take aiohttp's parser seconds, and more stack than there is.
HEADERS: Mapping[str, tuple[str, int]] = {
    "a packed body": ("Content-Encoding: gzip", 415),
    "a key of 8 kB": ("Idempotency-Key: " + "k" * 8000, 400),
    "a key with a tab": ("Idempotency-Key: a\tb", 400),
    "a key of bytes": ("Idempotency-Key: \xff", 400),
    "a time-out of nan": ("X-Request-Timeout: nan", 400),
    "a negative time-out": ("X-Request-Timeout: -1", 400),
    "a time-out of 400 digits": ("X-Request-Timeout: " + "9" * 400, 400),
    "no time": ("X-Request-Timeout: 0", 504),
    "an expectation": ("Expect: the-unexpected", 417),
    "a type of quotes": ("Content-Type: application/json;" + '"' * 8000, 415),
    "a type of brackets": ("Content-Type: application/json;" + "(" * 8000, 415),
}


@pytest.mark.parametrize("door", ["worker", "gateway"])
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_makes_no_sense_is_refused(
    system: System, alice: str, name: str, door: str
) -> None:
    header, status = HEADERS[name]
    body = gzip.compress(bytes(10 * MIB)) if "packed" in name else json.dumps(MINE).encode()
    said = [alice, header] if header.startswith("Content-Type") else [alice, JSON, header]
    system.send(door, request("POST", under(door, "/orders"), *said, body=body)).refused_with(
        status
    )


@pytest.mark.parametrize("framing", ["Content-Length: 104857600", CHUNKED])
@pytest.mark.parametrize("door", DOORS)
def test_a_body_of_100_mb_is_refused(system: System, alice: str, door: str, framing: str) -> None:
    chunk = bytes(MIB)
    piece = b"%x\r\n%s\r\n" % (len(chunk), chunk) if framing == CHUNKED else chunk
    with system.opened(door) as connection:
        with contextlib.suppress(ConnectionError):  # it need not be read to its end
            connection.sendall(request("POST", under(door, "/orders"), alice, JSON, framing))
            for _ in range(100):
                connection.sendall(piece)
            connection.sendall(b"0\r\n\r\n" if framing == CHUNKED else b"")
        Answer(received(connection)).refused_with(413)


@pytest.mark.parametrize("door", DOORS)
def test_a_body_that_breaks_off_is_no_order(system: System, alice: str, door: str) -> None:
    body = json.dumps(MINE).encode()
    for framing in (f"Content-Length: {len(body) + 1}", CHUNKED):
        begun = b"%x\r\n" % (len(body) + 1) + body if framing == CHUNKED else body
        head = request("POST", under(door, "/orders"), alice, JSON, framing)
        with system.opened(door, head + begun) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert b" 20" not in received(connection)[:12]


@pytest.mark.parametrize("door", DOORS)
def test_many_slow_clients_hold_up_nobody(system: System, alice: str, door: str) -> None:
    half_head = request("GET", under(door, "/movies"), alice)[:-10]
    half_body = request("POST", under(door, "/orders"), alice, JSON, "Content-Length: 99") + b"{"
    with ExitStack() as stack:
        slow = [
            stack.enter_context(system.opened(door, data))
            for data in (half_head, half_body)
            for _ in range(200)
        ]
        for _ in range(2):
            for connection in slow:
                connection.sendall(b" ")
            others_are_served(system, door)


@pytest.mark.parametrize("door", DOORS)
def test_a_flood_on_one_connection_holds_up_nobody(system: System, alice: str, door: str) -> None:
    one = request("GET", under(door, "/movies"), alice).replace(b"Connection: close\r\n", b"")
    flood, sent = one * 2000, 0
    with system.opened(door) as connection:
        connection.setblocking(False)
        try:
            while sent < len(flood):
                sent += connection.send(flood[sent : sent + MIB])
        except BlockingIOError:
            pass  # as much as it takes without an answer being read
        others_are_served(system, door)


def test_more_streams_than_there_are_places_for_keep_nobody_else_out(system: System) -> None:
    stream = request("GET", "/api/analytics/stream", system.bearer("olga", Role.OPERATOR))
    with ExitStack() as stack:
        for _ in range(HELD_MOST):
            held = stack.enter_context(system.opened("gateway", stream))
            assert b" 200 " in held.recv(MIB)
        for door in ("gateway", "nginx"):
            answer = system.send(door, stream)
            answer.refused_with(503)
            assert b"retry-after" in answer.all.lower()
            others_are_served(system, door)


def test_nobody_puts_anything_into_what_others_are_told(system: System, alice: str) -> None:
    evil = ["X-Forwarded-Host: evil", "X-Forwarded-Prefix: /evil", "Cookie: a=evil", "X-A: evil"]
    told = system.send("gateway", request("GET", "/api/inventory", alice, *evil, host="Host: evil"))
    assert 200 == told.status
    for path in ("/api/inventory", "/api/inventory?", "/api/inventory?limit=50", "/api/Inventory"):
        answer = system.send("gateway", request("GET", path, system.bearer("carol")))
        assert (200 if "I" not in path else 404) == answer.status
        assert b"evil" not in answer.all
    unchanged = system.send("gateway", request("GET", "/api/inventory", alice, "If-None-Match: *"))
    assert (304, b"") == (unchanged.status, unchanged.body)


TOKENS: Mapping[str, Callable[[str], str]] = {
    "alg=none": lambda _: by_hand({"alg": "none", "typ": "JWT"}, claims(role="admin")),
    "alg=NONE": lambda _: by_hand({"alg": "NONE", "typ": "JWT"}, claims(role="admin")),
    "of another key": lambda _: signed("x" * 64, role="admin"),
    "expired": lambda secret: signed(secret, role="admin", exp=int(time.time()) - 60),
    "for others": lambda secret: signed(secret, role="admin", aud="another"),
    "of an unknown role": lambda secret: signed(secret, role="root"),
    "without a signature": lambda secret: signed(secret, role="admin").rpartition(".")[0] + ".",
    "of bytes": lambda _: "\xff.\xfe.\xfd",
    "of 8 kB": lambda _: "a." * 4000,
    "the demonstration's": lambda _: "demo-token",
    "none": lambda _: "",
}


@pytest.mark.parametrize("door", ["worker", "gateway"])
@pytest.mark.parametrize("name", TOKENS)
def test_a_forged_token_opens_nothing(system: System, name: str, door: str) -> None:
    token = TOKENS[name](system.servers.environment()["AUTH_SECRET"])
    answer = system.send(
        door, request("GET", under(door, "/sagas"), f"Authorization: Bearer {token}")
    )
    answer.refused_with(401)


SPOOFED: Mapping[str, list[str]] = {
    "no cluster token": ["X-Auth-User: root", "X-Auth-Role: admin"],
    "an empty one": ["X-Cluster-Token: ", "X-Auth-User: root", "X-Auth-Role: admin"],
    "a guess": ["X-Cluster-Token: " + "0" * 64, "X-Auth-User: root", "X-Auth-Role: admin"],
    "bytes": ["X-Cluster-Token: \xff", "X-Auth-User: root", "X-Auth-Role: admin"],
    "an underscore": ["X_Cluster_Token: a", "X_Auth_Role: admin", "X_Auth_User: root"],
    "from within": ["X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=_x"],
    "for one hop": ["Connection: X-Auth-User, X-Auth-Role, X-Cluster-Token", "X-Auth-Role: admin"],
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", SPOOFED)
def test_nobody_says_who_he_is_by_a_header(
    system: System, alice: str, name: str, door: str
) -> None:
    sagas = under(door, "/sagas")
    system.send(door, request("GET", sagas, *SPOOFED[name])).refused_with(401)
    system.send(door, request("GET", sagas, alice, *SPOOFED[name])).refused_with(403)


BOBS = json.dumps({**MINE, "userId": "bob"}).encode()


@pytest.fixture(scope="module")
def of_bob(system: System) -> str:
    """An order of somebody else's; the only one that is placed here."""
    bob = system.bearer("bob")
    placed = system.send("gateway", request("POST", "/api/orders", bob, JSON, body=BOBS))
    assert 202 == placed.status
    return str(json.loads(placed.body)["orderId"])


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/orders/{}", b"", 404),
        ("POST", "/orders/{}/cancel", b"", 404),
        ("GET", "/payments/{}", b"", 404),
        ("GET", "/sagas/{}", b"", 404),
        ("GET", "/users/bob", b"", 404),
        ("GET", "/orders?userId=bob", b"", 403),
        ("POST", "/orders", BOBS, 403),
        ("POST", "/movies/m1/views", b'{"userId":"bob"}', 403),
        ("PUT", "/inventory/p1", b'{"available":1}', 403),
    ],
)
def test_nobody_comes_near_anothers_order(
    system: System,
    alice: str,
    of_bob: str,
    door: str,
    method: str,
    path: str,
    body: bytes,
    status: int,
) -> None:
    target = under(door, path.format(of_bob))
    system.send(door, request(method, target, alice, JSON, body=body)).refused_with(status)


def test_nobody_pays_or_finds_anothers_order_in_another_way(
    system: System, alice: str, of_bob: str
) -> None:
    pay = json.dumps({"orderId": of_bob}).encode()
    system.send("gateway", request("POST", "/api/pay", alice, JSON, body=pay)).refused_with(404)
    for path in ("/api/orders?userId=alice&userId=bob", "/api/orders", "/api/dashboard"):
        answer = system.send("gateway", request("GET", path, alice))
        assert 200 == answer.status
        assert of_bob.encode() not in answer.all


async def test_nothing_came_of_all_this(system: System, of_bob: str) -> None:
    placed = await read_all(system.servers.kafka, ORDER.name)
    assert {of_bob} == {record.key.decode() for record in placed}
    for process in (system.worker, system.gateway):
        assert "Traceback" not in process.program.log.read_text()
        assert mib(process) < system.began_mib[process.program.name] + GROWN_MIB_MOST
