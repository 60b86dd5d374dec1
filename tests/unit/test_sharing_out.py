"""Which tests run in one process, and which begin first."""

import pytest

from app.saga import SAGAS
from infra.local.java import ROOT
from tests.sharing_out import ALONE, BROWSER, LONGEST, together, turn

SCENARIOS = "tests/e2e/scenarios"


@pytest.mark.parametrize("steps", SAGAS)
def test_all_scenarios_of_one_order_of_steps_share_a_stage(steps: str) -> None:
    one = together(f"{SCENARIOS}/test_endings.py::test_an_order_is_sold_and_paid[{steps}]")
    other = together(f"{SCENARIOS}/test_arrivals.py::test_duplicates[{steps}-heard of]")
    assert f"{SCENARIOS} {steps}" == one == other


def test_all_that_look_at_the_console_share_a_system() -> None:
    one = together("tests/browser/test_overview.py::test_a")
    assert BROWSER == one == together("tests/browser/test_appearance.py::test_b[light]")


def test_other_tests_of_a_file_stay_together() -> None:
    file = "tests/e2e/test_saga.py"
    assert file == together(f"{file}::test_a") == together(f"{file}::test_b[1,2-c]")


def test_tests_with_servers_of_their_own_are_handed_out_one_by_one() -> None:
    for file in ALONE:
        assert f"{file}::test_a" == together(f"{file}::test_a")


def test_the_longest_come_first_and_what_is_not_named_comes_last() -> None:
    units = [
        "tests/unit/test_events.py",
        "tests/e2e/test_api.py",
        f"{SCENARIOS} {next(iter(SAGAS))}",
    ]
    assert units[::-1] == sorted(units, key=turn)


def test_all_that_is_named_is_there() -> None:
    assert [] == [path for path in (*ALONE, *LONGEST) if not (ROOT / path).exists()]
