"""Workers and gateways as tests handle them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.errors import ProgramDiedError
from infra.local.health import http_ok, wait_until
from infra.local.testing import LocalServers, make_topics, start_gateway, start_worker

pytestmark = pytest.mark.timeout(240)
# One look has two seconds, which a busy machine may need for anything.
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    with LocalServers(tmp_path_factory.mktemp("app")) as own:
        make_topics(own)
        yield own


def test_a_killed_worker_comes_back_at_its_port_and_the_gateway_finds_it(
    servers: LocalServers,
) -> None:
    with (
        start_worker(servers, "worker-1") as worker,
        start_gateway(servers, [worker]) as gateway,
    ):
        first = (worker.pid, worker.url)
        assert wait_until(lambda: http_ok(f"{gateway.url}/readyz"), PATIENCE_SECONDS)

        worker.kill9()
        assert not worker.alive()
        worker.start()
        worker.wait_ready()

        assert worker.pid != first[0]
        assert worker.url == first[1]
        assert wait_until(worker.is_ready, PATIENCE_SECONDS)
        assert worker.terminate(), worker.log_tail()


def test_a_worker_that_is_set_wrong_is_reported_with_the_end_of_its_log(
    servers: LocalServers, tmp_path: Path
) -> None:
    with pytest.raises(ProgramDiedError, match=r"(?s)ended while starting.*weather"):
        start_worker(servers, "worker-9", env={"SERVICES": "weather"})
