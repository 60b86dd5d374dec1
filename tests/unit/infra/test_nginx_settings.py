"""The files that the launcher writes for nginx, and its choice of what stands in them."""

import re
from pathlib import Path

import pytest

from app.settings import Settings
from infra.local import nginx as module
from infra.local.certificate import OWNER_ONLY, Certificate
from infra.local.errors import LocalError
from infra.local.nginx import STRATEGIES, Front, Tls, nginx, settings
from infra.local.ports import Port

PORT = Port(18000, "NGINX_PORT")
TLS_PORT = Port(18443, "NGINX_TLS_PORT")
GATEWAYS = ["127.0.0.1:3000", "127.0.0.1:3001"]


def front(folder: Path, strategy: str = "round_robin", *, tls: bool = False) -> Front:
    return Front(PORT, strategy, Tls(TLS_PORT, Certificate(folder / "tls")) if tls else None)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nginx_accepts_every_variant_and_nothing_is_left_to_fill_in(
    tmp_path: Path, strategy: str, tls: bool
) -> None:
    program = nginx(tmp_path, tmp_path / "nginx.log", front(tmp_path, strategy, tls=tls), GATEWAYS)
    assert program.prepare is not None

    program.prepare()  # raises what `nginx -t` finds

    text = "".join(path.read_text() for path in tmp_path.glob("*.conf"))
    assert "@" not in text
    for gateway in GATEWAYS:
        assert f"server {gateway} max_fails=3 fail_timeout=2s;" in text


def test_what_nginx_refuses_is_said_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PASSIVE_CHECK", "max_fails=few")
    program = nginx(tmp_path, tmp_path / "nginx.log", front(tmp_path), GATEWAYS)
    assert program.prepare is not None

    with pytest.raises(LocalError, match=r"(?s)nginx refuses its settings.*max_fails=few"):
        program.prepare()


def test_an_unknown_strategy_is_refused_by_name() -> None:
    with pytest.raises(LocalError, match="NGINX_STRATEGY=fastest: give one of round_robin, "):
        Front(PORT, "fastest")


def test_slow_clients_large_requests_and_many_at_once_are_bounded(tmp_path: Path) -> None:
    texts = settings(tmp_path, front(tmp_path), GATEWAYS)

    for line in (
        "client_header_timeout 15s;",
        "client_body_timeout 30s;",
        "send_timeout 30s;",
        "large_client_header_buffers 4 8k;",
        "client_max_body_size 2m;",
        "keepalive_requests 10000;",
        "limit_conn open_requests 256;",
    ):
        assert f"\n{line}\n" in texts["edge.conf"]


def test_a_post_that_was_sent_is_sent_to_nobody_else(tmp_path: Path) -> None:
    text = settings(tmp_path, front(tmp_path), GATEWAYS)["server.conf"]

    assert "    proxy_next_upstream error timeout;\n" in text


def test_what_waits_at_a_gateway_that_dies_is_sent_again_and_what_is_too_slow_is_not(
    tmp_path: Path,
) -> None:
    text = settings(tmp_path, front(tmp_path), GATEWAYS)["server.conf"]

    def seconds(directive: str) -> int:
        (found,) = re.findall(rf"^    {directive} (\d+)s;$", text, re.MULTILINE)
        return int(found)

    longest_wait = Settings.model_fields["wait_max_seconds"].default
    slowest_gateway = Settings.model_fields["gateway_timeout_seconds"].default
    assert longest_wait < seconds("proxy_next_upstream_timeout") < seconds("proxy_read_timeout")
    assert slowest_gateway < seconds("proxy_read_timeout")


@pytest.mark.parametrize(
    ("version", "has_http2", "expected"),
    [
        ((1, 22, 1), True, ["listen 127.0.0.1:18443 ssl http2;"]),
        ((1, 28, 0), True, ["listen 127.0.0.1:18443 ssl;", "http2 on;"]),
        ((1, 28, 0), False, ["listen 127.0.0.1:18443 ssl;"]),
    ],
)
def test_http2_is_spoken_where_nginx_can(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, ...],
    has_http2: bool,
    expected: list[str],
) -> None:
    monkeypatch.setattr(module, "abilities", lambda: (version, has_http2))

    lines = settings(tmp_path, front(tmp_path, tls=True), GATEWAYS)["listen.conf"].splitlines()

    assert ["listen 127.0.0.1:18000;", *expected] == lines[: 1 + len(expected)]
    assert "http2 on;" in expected or "http2 on;" not in lines


def test_nginx_with_other_settings_is_told_apart(tmp_path: Path) -> None:
    def shape(chosen: Front, gateways: list[str]) -> str:
        return nginx(tmp_path, tmp_path / "nginx.log", chosen, gateways).shape()

    tls = front(tmp_path, tls=True)
    plain = shape(front(tmp_path), GATEWAYS)
    without_certificate = shape(tls, GATEWAYS)
    assert tls.tls is not None
    tls.tls.certificate.ensure()
    with_certificate = shape(tls, GATEWAYS)

    assert plain == shape(front(tmp_path), GATEWAYS)
    assert with_certificate == shape(tls, GATEWAYS)
    others = {
        plain,
        without_certificate,
        with_certificate,
        shape(front(tmp_path), GATEWAYS[:1]),
        shape(front(tmp_path, "sticky"), GATEWAYS),
    }
    assert 5 == len(others)


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path / "tls")
    certificate.ensure()

    assert OWNER_ONLY == certificate.key.stat().st_mode & 0o777
    assert 0o700 == certificate.folder.stat().st_mode & 0o777
