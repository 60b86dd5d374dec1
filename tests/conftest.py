"""Fixtures of the whole suite: one set of real servers for a session."""

from typing import Any

import pytest

from infra.local.testing import local_servers

__all__ = ["local_servers"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share out files in our own way, where files are what is asked for."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.sharing_out import SharingOut

    return SharingOut(config, log)
