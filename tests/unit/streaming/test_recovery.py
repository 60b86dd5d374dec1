"""What Faust's recovery forgets, and ours does not."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.tables.recovery import Recovery
from faust.types import TP

from app.streaming import install
from app.streaming.table import chunk_table

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


RECORDS = 100
SECONDS = 20.0


class Log:
    """Changelogs of so many records each, that are asked for and never arrive."""

    def __init__(self) -> None:
        self.read_from: asyncio.Queue[Collection[TP]] = asyncio.Queue()

    async def highwaters(self, *tps: TP) -> Mapping[TP, int]:
        return dict.fromkeys(tps, RECORDS)

    async def earliest_offsets(self, *tps: TP) -> Mapping[TP, int]:
        return dict.fromkeys(tps, 0)

    async def seek_wait(self, offsets: Mapping[TP, int | None]) -> None:
        if any(offset is None or offset < 0 for offset in offsets.values()):
            raise ValueError("Offset must be a positive integer")  # as the client does

    def resume_partitions(self, tps: Collection[TP]) -> None:
        self.read_from.put_nowait(frozenset(tps))

    def pause_partitions(self, tps: Collection[TP]) -> None:
        """Nothing arrives anyway."""

    def resume_flow(self) -> None:
        """Nothing flows."""


async def test_a_rebalance_in_the_middle_of_a_recovery_with_standbys_begins_it_anew(
    app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker reads two partitions back; then one of them goes to another, as whose standby it
    follows it."""
    app.conf.datadir = tmp_path
    table = chunk_table(app, "kept", on_fatal=print)
    app.tables._changelogs[table.changelog_topic_name] = table
    own, others = (TP(table.changelog_topic_name, partition) for partition in (0, 1))
    log = Log()
    monkeypatch.setattr(app, "consumer", log)
    recovery: Recovery = app.tables.recovery
    given: dict[str, set[TP]] = {}
    monkeypatch.setattr(app.assignor, "assigned_actives", lambda: given["actives"])
    monkeypatch.setattr(app.assignor, "assigned_standbys", lambda: given["standbys"])
    recovering = asyncio.create_task(Recovery._restart_recovery.fun(recovery))
    try:
        given |= {"actives": {own, others}, "standbys": set()}
        await recovery.on_rebalance({own, others}, set(), {own, others})
        assert {own, others} == await asyncio.wait_for(log.read_from.get(), SECONDS)

        given |= {"actives": {own}, "standbys": {others}}
        await recovery.on_rebalance({own, others}, set(), set())

        assert {own} == await asyncio.wait_for(log.read_from.get(), SECONDS)
        assert not recovering.done()
    finally:
        recovering.cancel()
        await asyncio.gather(recovering, return_exceptions=True)
