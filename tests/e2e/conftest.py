"""A shop for each test module: two workers and a gateway on servers of its own."""

from collections.abc import Iterator

import pytest

from infra.local.testing import LocalServers
from tests.shop import Shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with LocalServers(tmp_path_factory.mktemp("shop")) as servers:
        shop = Shop(servers)
        try:
            shop.start("worker-1", "worker-2")
            yield shop
        finally:
            shop.stop()
