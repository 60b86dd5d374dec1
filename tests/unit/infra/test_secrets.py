"""Secrets of one machine: made once, and nobody else's to read."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from app.identity import Principal, Role
from app.identity.configured import issuer_of, verifier_of
from app.settings import Settings
from infra.local.errors import LocalError
from infra.local.secrets import command_token, made
from infra.local.world import World


def test_all_processes_of_a_folder_get_the_same_ones(tmp_path: Path) -> None:
    programs = [
        one
        for one in World(tmp_path, {}, say=lambda _: None).programs()
        if "AUTH" in one.environment
    ]

    assert ["gateway-1", "worker-1", "worker-2"] == sorted(one.name for one in programs)
    for variable in ("AUTH_SECRET", "CLUSTER_TOKEN"):
        assert {made(tmp_path / "secrets", {})[variable]} == {
            one.environment[variable] for one in programs
        }
    assert made(tmp_path / "secrets", {}) != made(tmp_path / "others", {})


def test_only_their_owner_can_read_them(tmp_path: Path) -> None:
    made(tmp_path / "secrets", {})

    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "secrets", *(tmp_path / "secrets").iterdir())
    }
    assert {"secrets": 0o700, "auth_secret": 0o600, "cluster_token": 0o600} == modes


def test_two_commands_at_once_agree(tmp_path: Path) -> None:
    found: list[dict[str, str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(made(tmp_path / "s", {}))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 8 == len(found)
    assert all(one == found[0] for one in found)
    assert {"auth_secret", "cluster_token"} == {path.name for path in (tmp_path / "s").iterdir()}


def test_what_the_user_gives_is_not_made(tmp_path: Path) -> None:
    assert {"AUTH_SECRET", "AUTH_DEVELOPMENT", "CLUSTER_TOKEN"} == set(made(tmp_path, {}))
    assert {"CLUSTER_TOKEN"} == set(made(tmp_path, {"AUTH_SECRET": "theirs"}))
    assert {"CLUSTER_TOKEN"} == set(made(tmp_path, {"AUTH_JWKS_URL": "https://issuer/jwks"}))
    assert {"CLUSTER_TOKEN"} == set(made(tmp_path, {"AUTH_JWKS_FILE": "jwks.json"}))
    given = {"CLUSTER_TOKEN": "theirs", "AUTH_DEVELOPMENT": "off"}
    assert {"AUTH_SECRET"} == set(made(tmp_path, given))


def test_a_file_that_holds_no_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "auth_secret").write_text("\n")
    with pytest.raises(LocalError, match="auth_secret holds no secret"):
        made(tmp_path, {})


def test_a_folder_that_cant_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("not a folder")
    with pytest.raises(LocalError, match="auth_secret"):
        made(tmp_path / "secrets", {})


@pytest.mark.parametrize("name", ["AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_SECRET"])
async def test_our_commands_get_a_token_that_our_processes_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable in [v for v in os.environ if v.startswith(("AUTH", "CLUSTER_TOKEN"))]:
        monkeypatch.delenv(variable)
    given = {"AUTH": "on", name: "of our own and as long as it has to be"}
    environment = {**given, **made(tmp_path, given)}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)

    token = command_token(environment)["ORDERFLOW_TOKEN"]

    verified = await verifier_of(Settings()).verify(token)
    assert Principal("orderflow-run", Role.OPERATOR) == verified


@pytest.mark.parametrize(
    "environment",
    [
        {"AUTH": "off", "AUTH_SECRET": "s" * 32},
        {"AUTH": "on"},
        {"AUTH": "on", "AUTH_SECRET": "s" * 32, "ORDERFLOW_TOKEN": "theirs"},
    ],
)
def test_no_token_is_made_where_none_is_needed_or_one_is_there(environment: dict[str, str]) -> None:
    assert {} == command_token(environment)


async def test_an_issuer_signs_with_the_first_secret_and_each_verifies() -> None:
    settings = Settings(auth="off", auth_secret=f"{'n' * 32}, {'o' * 32}")
    issuer = issuer_of(settings)
    assert issuer is not None
    token = issuer.issue(Principal("alice"), time.time())

    for secret in ("n" * 32, f"{'o' * 32},{'n' * 32}"):
        verifier = verifier_of(Settings(auth_secret=secret))
        assert Principal("alice") == await verifier.verify(token)
