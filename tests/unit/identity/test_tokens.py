"""Tokens: which of them give an identity."""

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from hypothesis import given
from hypothesis import strategies as st

from app.identity import Principal, Role
from app.identity.bearer import KeysUnavailableError, TokenError, bearer_of, challenge
from app.identity.jwks import keys_of
from app.identity.tokens import NOT_VALID, TOKEN_MAX_CHARACTERS, Issuer, Verifier
from tests.unit.identity.tokens import (
    SECRET,
    by_hand,
    claims,
    jwks,
    pem,
    signed,
    signed_rs256,
)

ALICE = Principal("alice", Role.OPERATOR)
HEADER = {"alg": "HS256", "typ": "JWT"}


class Keys:
    """The first key, or whatever `error` says."""

    def __init__(self, error: Exception | None = None) -> None:
        self.keys = keys_of(jwks("first"))
        self.error = error
        self.asked = 0

    async def get(self, kid: str | None) -> RSAPublicKey | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.keys.get(kid)


def verifier(*secrets: str, keys: Keys | None = None) -> Verifier:
    return Verifier(secrets, keys, issuer="orderflow", audience="orderflow", leeway_seconds=10)


BY_SECRET = verifier(SECRET)
BY_KEYS = verifier(keys=Keys())


async def refusal(verifies: Verifier, token: str) -> str:
    with pytest.raises(TokenError) as refused:
        await verifies.verify(token)
    return str(refused.value)


async def test_a_token_of_our_own_says_whose_it_is() -> None:
    issuer = Issuer(SECRET, "orderflow", "orderflow", seconds=60)
    for principal in (ALICE, Principal("ünï cøde/%", Role.CUSTOMER), Principal("x" * 128)):
        assert principal == await BY_SECRET.verify(issuer.issue(principal, time.time()))


async def test_a_token_of_ours_ends() -> None:
    issuer = Issuer(SECRET, "orderflow", "orderflow", seconds=60)
    assert "The token has expired." == await refusal(
        BY_SECRET, issuer.issue(ALICE, time.time() - 71)
    )
    assert ALICE == await BY_SECRET.verify(issuer.issue(ALICE, time.time() - 65))  # the leeway


async def test_a_token_of_the_issuers_key_says_whose_it_is() -> None:
    assert ALICE == await BY_KEYS.verify(signed_rs256())


async def test_who_has_no_role_is_a_customer() -> None:
    assert Principal("alice") == await BY_SECRET.verify(signed(role=None))


async def test_while_a_secret_is_replaced_both_verify() -> None:
    both = verifier("n" * 32, SECRET)
    assert ALICE == await both.verify(signed(SECRET))
    assert ALICE == await both.verify(signed("n" * 32))


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (lambda: signed("another secret that nobody has set"), NOT_VALID),
        (lambda: signed(exp=int(time.time()) - 11), "The token has expired."),
        (lambda: signed(nbf=int(time.time()) + 60), "The token is not valid yet."),
        (lambda: signed(iss="somebody"), NOT_VALID),
        (lambda: signed(aud="another service"), NOT_VALID),
        (lambda: signed(exp=None), NOT_VALID),
        (lambda: signed(exp=10**400), NOT_VALID),
        (lambda: signed(sub=None), NOT_VALID),
        (lambda: signed(iss=None), NOT_VALID),
        (lambda: signed(aud=None), NOT_VALID),
        (lambda: signed(sub=""), NOT_VALID),
        (lambda: signed(sub="a\nb"), NOT_VALID),
        (lambda: signed(sub="x" * 129), NOT_VALID),
        (lambda: signed(role="root"), NOT_VALID),
        (lambda: signed(role=3), NOT_VALID),
        (lambda: signed(role=["admin"]), NOT_VALID),
        (lambda: signed(padding="x" * TOKEN_MAX_CHARACTERS), "The token is too long."),
        (lambda: signed()[:-2], NOT_VALID),
        (lambda: signed().rpartition(".")[0] + ".", NOT_VALID),
        (lambda: jwt.encode(claims(), "", algorithm="none"), NOT_VALID),
        (lambda: by_hand({"alg": "none"}, claims()), NOT_VALID),
        (lambda: by_hand({"alg": "None"}, claims(), SECRET.encode()), NOT_VALID),
        (lambda: by_hand({"typ": "JWT"}, claims(), SECRET.encode()), NOT_VALID),
        (lambda: by_hand({"alg": ["HS256"]}, claims(), SECRET.encode()), NOT_VALID),
        (lambda: by_hand({**HEADER, "crit": ["exp"]}, claims(), SECRET.encode()), NOT_VALID),
        (lambda: by_hand(HEADER, [], SECRET.encode()), NOT_VALID),
        (lambda: by_hand(HEADER, b"[" * 2500, SECRET.encode()), NOT_VALID),
        (lambda: by_hand(b"[" * 2500, claims(), SECRET.encode()), NOT_VALID),
        (lambda: by_hand(HEADER, b'{"exp": 1e999}', SECRET.encode()), NOT_VALID),
        (signed_rs256, NOT_VALID),
    ],
)
async def test_a_secret_verifies_nothing_else(token: Callable[[], str], words: str) -> None:
    assert words == await refusal(BY_SECRET, token())


async def test_the_hand_that_forges_could_also_sign() -> None:
    """Else the tokens made by hand above would be refused for being made badly."""
    assert ALICE == await BY_SECRET.verify(by_hand(HEADER, claims(), SECRET.encode()))


@pytest.mark.parametrize(
    "token",
    [
        lambda: by_hand({**HEADER, "kid": "first"}, claims(), pem()),
        lambda: by_hand({"alg": "RS256", "kid": "first"}, claims(), pem()),
        signed,
        lambda: by_hand({"alg": "none", "kid": "first"}, claims()),
        lambda: signed_rs256("second", kid="first"),
        lambda: signed_rs256("second"),
        lambda: signed_rs256(exp=int(time.time()) - 11),
        lambda: signed_rs256(aud="another"),
    ],
)
async def test_a_published_key_verifies_only_what_its_owner_signed(
    token: Callable[[], str],
) -> None:
    await refusal(BY_KEYS, token())


async def test_with_both_configured_neither_verifies_the_others_algorithm() -> None:
    both = verifier(SECRET, keys=Keys())
    assert ALICE == await both.verify(signed())
    assert ALICE == await both.verify(signed_rs256())
    await refusal(both, by_hand({**HEADER, "kid": "first"}, claims(), pem()))


async def test_a_token_is_verified_anew_once_a_minute_and_at_its_end() -> None:
    keys, now = Keys(), [time.time()]
    verifies = Verifier((), keys, "orderflow", "orderflow", 10, clock=lambda: now[0])
    token = signed_rs256(exp=int(now[0]) + 90)
    for expected, seconds in ((1, 0), (1, 59), (2, 2), (2, 38), (3, 2)):
        now[0] += seconds
        assert ALICE == await verifies.verify(token)
        assert expected == keys.asked

    keys.keys = keys_of(jwks("second"))
    now[0] += 61
    assert NOT_VALID == await refusal(verifies, token)


async def test_with_nothing_configured_no_token_is_valid() -> None:
    for token in (signed(), signed_rs256(), by_hand(HEADER, claims())):
        assert NOT_VALID == await refusal(verifier(), token)


async def test_keys_that_cant_be_had_are_no_fault_of_the_token() -> None:
    with pytest.raises(KeysUnavailableError):
        await verifier(keys=Keys(KeysUnavailableError("away"))).verify(signed_rs256())


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(), v))
names = st.sampled_from(["sub", "role", "iss", "aud", "exp", "nbf", "iat", "jti", "x"])
headers = st.fixed_dictionaries(
    {"alg": st.sampled_from(["HS256", "RS256", "none"]) | values},
    optional={"kid": values, "crit": values, "b64": values, "typ": values, "jku": values},
)


@given(
    token=st.text(max_size=60)
    | st.builds(".".join, st.lists(st.text("eyJhbGciOiJIUzI1NiJ9_-", max_size=30), max_size=5))
    | st.builds(by_hand, headers, st.dictionaries(names, values), st.sampled_from([b"", b"x"]))
)
async def test_garbage_is_refused_and_never_more(token: str) -> None:
    await refusal(verifier(SECRET, keys=Keys()), token)


@given(payload=st.dictionaries(names, values))
async def test_signed_claims_give_an_identity_or_are_refused(payload: dict[str, Any]) -> None:
    token = by_hand(HEADER, json.dumps(claims() | payload).encode(), SECRET.encode())
    try:
        principal = await BY_SECRET.verify(token)
    except TokenError:
        return
    assert principal.user_id == (claims() | payload)["sub"]


@pytest.mark.parametrize(
    ("given_headers", "expected"),
    [
        ([], None),
        (["Bearer abc"], "abc"),
        (["bearer  abc "], "abc"),
        (["Basic abc"], None),
        (["abc"], None),
        (["Bearer"], ""),
    ],
)
def test_the_token_is_what_follows_the_scheme(
    given_headers: list[str], expected: str | None
) -> None:
    assert expected == bearer_of(given_headers)


def test_two_authorization_headers_are_none() -> None:
    with pytest.raises(TokenError):
        bearer_of(["Bearer a", "Bearer b"])


def test_an_error_is_named_only_to_who_has_shown_a_token() -> None:
    assert 'Bearer realm="orderflow"' == challenge()
    expected = 'Bearer realm="orderflow", error="invalid_token", error_description="Why."'
    assert expected == challenge(TokenError("Why."))
