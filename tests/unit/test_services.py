"""When a service's app is ready."""

from typing import Any

import pytest

from app.service_app import ServiceApp

READY = {"joined": True, "rebalancing": False, "recovered": True}


def app(**state: Any) -> ServiceApp:
    made = ServiceApp(
        "ready-test", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False
    )
    made.joined = state["joined"]
    made.rebalancing = state["rebalancing"]
    made.tables.actives_ready = state["recovered"]
    return made


def test_a_service_is_ready_when_it_has_joined_and_read_its_tables_back() -> None:
    assert app(**READY).ready


@pytest.mark.parametrize("change", [{"joined": False}, {"rebalancing": True}, {"recovered": False}])
def test_a_service_is_not_ready_before_or_while_it_is_moved(change: dict[str, bool]) -> None:
    assert not app(**{**READY, **change}).ready
