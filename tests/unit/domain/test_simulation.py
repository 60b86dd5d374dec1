"""Seeded failures."""

from app.domain.simulation import fails
from tests.builders import order_id

MANY = 5_000


def share(rate: float, seed: int = 0) -> float:
    return sum(fails(seed, "payment", order_id(n), rate) for n in range(MANY)) / MANY


def test_the_share_that_fails_is_the_rate() -> None:
    for rate in (0.01, 0.1, 0.5, 0.9):
        # Three standard deviations of a binomial share.
        allowed = 3 * (rate * (1 - rate) / MANY) ** 0.5
        assert abs(share(rate) - rate) <= allowed


def test_a_rate_of_none_or_all_is_exact() -> None:
    assert 0.0 == share(0.0)
    assert 1.0 == share(1.0)


def test_the_same_order_fails_the_same_way_every_time_and_at_every_higher_rate() -> None:
    for n in range(200):
        once = fails(1, "payment", order_id(n), 0.3)
        assert once == fails(1, "payment", order_id(n), 0.3)
        assert not once or fails(1, "payment", order_id(n), 0.4)


def test_another_seed_or_step_fails_other_orders() -> None:
    def failing(seed: int, step: str) -> list[int]:
        return [n for n in range(200) if fails(seed, step, order_id(n), 0.3)]

    assert failing(0, "payment") != failing(1, "payment")
    assert failing(0, "payment") != failing(0, "inventory")
