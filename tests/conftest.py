"""Fixtures of the whole suite: one set of real servers for a session."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from infra.local.testing import local_servers

__all__ = ["local_servers"]

# How long an example takes, or the drawing of one, says how busy the machine is and nothing of us:
# Hypothesis would let a test fail for a pause of 200 ms.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share out files in our own way, where files are what is asked for."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.sharing_out import SharingOut

    return SharingOut(config, log)
