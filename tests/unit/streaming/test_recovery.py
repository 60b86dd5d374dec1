"""What Faust's recovery forgets, and ours does not."""

from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.tables.recovery import Recovery

from app.streaming import install

pytestmark = pytest.mark.timeout(60)
STANDBY = "a record that was fetched for a standby"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Faust app whose recovery is about to be completed, without a broker."""
    app = faust.App("group", broker="kafka://127.0.0.1:1", stream_wait_empty=True)
    install(app)

    async def maybe_start() -> None:
        """It fetches already."""

    monkeypatch.setattr(app.consumer, "assignment", set)
    monkeypatch.setattr(app, "_fetcher", SimpleNamespace(maybe_start=maybe_start))
    monkeypatch.setattr(app.assignor, "assigned_standbys", set)
    return app


async def test_what_was_fetched_for_a_standby_is_there_when_the_streams_begin_to_flow(
    app: Any,
) -> None:
    recovery: Recovery = app.tables.recovery
    queue = app.tables.changelog_queue
    queue.put_nowait(STANDBY)

    await recovery.on_recovery_completed(app.consumer_generation_id)

    assert recovery.completed.is_set()
    assert STANDBY == queue.get_nowait()


async def test_what_was_fetched_before_partitions_came_anew_is_forgotten_as_ever(app: Any) -> None:
    await app.tables.recovery.on_recovery_completed(app.consumer_generation_id)
    queue = app.tables.changelog_queue
    queue.put_nowait(STANDBY)

    app.flow_control.resume()

    assert queue.empty()
