"""Redis and MongoDB by TLS: their URLs say so, and nothing else has to."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from app.resources import Resources
from app.settings import Settings
from infra.local.ports import LOOPBACK, free_ports
from tests.kafka import eventually
from tests.tls import Authority

SECONDS = 60
STOP_SECONDS = 10


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.fixture
def redis_port(authority: Authority, tmp_path: Path) -> Iterator[int]:
    """The port of a Redis that speaks nothing but TLS."""
    certificate, key = authority.issue("redis", LOOPBACK)
    (port,) = free_ports(1)
    command: list[Any] = [
        *(shutil.which("redis-server") or "redis-server", "--bind", LOOPBACK, "--port", "0"),
        *("--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key),
        *("--tls-auth-clients", "no", "--save", "", "--dir", tmp_path),
    ]
    server = subprocess.Popen([str(one) for one in command], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        server.terminate()
        server.wait(STOP_SECONDS)


async def test_redis_is_reached_by_tls_where_its_url_says_so_and_not_without_trust(
    redis_port: int, authority: Authority
) -> None:
    url = f"rediss://{LOOPBACK}:{redis_port}/0"
    trusting = Resources.connect(Settings(redis_url=f"{url}?ssl_ca_certs={authority.path}"))
    doubting = Resources.connect(Settings(redis_url=url))

    async def answers() -> bool:
        try:
            return bool(await trusting.redis.ping())
        except RedisConnectionError:
            return False

    try:
        await eventually(answers, SECONDS, "Redis answers")
        with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            await doubting.redis.ping()
    finally:
        await trusting.close()
        await doubting.close()


async def test_mongodb_is_asked_for_tls_where_its_url_says_so(authority: Authority) -> None:
    url = f"mongodb://{LOOPBACK}/orderflow?tls=true&tlsCAFile={authority.path}"
    resources = Resources.connect(Settings(mongodb_url=url))
    try:
        pool = resources.database.client.options.pool_options
        assert pool._ssl_context is not None
        assert pool.tls_allow_invalid_hostnames is False
    finally:
        await resources.close()
