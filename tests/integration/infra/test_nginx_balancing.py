"""A real nginx and three gateways: who gets which request, also when one of them is gone."""

from collections import Counter
from collections.abc import Iterator
from http.cookies import SimpleCookie

import pytest

from infra.local.errors import ProgramDiedError
from infra.local.health import wait_until
from infra.local.ports import LOOPBACK
from tests.integration.infra.front import (
    NAMES,
    WAIT_SECONDS,
    Answer,
    Gateway,
    Nginx,
    closed,
    name_of,
    three,
)

pytestmark = pytest.mark.timeout(180)

COOKIE = "orderflow_gateway"
HELD = b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
TURNS = 9


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with three(tmp_path_factory.mktemp("nginx")) as (made, _):
        yield made


@pytest.fixture
def gateways(nginx: Nginx) -> Iterator[list[Gateway]]:
    """Three gateways of this test's own, at addresses that nginx is told with the next strategy."""
    made = [Gateway(name) for name in NAMES]
    nginx.gateways = [gateway.address for gateway in made]
    yield made
    for gateway in made:
        gateway.stop()


def cookie_of(answer: Answer) -> str | None:
    """The value of our cookie, where the answer sets it."""
    morsel = SimpleCookie(answer[0].getheader("Set-Cookie") or "").get(COOKIE)
    return morsel.value if morsel is not None else None


def bodies(gateways: list[Gateway]) -> list[bytes]:
    """What reached any gateway, as often as it did."""
    return sorted(body for gateway in gateways for body, _ in gateway.seen)


def test_round_robin_spreads_evenly(nginx: Nginx, gateways: list[Gateway]) -> None:
    nginx.use("round_robin")

    names = [name_of(nginx.ask("GET", "/x")) for _ in range(TURNS)]

    assert dict.fromkeys(NAMES, TURNS / len(NAMES)) == Counter(names)


@pytest.mark.parametrize(("strategy", "avoided"), [("least_conn", True), ("round_robin", False)])
def test_least_conn_avoids_the_gateway_that_holds_a_request(
    nginx: Nginx, gateways: list[Gateway], strategy: str, avoided: bool
) -> None:
    nginx.use(strategy)
    with nginx.opened(HELD) as held:
        assert wait_until(lambda: any(gateway.seen for gateway in gateways), WAIT_SECONDS)
        (busy,) = [gateway.name for gateway in gateways if gateway.seen]

        names = {name_of(nginx.ask("GET", "/x")) for _ in range(TURNS)}
        closed(held)

    assert set(NAMES) - ({busy} if avoided else set()) == names


def test_ip_hash_keeps_each_client_at_one_gateway(nginx: Nginx, gateways: list[Gateway]) -> None:
    nginx.use("ip_hash")
    # It takes the first three numbers of an address.
    clients = [f"127.0.{number}.1" for number in range(1, 21)]

    of_each = {
        client: {name_of(nginx.ask("GET", "/x", source=client)) for _ in range(3)}
        for client in clients
    }

    assert {1} == {len(names) for names in of_each.values()}
    assert set(NAMES) == set().union(*of_each.values())


def test_sticky_keeps_a_cookie_at_its_gateway(nginx: Nginx, gateways: list[Gateway]) -> None:
    nginx.use("sticky")
    homes = set()
    for _ in range(12):
        first = nginx.ask("GET", "/x")
        cookie = cookie_of(first)
        assert cookie is not None
        home = name_of(first)
        homes.add(home)

        again = [nginx.ask("GET", "/x", Cookie=f"{COOKIE}={cookie}") for _ in range(3)]

        assert [home] * 3 == [name_of(answer) for answer in again]
        assert [None] * 3 == [cookie_of(answer) for answer in again]
    assert len(homes) > 1


def test_sticky_moves_on_when_the_cookies_gateway_dies(
    nginx: Nginx, gateways: list[Gateway]
) -> None:
    nginx.use("sticky")
    first = nginx.ask("GET", "/x")
    home, cookie = name_of(first), cookie_of(first)
    next(gateway for gateway in gateways if gateway.name == home).stop()

    later = [nginx.ask("POST", "/x", b"once", Cookie=f"{COOKIE}={cookie}") for _ in range(6)]

    (other,) = {name_of(answer) for answer in later}
    assert home != other


def test_a_cookie_that_is_not_ours_is_replaced(nginx: Nginx, gateways: list[Gateway]) -> None:
    nginx.use("sticky")

    answer = nginx.ask("GET", "/x", Cookie=f"{COOKIE}=the-same-for-all")

    cookie = cookie_of(answer)
    assert cookie is not None
    assert len(cookie) == 32
    attributes = str(answer[0].getheader("Set-Cookie")).split("; ")[1:]
    assert ["Path=/", "HttpOnly", "SameSite=Lax"] == attributes


def test_without_sticky_no_cookie_is_set(nginx: Nginx, gateways: list[Gateway]) -> None:
    nginx.use("least_conn")

    assert nginx.ask("GET", "/x")[0].getheader("Set-Cookie") is None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_a_dead_gateway_never_saw_goes_to_the_next(
    nginx: Nginx, gateways: list[Gateway], method: str
) -> None:
    nginx.use("round_robin")
    gateways[0].stop()
    sent = [str(number).encode() for number in range(TURNS)]

    names = {name_of(nginx.ask(method, "/x", body)) for body in sent}

    assert set(NAMES[1:]) == names
    assert sent == bodies(gateways)


def test_a_get_that_a_dying_gateway_may_have_seen_goes_to_the_next(
    nginx: Nginx, gateways: list[Gateway]
) -> None:
    nginx.use("round_robin")
    gateways[0].breaks = True

    names = {name_of(nginx.ask("GET", "/x")) for _ in range(TURNS)}

    assert set(NAMES[1:]) == names
    assert gateways[0].seen


def test_a_post_that_a_dying_gateway_may_have_seen_goes_nowhere_else(
    nginx: Nginx, gateways: list[Gateway]
) -> None:
    nginx.use("round_robin")
    gateways[0].breaks = True
    sent = [str(number).encode() for number in range(len(NAMES))]

    answers = [nginx.ask("POST", "/x", body) for body in sent]

    assert [200, 200, 502] == sorted(response.status for response, _ in answers)
    assert sent == bodies(gateways)


def test_a_gateway_that_failed_three_times_is_left_alone_for_a_while(
    nginx: Nginx, gateways: list[Gateway]
) -> None:
    nginx.use("round_robin")
    gateways[0].breaks = True

    def left_alone() -> bool:
        before = len(gateways[0].seen)
        for _ in range(TURNS):
            nginx.ask("GET", "/x")
        return before == len(gateways[0].seen)

    def back() -> bool:
        return NAMES[0] == name_of(nginx.ask("GET", "/x"))

    assert wait_until(left_alone, WAIT_SECONDS)
    gateways[0].breaks = False
    assert wait_until(back, WAIT_SECONDS)


def test_a_request_under_way_outlives_new_settings(nginx: Nginx, gateways: list[Gateway]) -> None:
    nginx.use("round_robin")
    with nginx.opened(HELD) as held:
        assert wait_until(lambda: any(gateway.seen for gateway in gateways), WAIT_SECONDS)
        nginx.use("least_conn")
        for gateway in gateways:
            gateway.go.set()

        assert held.recv(100).startswith(b"HTTP/1.1 200 ")


def test_settings_that_nginx_can_not_take_are_reported_and_the_old_ones_go_on(
    nginx: Nginx, gateways: list[Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    nginx.use("round_robin")
    monkeypatch.setattr("infra.local.nginx.RELOAD_SECONDS", 1.0)
    taken = nginx.front
    busy = Gateway("somebody else's")
    listening = f"listen {LOOPBACK}:{nginx.port};\nlisten {busy.address};\n"
    try:
        monkeypatch.setattr("infra.local.nginx._listening", lambda _: listening.splitlines())
        with pytest.raises(ProgramDiedError, match="did not take its new settings"):
            nginx.use("least_conn")
        assert name_of(nginx.ask("GET", "/x")) in NAMES
    finally:
        nginx.front = taken
        busy.stop()
