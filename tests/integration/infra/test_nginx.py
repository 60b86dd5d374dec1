"""A real nginx: what it says itself is a problem document, and what it hands on is checked."""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.health import wait_until
from infra.local.ports import LOOPBACK, free_ports
from tests.integration.infra.front import EVENTS, WAIT_SECONDS, Gateway, Nginx, closed, three

pytestmark = pytest.mark.timeout(180)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEX = "0123456789abcdef"
# What edge.conf allows an address.
OPEN_REQUESTS = 256


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nginx, list[Gateway]]]:
    with three(tmp_path_factory.mktemp("nginx"), tls=True) as made:
        yield made


@pytest.fixture
def gateways(system: tuple[Nginx, list[Gateway]]) -> list[Gateway]:
    """The gateways, which have seen nothing yet."""
    for gateway in system[1]:
        gateway.seen.clear()
        gateway.go.clear()
    return system[1]


@pytest.fixture
def nginx(system: tuple[Nginx, list[Gateway]], gateways: list[Gateway]) -> Nginx:
    return system[0]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx whose gateway is away."""
    made = Nginx(tmp_path_factory.mktemp("alone"), [f"{LOOPBACK}:{free_ports(1)[0]}"])
    made.start()
    yield made
    made.process.terminate()


def seen(gateways: list[Gateway]) -> dict[str, str]:
    """The headers of the one request that came."""
    ((_, headers),) = [one for gateway in gateways for one in gateway.seen]
    return headers


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
    assert str(response.getheader("X-Instance-Id")).startswith("gateway-")


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
    gateways: list[Gateway],
    headers: dict[str, str],
    expected: str | None,
) -> None:
    nginx.ask("GET", "/api/x", **headers)

    trace = seen(gateways)["x-trace-id"]
    if expected is None:
        assert len(trace) == 32
        assert set(trace) <= set(HEX)
    else:
        assert expected == trace


def test_what_a_client_says_of_its_own_forwarding_is_overwritten(
    nginx: Nginx, gateways: list[Gateway]
) -> None:
    nginx.ask("GET", "/x", X_Forwarded_Host="evil", X_Forwarded_Proto="gopher", Host="shop.test")

    headers = seen(gateways)
    assert headers["x-forwarded-host"] == "shop.test"
    assert headers["x-forwarded-proto"] == "http"


def test_the_access_log_names_gateway_and_trace_and_leaves_probes_out(
    nginx: Nginx, gateways: list[Gateway]
) -> None:
    for path in ("/livez", "/api/readyz", "/metrics?x=1", "/api/last"):
        nginx.ask("GET", path, X_Trace_Id="abc-1")
    log = nginx.folder / "access.log"

    assert wait_until(lambda: "/api/last" in log.read_text(), WAIT_SECONDS)
    every = [json.loads(line) for line in log.read_text().splitlines()]
    lines = [line for line in every if line["trace_id"] == "abc-1"]
    *_, line = lines
    assert ("GET /api/last HTTP/1.1", 200) == (line["request"], line["status"])
    assert line["gateway"] in {gateway.address for gateway in gateways}
    assert line["timestamp"].endswith("Z")
    requests = [one["request"] for one in lines]
    assert not any("livez" in one or "readyz" in one or "metrics" in one for one in requests)


def test_a_client_can_not_break_the_access_logs_lines_or_forge_one(nginx: Nginx) -> None:
    forged = b'GET /api/x","trace_id":"forged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
    nginx.send(forged)
    log = nginx.folder / "access.log"

    assert wait_until(lambda: "forged" in log.read_text(), WAIT_SECONDS)
    every = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [one for one in every if "forged" in one["request"]]
    assert "forged" != line["trace_id"]


def test_an_event_reaches_the_client_before_the_next_is_sent(
    nginx: Nginx, gateways: list[Gateway]
) -> None:
    request = b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with nginx.opened(request) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        first = response.read1()
        for gateway in gateways:
            gateway.go.set()

        assert EVENTS == (first, response.read())


@pytest.mark.parametrize(("source", "refused"), [("127.0.0.2", 1), (LOOPBACK, 0)])
def test_an_address_that_is_not_our_own_may_have_so_many_requests_open(
    nginx: Nginx, gateways: list[Gateway], source: str, refused: int
) -> None:
    request = b"GET /held HTTP/1.1\r\nHost: x\r\nX-Trace-Id: many\r\n\r\n"
    held = [nginx.opened(request, source) for _ in range(OPEN_REQUESTS)]
    try:
        assert wait_until(lambda: arrived(gateways) == OPEN_REQUESTS, WAIT_SECONDS)
        with nginx.opened(request, source) as last:
            if refused:
                response = http.client.HTTPResponse(last)
                response.begin()
                answer = (response, response.read())
                assert "many" == problem(answer, 429)["traceId"]
                assert "1" == response.getheader("Retry-After")
            else:
                assert wait_until(lambda: arrived(gateways) == OPEN_REQUESTS + 1, WAIT_SECONDS)
            closed(last)
    finally:
        for gateway in gateways:
            gateway.go.set()
        for connection in held:
            closed(connection)


def arrived(gateways: list[Gateway]) -> int:
    return sum(len(gateway.seen) for gateway in gateways)


def trusting(nginx: Nginx) -> ssl.SSLContext:
    """A client that trusts the certificate and nothing else, and says that it can HTTP/2."""
    context = ssl.create_default_context(cafile=str(nginx.certificate.path))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def handshake(nginx: Nginx, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    assert nginx.tls is not None
    raw = socket.create_connection((LOOPBACK, nginx.tls.port.number), WAIT_SECONDS)
    try:
        return context.wrap_socket(raw, server_hostname=name)
    except BaseException:
        raw.close()
        raise


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_tls_is_spoken_with_the_certificate_that_was_made(nginx: Nginx, name: str) -> None:
    with handshake(nginx, trusting(nginx), name) as connection:
        assert ("TLSv1.3", "h2") == (connection.version(), connection.selected_alpn_protocol())


def test_a_client_that_does_not_trust_the_certificate_goes_no_further(nginx: Nginx) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(nginx, ssl.create_default_context(), "localhost")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_what_is_older_than_tls_1_2_is_refused(nginx: Nginx) -> None:
    context = trusting(nginx)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else the client itself would not try
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        handshake(nginx, context, "localhost")


def test_the_gateway_is_told_that_the_client_spoke_tls(
    nginx: Nginx, gateways: list[Gateway]
) -> None:
    context = ssl.create_default_context(cafile=str(nginx.certificate.path))

    response, _ = nginx.ask_with_tls("/x", context)

    assert 200 == response.status
    assert "https" == seen(gateways)["x-forwarded-proto"]
    assert response.getheader("Strict-Transport-Security") is None


def test_plain_http_at_the_port_of_tls_is_a_400(nginx: Nginx) -> None:
    assert nginx.tls is not None
    request = b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    problem(nginx.send(request, nginx.tls.port.number), 400)
