"""Who may call what, and how the gateway says who asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity import EVERYBODY, Principal, Role
from app.identity.passing import CLUSTER_TOKEN, ROLE, USER, is_ours, passed_on, principal_of
from app.identity.policy import Routes, Who, who_may
from app.identity.principal import user_id
from tests.unit.identity.tokens import CLUSTER_TOKEN as TOKEN

ROUTES = Routes()


def test_a_role_includes_those_below_it() -> None:
    who_is_let_in = {
        who: [role.label for role in Role if who.admits(Principal("u", role))] for who in Who
    }

    everybody = ["customer", "operator", "admin"]
    assert {
        Who.ANYONE: everybody,
        Who.WORKERS: [],
        Who.USERS: everybody,
        Who.OWNER: everybody,
        Who.OPERATORS: ["operator", "admin"],
        Who.ADMINS: ["admin"],
    } == who_is_let_in


def test_a_customer_sees_what_is_its_own_and_an_operator_what_is_anybodys() -> None:
    assert Principal("alice").sees("alice")
    assert not Principal("alice").sees("bob")
    assert not Principal("alice").sees("Alice")
    assert Principal("oscar", Role.OPERATOR).sees("bob")
    assert EVERYBODY.sees("bob")


def test_a_route_that_nobody_has_decided_on_is_for_nobody() -> None:
    assert who_may("GET", "/secrets") is None
    assert who_may("DELETE", "/orders/{orderId}") is None
    assert Who.OWNER is who_may("HEAD", "/orders/{orderId}")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/orders", Who.OWNER),
        ("HEAD", "/sagas", Who.OPERATORS),
        ("PUT", "/inventory/85123A", Who.ADMINS),
        ("PUT", "/inventory/a%2Fb", Who.ADMINS),
        ("PUT", "/%69nventory/x", Who.ADMINS),
        ("GET", "/inventory/x/history", Who.OPERATORS),
        ("GET", "/movies/top", Who.USERS),
        ("GET", "/analytics/stream", Who.OPERATORS),
        ("GET", "/analytics/parts/x", Who.WORKERS),
        ("POST", "/dlq/order.events.v1.dlq/replay", Who.OPERATORS),
        ("GET", "/topics/order.events.v1/messages", Who.OPERATORS),
        ("PUT", "/inventory/", None),
        ("GET", "/orders/", None),
        ("DELETE", "/orders", None),
        ("GET", "/", Who.ANYONE),
        ("GET", "/console/main.js", Who.ANYONE),
        ("GET", "/sagas/flow", Who.OPERATORS),
        ("GET", "", None),
        ("GET", "/%ff", None),
    ],
)
def test_a_path_is_found_as_its_client_wrote_it(
    method: str, path: str, expected: Who | None
) -> None:
    assert expected is ROUTES.who_may(method, path)


def is_an_id(text: str) -> bool:
    try:
        return user_id(text) == text
    except ValueError:
        return False


@given(user=st.text(min_size=1, max_size=128).filter(is_an_id), role=st.sampled_from(Role))
def test_a_worker_hears_whom_the_gateway_has_verified(user: str, role: Role) -> None:
    headers = passed_on(Principal(user, role), TOKEN)

    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert is_ours(headers, TOKEN)
    assert Principal(user, role) == principal_of(headers)


@pytest.mark.parametrize("given_token", [None, "", "wrong", TOKEN + "x", "ü", "\udcff"])
def test_headers_without_the_cluster_token_are_nobodys(given_token: str | None) -> None:
    headers = {} if given_token is None else {CLUSTER_TOKEN: given_token}
    assert not is_ours(headers, TOKEN)
    assert not is_ours(headers, "")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {USER: "alice"},
        {ROLE: "admin"},
        {USER: "", ROLE: "admin"},
        {USER: "a%00", ROLE: "admin"},
        {USER: "%ff", ROLE: "admin"},
        {USER: "alice", ROLE: "root"},
        {USER: "alice", ROLE: ""},
    ],
)
def test_headers_that_say_no_identity_give_none(headers: dict[str, str]) -> None:
    assert principal_of(headers) is None
