"""What the settings make of identity."""

import time
from pathlib import Path

import pytest

from app.identity import Principal, Role
from app.identity.bearer import TokenError
from app.identity.configured import issuer_of, openness, verifier_of
from app.settings import Settings
from tests.unit.identity.tokens import CLUSTER_TOKEN, SECRET, jwks, signed, signed_rs256

ALICE = Principal("alice", Role.OPERATOR)


async def test_a_file_of_keys_verifies_what_they_signed_and_gives_out_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "jwks.json").write_bytes(jwks("first", "second"))
    settings = Settings(auth_jwks_file=str(tmp_path / "jwks.json"))

    assert ALICE == await verifier_of(settings).verify(signed_rs256("second"))
    with pytest.raises(TokenError):
        await verifier_of(settings).verify(signed())
    assert issuer_of(settings) is None


async def test_tokens_name_the_issuer_and_audience_that_are_set() -> None:
    named = {"auth_secret": SECRET, "auth_issuer": "us", "auth_audience": "them"}
    issuer = issuer_of(Settings(**named, auth_token_seconds=60))  # type: ignore[arg-type]
    assert issuer is not None
    token = issuer.issue(ALICE, time.time())

    assert ALICE == await verifier_of(Settings(**named)).verify(token)  # type: ignore[arg-type]
    with pytest.raises(TokenError):
        await verifier_of(Settings(auth_secret=SECRET)).verify(token)


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.0.2.7", "workers.example"])
def test_who_listens_to_other_machines_without_asking_for_a_token_is_warned(bind: str) -> None:
    warning = openness(Settings(auth="off"), bind)
    assert warning is not None
    assert bind in warning
    closed = Settings(auth="on", auth_secret=SECRET, cluster_token=CLUSTER_TOKEN)
    assert openness(closed, bind) is None


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_who_listens_to_this_machine_only_is_not(bind: str) -> None:
    assert openness(Settings(auth="off"), bind) is None
