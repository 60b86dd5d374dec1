"""A stage for each order of steps, shared by all scenarios."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from app.saga import SAGAS
from infra.local.testing import LocalServers
from tests.e2e.scenarios.scene import Scene
from tests.e2e.scenarios.stage import Stage


@pytest.fixture(scope="package", params=SAGAS)
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with LocalServers(tmp_path_factory.mktemp("scenarios")) as servers:
        stage = Stage(servers, request.param)
        try:
            stage.start()
            yield stage
        finally:
            stage.stop()


@pytest.fixture
def hurried(stage: Stage) -> None:
    """Orders that take too long are cancelled."""
    stage.hurry()


@pytest.fixture
async def scene(stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    if "hurried" not in request.fixturenames:
        stage.calm()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Scene(stage, session)
    stage.restore()
