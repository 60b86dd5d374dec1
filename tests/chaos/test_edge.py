"""A worker, a gateway and Redis die under load behind nginx: clients are told so, in time and in
the way that is declared, and no order that was accepted is lost."""

from pathlib import Path

from benchmarks.edge.faults import FAULTS, fault
from benchmarks.edge.system import system

# A load that a busy machine bears: what is proved here depends on no rate.
RATE = 30
BEFORE_SECONDS, AWAY_SECONDS, AFTER_SECONDS = 2.0, 2.0, 6.0
# Every fault falls into posts and reads of all kinds, and they are not all refused.
LEAST_FINE = 0.3


async def test_a_worker_a_gateway_and_redis_die_under_load_and_no_accepted_order_is_lost(
    tmp_path: Path,
) -> None:
    async with system(tmp_path) as shop:
        for name in FAULTS:
            found = await fault(
                shop,
                name,
                RATE,
                before=BEFORE_SECONDS,
                away=AWAY_SECONDS,
                after=AFTER_SECONDS,
            )
            # 502, 503 or 504 as problem+json; no broken connection, and no answer that never comes.
            assert {} == found.forbidden, (name, found.figures.errors)
            assert 0 == found.lost, name
            accepted = found.figures.record.accepted
            assert len(set(accepted)) == len(accepted), (
                "two posts with keys of their own, one order"
            )
            assert found.figures.error_share < 1 - LEAST_FINE, (name, found.figures.errors)
        assert await shop.balances()
