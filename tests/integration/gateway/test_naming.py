"""A gateway before one name that stands for several workers, as in containers."""

from collections.abc import Sequence
from functools import partial

import pytest

from gateway import app as gateway_app
from gateway.naming import Names
from tests.integration.gateway.servers import Gateway, gateway, until, upstream

pytestmark = pytest.mark.timeout(30)

NAME = "workers.test"


class NameService:
    """What the name stands for, as the test says; nothing is an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses: tuple[str, ...] = addresses
        monkeypatch.setattr(gateway_app, "Names", partial(Names, lookup=self.of))

    async def of(self, host: str, _port: int) -> Sequence[str]:
        assert host == NAME
        if not self.addresses:
            raise OSError("not known")
        return self.addresses


def before(port: int) -> dict[str, object]:
    return {"gateway_workers": f"http://{NAME}:{port}", "gateway_resolve_seconds": 0.05}


def urls(front: Gateway) -> list[str]:
    return [worker.url for worker in front.workers]


async def test_each_address_of_a_name_is_a_worker_and_takes_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    NameService(monkeypatch, "127.0.0.2", "127.0.0.3")
    async with (
        upstream(host="127.0.0.2") as one,
        upstream(host="127.0.0.3", port=one.port) as two,
        gateway(**before(one.port)) as front,
    ):
        for _ in range(4):
            assert 200 == (await front.client.get("/api/orders")).status

        assert [one.url, two.url] == urls(front)
        assert [2, 2] == [len(worker.seen) for worker in (one, two)]


async def test_replicas_come_and_go_and_so_do_their_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = NameService(monkeypatch, "127.0.0.2")
    async with (
        upstream(host="127.0.0.2") as one,
        upstream(host="127.0.0.3", port=one.port) as two,
        gateway(**before(one.port)) as front,
    ):
        assert [one.url] == urls(front)
        stays = front.workers[0]

        names.addresses = ("127.0.0.2", "127.0.0.3")
        await until(lambda: front.live == 2)
        assert stays in front.workers
        names.addresses = ("127.0.0.3",)
        await until(lambda: urls(front) == [two.url])

        assert 200 == (await front.client.get("/api/orders")).status
        assert ([], 1) == (one.seen, len(two.seen))
        shown = await (await front.client.get("/metrics")).text()
        assert f'circuit_breaker_state{{target="{two.url}"}} 0.0' in shown
        assert one.url not in shown
        checked = one.checks
        await until(lambda: two.checks > 5)
        assert checked >= one.checks - 1  # at most the one that was under way


async def test_a_name_service_that_is_away_takes_no_worker_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = NameService(monkeypatch, "127.0.0.2")
    async with upstream(host="127.0.0.2") as one, gateway(**before(one.port)) as front:
        names.addresses = ()
        checked = one.checks
        await until(lambda: one.checks > checked + 5)

        assert 200 == (await front.client.get("/api/orders")).status


async def test_a_gateway_that_finds_nobody_says_so_until_somebody_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = NameService(monkeypatch)
    async with upstream(host="127.0.0.2") as one, gateway(**before(one.port)) as front:
        assert 503 == (await front.client.get("/readyz")).status
        assert 503 == (await front.client.get("/api/orders")).status

        names.addresses = ("127.0.0.2",)
        await until(lambda: front.live == 1)

        assert 200 == (await front.client.get("/readyz")).status
