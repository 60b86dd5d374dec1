"""The simulated payment provider, its books on a real wire server."""

import asyncio
from collections.abc import Sequence
from math import ceil

import pytest

from app.domain.payment import Action, Request, Result
from app.domain.simulation import fails
from app.providers.simulated import DECLINED, SimulatedProvider
from app.stores.errors import ConflictError
from app.stores.mongo import Database
from tests.builders import TickingClock, order_id

pytestmark = pytest.mark.timeout(60)

MANY = 5_000
RATE = 0.1
SEED = 7


def charges(*numbers: int, amount: int = 255) -> list[Request]:
    return [Request(Action.CHARGE, order_id(n), amount) for n in numbers]


def refunds(*numbers: int, amount: int = 255) -> list[Request]:
    return [Request(Action.REFUND, order_id(n), amount) for n in numbers]


@pytest.fixture
def provider(database: Database) -> SimulatedProvider:
    return SimulatedProvider(database["ledger"], failure_rate=RATE, seed=SEED, clock=TickingClock())


async def asked_until_answered(
    provider: SimulatedProvider, requests: Sequence[Request]
) -> Sequence[Result]:
    """As the payment service does: a conflict passes when asked again."""
    while True:
        try:
            return await provider.call(requests)
        except ConflictError:
            continue


async def test_asked_twice_it_charges_once_and_answers_the_same(
    provider: SimulatedProvider, database: Database
) -> None:
    first = await provider.call(charges(*range(50)))
    entries = await database["ledger"].find().to_list(None)

    assert list(first) == list(await provider.call(charges(*range(50))))
    assert entries == await database["ledger"].find().to_list(None)
    assert 50 == len(entries)


async def test_asked_for_another_amount_it_keeps_to_the_first(
    provider: SimulatedProvider, database: Database
) -> None:
    await provider.call(charges(1, amount=255))
    await provider.call(charges(1, amount=999))

    assert [255] == [entry["amount"] for entry in await database["ledger"].find().to_list(None)]


async def test_asked_by_ten_at_once_it_charges_once_and_answers_all_the_same(
    database: Database,
) -> None:
    # Each a provider of its own, as in as many processes.
    providers = [
        SimulatedProvider(database["ledger"], failure_rate=RATE, seed=SEED, clock=TickingClock())
        for _ in range(10)
    ]

    async with asyncio.timeout(30):
        answers = await asyncio.gather(
            *(asked_until_answered(each, charges(*range(40))) for each in providers)
        )

    assert 40 == await database["ledger"].count_documents({})
    assert all(list(answers[0]) == list(answer) for answer in answers)


async def test_it_declines_the_share_that_the_rate_says_and_just_those_that_the_seed_says(
    provider: SimulatedProvider,
) -> None:
    answers = await provider.call(charges(*range(MANY)))

    declined = {n for n, answer in enumerate(answers) if not answer.ok}
    assert {n for n in range(MANY) if fails(SEED, "payment", order_id(n), RATE)} == declined
    # Three standard deviations of a binomial share.
    assert abs(len(declined) / MANY - RATE) <= 3 * (RATE * (1 - RATE) / MANY) ** 0.5
    assert {DECLINED} == {answers[n].detail for n in declined}
    assert MANY - len(declined) == len({a.payment_id for a in answers if a.ok})


async def test_it_refunds_once(provider: SimulatedProvider, database: Database) -> None:
    charged = next(n for n in range(MANY) if not fails(SEED, "payment", order_id(n), RATE))
    (paid,) = await provider.call(charges(charged))
    (first,) = await provider.call(refunds(charged))
    entry = await database["ledger"].find_one({"_id": order_id(charged)})

    (second,) = await provider.call(refunds(charged))

    assert paid.ok
    assert first == second
    assert first.ok
    assert entry is not None
    assert "refundedAt" in entry
    assert entry == await database["ledger"].find_one({"_id": order_id(charged)})


async def test_a_refund_of_what_was_not_charged_moves_nothing_and_no_charge_can_follow_it(
    provider: SimulatedProvider, database: Database
) -> None:
    declined = next(n for n in range(MANY) if fails(SEED, "payment", order_id(n), RATE))
    await provider.call(charges(declined))

    answers = await provider.call(refunds(declined, MANY + 1))

    assert [True, True] == [answer.ok for answer in answers]
    assert 0 == await database["ledger"].count_documents({"refundedAt": {"$exists": True}})
    (late,) = await provider.call(charges(MANY + 1))
    assert not late.ok
    assert 0 == await database["ledger"].count_documents({"ok": True})


async def test_a_withdrawal_gives_back_a_charge_whose_answer_was_lost(
    provider: SimulatedProvider, database: Database
) -> None:
    charged = next(n for n in range(MANY) if not fails(SEED, "payment", order_id(n), RATE))
    await provider.call(charges(charged))

    (answer,) = await provider.call([Request(Action.WITHDRAW, order_id(charged), 0)])

    assert answer.ok
    assert 1 == await database["ledger"].count_documents({"refundedAt": {"$exists": True}})


async def test_a_charge_asked_for_again_after_the_refund_charges_nothing(
    provider: SimulatedProvider, database: Database
) -> None:
    charged = next(n for n in range(MANY) if not fails(SEED, "payment", order_id(n), RATE))
    await provider.call(charges(charged))
    await provider.call(refunds(charged))
    entries = await database["ledger"].find().to_list(None)

    (answer,) = await provider.call(charges(charged))

    assert answer.ok
    assert entries == await database["ledger"].find().to_list(None)


async def test_answers_come_in_the_order_of_the_requests(provider: SimulatedProvider) -> None:
    numbers = [5, 3, 9, 1]
    known = await provider.call(charges(3, 9))

    answers = await provider.call(charges(*numbers))

    assert list(known) == [answers[1], answers[2]]
    assert {f"sim-{order_id(n)}" for n in numbers} >= {a.payment_id for a in answers if a.ok}


async def test_a_call_takes_its_delay_once_for_as_many_as_run_at_once(database: Database) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    slow = SimulatedProvider(database["ledger"], delay=0.5, concurrency=10, sleep=sleep)
    await slow.call(charges(*range(25)))

    assert [0.5] * ceil(25 / 10) == slept


async def test_with_no_failure_rate_every_order_is_charged(database: Database) -> None:
    answers = await SimulatedProvider(database["ledger"]).call(charges(*range(500)))

    assert all(answer.ok for answer in answers)
