"""The stores' servers and databases."""

from tests.integration.stores.conftest import database, redis, store_servers

__all__ = ["database", "redis", "store_servers"]
