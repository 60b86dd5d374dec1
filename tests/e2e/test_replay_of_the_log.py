"""The whole log processed again, from its first record."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from app.codec import decode
from app.topics import BY_NAME
from infra.local.testing import LocalServers
from tests.kafka import eventually, read_all
from tests.shop import ROOT, Shop, order, post_all

pytestmark = pytest.mark.timeout(180)
END_SECONDS = 60
# A named member is given up only after the session time-out.
EMPTY_SECONDS = 40


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with LocalServers(tmp_path_factory.mktemp("log")) as servers:
        shop = Shop(
            servers,
            env={
                "SESSION_TIMEOUT_SECONDS": "6",
                "PAYMENT_FAILURE_RATE": "0.2",
                "INVENTORY_FAILURE_RATE": "0.1",
                # Nobody asks the gateway while they stop.
                "SHUTDOWN_DELAY_SECONDS": "0",
            },
        )
        try:
            yield shop
        finally:
            shop.stop()


async def events(shop: Shop) -> dict[str, Counter[bytes]]:
    """Each event of the log by its id, with how often it was written with which value and time."""
    found: dict[str, Counter[bytes]] = {}
    for record in await read_all(shop.servers.kafka, *BY_NAME):
        event = decode(BY_NAME[record.topic], record.key, record.value, record.headers)
        found.setdefault(event.id, Counter())[record.value + event.time.encode()] += 1
    return found


async def test_going_back_to_the_first_record_emits_the_same_events_and_changes_nothing(
    shop: Shop,
) -> None:
    await shop.stock({"bowl": 120, "dish": 1000})
    shop.start("worker-1", "worker-2")
    ids = await post_all(shop.url, [order(("bowl", 1), ("dish", 2))] * 200)
    ends = await shop.all_end(ids, END_SECONDS)
    assert {None, "OUT_OF_STOCK", "PAYMENT_FAILED"} == {reason for _, reason in ends.values()}
    await shop.books_balance()
    before = await events(shop)
    for worker in shop.workers.values():
        worker.terminate()

    await eventually(lambda: _all_went_back(shop), EMPTY_SECONDS, "all groups go back", 1.0)
    shop.start("worker-1", "worker-2", gateway=False)
    await shop.at_rest()
    assert ends == await shop.statuses(ids)
    await shop.books_balance()
    after = await events(shop)
    assert before.keys() == after.keys(), "the same events"
    for event_id, written in after.items():
        assert before[event_id].keys() == written.keys(), "with the same data and time"
    # Every event but OrderPlaced again; a later step hears the repetitions of the one before, too.
    assert 200 == sum(written.total() == 1 for written in after.values())


async def _all_went_back(shop: Shop) -> bool:
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "infra.local", "kafka-tool", "consumer-groups"),
            *("--bootstrap-server", shop.servers.kafka, "--all-groups"),
            *("--reset-offsets", "--to-earliest", "--all-topics", "--execute"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # The tool says where a group would go even when it may not.
    return "NEW-OFFSET" in done.stdout and "Error" not in done.stdout + done.stderr
