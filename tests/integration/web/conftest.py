"""The stores' servers and databases."""

from tests.integration.stores.conftest import database, mongo_driver, redis, store_servers

__all__ = ["database", "mongo_driver", "redis", "store_servers"]
