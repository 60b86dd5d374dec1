"""The demonstrations on one small system: every claim of theirs holds.

`test-scaling` is left out: it starts and stops workers, as `tests/e2e/test_rolling.py` does.
"""

from collections.abc import Iterator

import pytest
from rich.console import Console

from infra.demo import balancing, kafka_lessons, race, saga, trace
from infra.demo import system as systems
from infra.demo.claims import Status
from infra.demo.command import Demo, run
from infra.demo.system import System
from infra.local.process import Stage

pytestmark = pytest.mark.timeout(240)

DEMOS = (saga, race, kafka_lessons, trace, balancing)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with systems.own(print, GATEWAYS="2") as started:
        yield started


@pytest.fixture
def console() -> Console:
    return Console(width=160)


@pytest.mark.parametrize("demo", [module.DEMO for module in DEMOS], ids=lambda demo: demo.name)
def test_every_claim_of_a_demonstration_holds(system: System, console: Console, demo: Demo) -> None:
    before = {stage: system.members(stage) for stage in Stage}
    claims = run(demo, system, console)
    assert [] == [claim for claim in claims.made if not claim.holds]
    assert claims.made
    # It leaves what runs as it was.
    assert before == {stage: system.members(stage) for stage in Stage}


def test_a_trace_that_nobody_used_is_found_nowhere(
    system: System, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "LINES_SECONDS", 0.0)
    options = trace.DEMO.parser().parse_args(["4bf92f3577b34da6a3ce929d0e0e4736"])
    claims = run(trace.DEMO, system, console, options)
    assert Status.FAILS is claims.status
    assert not any(claim.holds for claim in claims.made)
