"""What an operator asks when all the scenarios are over."""

import pytest

from tests.e2e.scenarios.stage import Stage

pytestmark = pytest.mark.timeout(240)


async def test_the_books_balance_though_the_provider_keeps_its_ledger_to_itself(
    stage: Stage,
) -> None:
    await stage.shop.books_balance()
