import asyncio

import pytest

from gateway import naming
from gateway.naming import ADDRESSES_MAX, Names, addresses

pytestmark = pytest.mark.timeout(30)


def names(listed: str, *found: str) -> Names:
    async def lookup(_host: str, _port: int) -> tuple[str, ...]:
        return found

    return Names(listed, lookup)


async def test_loopback_has_an_address() -> None:
    assert ["127.0.0.1"] == await addresses("127.0.0.1", 6066)


async def test_an_address_keeps_the_port_of_its_name_and_ipv6_has_brackets() -> None:
    found = await names("http://workers:6066", "10.0.0.7", "fd00::7").urls()

    assert ("http://10.0.0.7:6066", "http://[fd00::7]:6066") == found


async def test_an_address_behind_two_names_is_one_worker() -> None:
    found = await names("http://a:6066,http://b:6066", "10.0.0.7").urls()

    assert ("http://10.0.0.7:6066",) == found


async def test_there_are_so_many_workers_at_most() -> None:
    many = [f"10.0.{number // 256}.{number % 256}" for number in range(ADDRESSES_MAX + 10)]

    assert ADDRESSES_MAX == len(await names("http://workers:6066", *many).urls())


async def test_a_name_service_that_is_silent_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(naming, "LOOKUP_SECONDS", 0.01)
    answers = [["10.0.0.7"]]

    async def lookup(_host: str, _port: int) -> list[str]:
        if answers:
            return answers.pop()
        await asyncio.Event().wait()
        raise AssertionError

    looked_up = Names("http://workers:6066", lookup)

    assert await looked_up.urls() == await looked_up.urls() == ("http://10.0.0.7:6066",)


def test_a_certificate_names_no_address() -> None:
    with pytest.raises(ValueError, match="http://"):
        names("https://workers:6066")
