"""The published keys: when they are asked for, and what holds while they can't be had."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.identity.bearer import KeysUnavailableError
from app.identity.jwks import (
    ASK_AGAIN_SECONDS,
    SET_MAX_BYTES,
    STALE_SECONDS,
    Jwks,
    from_file,
    from_url,
    keys_of,
)
from tests.unit.identity.tokens import jwk, jwks, rsa_key

FRESH_SECONDS = 300.0


class Publisher:
    """Publishes these keys, unless it is away; `now` is the time."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.away = False
        self.asked = 0
        self.now = 1000.0
        self.keys = Jwks(self.load, FRESH_SECONDS, lambda: self.now)

    async def load(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise OSError("away")
        return jwks(*self.names)

    async def knows(self, kid: str | None) -> bool:
        return await self.keys.get(kid) is not None

    async def settled(self) -> None:
        """Return when what is asked for in the background has come."""
        loading = self.keys._loading
        if loading is not None:
            await loading


async def test_keys_are_asked_for_once_and_kept() -> None:
    publisher = Publisher("first", "second")

    assert [True] * 20 == await asyncio.gather(*(publisher.knows("first") for _ in range(20)))
    assert await publisher.knows("second")
    assert 1 == publisher.asked


async def test_a_new_key_is_known_with_its_first_token() -> None:
    publisher = Publisher("first")
    assert await publisher.knows("first")
    publisher.names = ("first", "second")
    publisher.now += ASK_AGAIN_SECONDS

    assert await publisher.knows("second")


async def test_unknown_keys_make_nobody_ask_more_often_than_so() -> None:
    publisher = Publisher("first")
    assert await publisher.knows("first")
    publisher.now += ASK_AGAIN_SECONDS

    for number in range(50):
        assert not await publisher.knows(f"made up {number}")

    assert 2 == publisher.asked


async def test_a_withdrawn_key_is_of_no_use_once_the_rest_is_old() -> None:
    publisher = Publisher("first", "second")
    assert await publisher.knows("first")
    publisher.names = ("second",)
    publisher.now += FRESH_SECONDS + 1

    assert await publisher.knows("first")  # nobody waits for the new ones
    await publisher.settled()

    assert not await publisher.knows("first")
    assert await publisher.knows("second")


async def test_a_publisher_that_is_away_takes_no_key_away_until_they_are_too_old() -> None:
    publisher = Publisher("first")
    assert await publisher.knows("first")
    publisher.away = True
    publisher.now += STALE_SECONDS - 1
    assert await publisher.knows("first")
    assert not await publisher.knows("made up")

    publisher.now += 1 + ASK_AGAIN_SECONDS
    with pytest.raises(KeysUnavailableError):
        await publisher.knows("first")

    publisher.away = False
    publisher.now += ASK_AGAIN_SECONDS
    assert await publisher.knows("first")


async def test_without_any_key_nothing_can_be_said() -> None:
    publisher = Publisher("first")
    publisher.away = True

    for _ in range(3):
        with pytest.raises(KeysUnavailableError):
            await publisher.knows("first")

    assert 1 == publisher.asked


async def test_a_set_that_has_no_usable_key_does_not_replace_one_that_has() -> None:
    publisher = Publisher("first")
    assert await publisher.knows("first")
    publisher.names = ()
    publisher.now += FRESH_SECONDS + 1
    await publisher.knows("first")
    await publisher.settled()

    assert await publisher.knows("first")


async def test_a_token_may_leave_out_which_key_where_there_is_one_only() -> None:
    assert await Publisher("first").knows(None)
    assert not await Publisher("first", "second").knows(None)


@pytest.mark.parametrize(
    "entry",
    [
        jwk("first", kty="oct", k="c2VjcmV0"),
        jwk("first", use="enc"),
        jwk("first", alg="RS512"),
        jwk("first", n="AQAB"),
        jwk("first", n=None),
        jwk("first", d="AQAB"),
        {"kty": "EC", "kid": "first"},
        None,
        "first",
    ],
)
def test_only_public_rsa_keys_for_signatures_are_taken(entry: Any) -> None:
    with pytest.raises(ValueError, match="no RSA key"):
        keys_of(json.dumps({"keys": [entry]}).encode())

    assert {"second"} == set(keys_of(json.dumps({"keys": [entry, jwk("second")]}).encode()))


def test_a_short_key_is_not_taken() -> None:
    assert 1024 == rsa_key("short").key_size
    with pytest.raises(ValueError, match="no RSA key"):
        keys_of(jwks("short"))


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}'])
def test_what_is_no_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        keys_of(document)


async def test_keys_come_from_a_file_that_may_be_replaced(tmp_path: Path) -> None:
    path, now = tmp_path / "jwks.json", [0.0]
    path.write_bytes(jwks("first"))
    keys = Jwks(from_file(path), 5.0, lambda: now[0])
    assert await keys.get("first") is not None

    path.write_bytes(jwks("second"))
    now[0] += ASK_AGAIN_SECONDS

    assert await keys.get("second") is not None
    assert await keys.get("first") is None


async def test_keys_come_over_http_and_of_bounded_size() -> None:
    body = [jwks("first")]

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body[0])

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("/keys")

    async def missing(_: web.Request) -> web.Response:
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/keys", answer)
    app.router.add_get("/elsewhere", elsewhere)
    app.router.add_get("/missing", missing)
    async with TestServer(app) as server:
        keys = Jwks(from_url(str(server.make_url("/keys"))), FRESH_SECONDS)
        assert await keys.get("first") is not None
        for path in ("/elsewhere", "/missing"):
            with pytest.raises(KeysUnavailableError):
                await Jwks(from_url(str(server.make_url(path))), FRESH_SECONDS).get("first")
        body[0] += b" " * SET_MAX_BYTES
        with pytest.raises(KeysUnavailableError):
            await Jwks(from_url(str(server.make_url("/keys"))), FRESH_SECONDS).get("first")
