"""`/users`."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.stores.repositories import USERS
from app.web.requests import EMAIL
from tests.unit.web.conftest import World

ALICE: dict[str, Any] = {"userId": "alice", "name": "Alice Émile", "email": "alice@example.com"}


async def add(world: World, **changes: Any) -> Any:
    return await world.client.post("/users", json=ALICE | changes)


async def test_a_new_user_is_created_and_found(world: World) -> None:
    response = await add(world)

    expected = ALICE | {"createdAt": "2026-01-31T12:00:00.123Z"}
    assert (201, expected) == (response.status, await response.json())
    assert "/users/alice" == response.headers["Location"]
    assert expected == await (await world.get("/users/alice")).json()


async def test_an_id_is_made_up_where_none_is_given(world: World) -> None:
    for body in ({"name": "A", "email": "a@b.cd"}, ALICE | {"userId": None}):
        response = await world.client.post("/users", json=body)

        user = await response.json()
        assert 201 == response.status
        assert 36 == len(user["userId"])
        assert 200 == (await world.get(response.headers["Location"])).status


async def test_an_id_that_is_taken_is_a_conflict(world: World) -> None:
    await add(world)

    response = await add(world, name="Another")

    assert 409 == response.status
    assert "application/problem+json" == response.content_type
    assert "Alice Émile" == (await (await world.get("/users/alice")).json())["name"]


async def test_the_location_of_any_id_leads_to_its_user(world: World) -> None:
    for user_id in ("a b/c?é%", "#1", "x&y=z;"):
        created = await add(world, userId=user_id)

        response = await world.client.get(created.headers["Location"])

        assert (200, user_id) == (response.status, (await response.json())["userId"])


async def test_an_unknown_user_is_not_found(world: World) -> None:
    for path in ("none", "%00", "%ED%A0%80", "x" * 129):
        assert 404 == (await world.get(f"/users/{path}")).status


async def test_users_are_listed_page_by_page(world: World) -> None:
    for user_id in ("c", "a", "b"):
        await add(world, userId=user_id)

    first = await (await world.get("/users?limit=2")).json()
    last = await (await world.get(f"/users?limit=2&cursor={first['nextCursor']}")).json()

    assert ["a", "b"] == [user["userId"] for user in first["users"]]
    assert ["c"] == [user["userId"] for user in last["users"]]
    assert last["nextCursor"] is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"email": "alice"}, "email"),
        ({"email": None}, "email"),
        ({"email": "a@" + "b" * 250 + ".com"}, "email"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"userId": ""}, "userId"),
        ({"userId": 7}, "userId"),
        ({"userId": "x" * 129}, "userId"),
        ({"role": "admin"}, "role"),
    ],
)
async def test_what_is_wrong_is_named(world: World, changes: Any, named: str) -> None:
    response = await add(world, **changes)

    assert 422 == response.status
    assert named == (await response.json(content_type=None))["errors"][0]["field"]
    assert not world.database[USERS].documents


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 10_000])
async def test_what_is_no_json_is_a_bad_request(world: World, body: bytes) -> None:
    response = await world.client.post(
        "/users", data=body, headers={"Content-Type": "application/json"}
    )

    assert 400 == response.status


@pytest.mark.parametrize(
    "address",
    [
        "a@b.cd",
        "first.last+tag@sub.example.co.uk",
        "o'neil@example.com",
        "x" * 64 + "@example.com",
        "1@2.com",
        "a@xn--bcher-kva.example",
    ],
)
def test_an_address_is_taken(address: str) -> None:
    assert EMAIL.fullmatch(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@",
        "a@",
        "@b.cd",
        "a@b",
        "a b@c.de",
        "a@b c.de",
        "a@@b.cd",
        "a@b@c.de",
        ".a@b.cd",
        "a.@b.cd",
        "a..b@c.de",
        "a@.b.cd",
        "a@b..cd",
        "a@b.cd.",
        "a@-b.cd",
        "a@b-.cd",
        "a@b.c",
        "a@b.cd\n",
        "x" * 65 + "@example.com",
        "é@example.com",
        "Alice <a@b.cd>",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert not EMAIL.fullmatch(address)


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
bodies = st.dictionaries(st.sampled_from(["userId", "name", "email", "x"]), anything) | anything


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(body=bodies, path=st.sampled_from(["/users", "/inventory/p", "/orders/x/cancel"]))
async def test_no_body_whatever_breaks_the_server(world: World, body: Any, path: str) -> None:
    response = await world.client.request(
        "PUT" if "inventory" in path else "POST",
        path,
        data=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )

    assert response.status in {201, 400, 404, 409, 422}
    await response.json(content_type=None)
