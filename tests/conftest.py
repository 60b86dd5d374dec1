"""Fixtures of the whole suite: one set of real servers for a session."""

from infra.local.testing import local_servers

__all__ = ["local_servers"]
