"""What an operator asks when all the scenarios are over."""

import asyncio

import orjson
import pytest

from tests.e2e.scenarios.stage import Stage

pytestmark = pytest.mark.timeout(240)
# `test_posting` sends another order under a key that Redis has just forgotten: an operator hears
# of it, and the first one counts.
KEY_USED_TWICE = "one event id has two contents"


async def test_the_books_balance_though_the_provider_keeps_its_ledger_to_itself(
    stage: Stage,
) -> None:
    await stage.shop.at_rest()

    stores = await asyncio.to_thread(stage.shop.command, "verify", "--no-topics", check=False)
    assert 0 == stores.returncode, stores.stdout

    all_of_it = await asyncio.to_thread(stage.shop.command, "verify", "--json", check=False)
    found = orjson.loads(all_of_it.stdout)["discrepancies"]
    assert [] == [one for one in found if KEY_USED_TWICE not in one["problem"]]
    assert len({one["key"] for one in found}) <= 1
