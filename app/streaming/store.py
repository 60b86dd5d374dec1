"""RocksDB for a table, without a walk over all objects of the process where nothing is closed."""

from collections.abc import Collection
from typing import Any

from faust.stores.rocksdb import Store


class TableStore(Store):
    """Faust's store, that takes partitions over faster."""

    def revoke_partitions(self, table: Any, tps: Collection[Any]) -> None:
        """Close the databases of partitions that have gone to others.

        RocksDB frees a folder once nothing refers to its database, so Faust has Python collect all
        garbage then; and does it for each table of each rebalance, also where no partition has
        gone: 0.1 s each of a worker's time, in which it neither answers nor recovers.
        """
        topics = table.changelog_topic.topics
        if any(tp.topic in topics and tp.partition in self._dbs for tp in tps):
            super().revoke_partitions(table, tps)


def store_of(table: Any) -> TableStore:
    """The store of a table, as Faust makes its own."""
    # A URL without a path: the store adds the table's name.
    return TableStore(
        "rocksdb://",
        table.app,
        table,
        table_name=table.name,
        key_type=table.key_type,
        key_serializer=table.key_serializer,
        value_type=table.value_type,
        value_serializer=table.value_serializer,
        loop=table.loop,
        options=table.options,
    )
