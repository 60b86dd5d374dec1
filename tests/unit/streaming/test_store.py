"""What a table's store does with the databases of partitions at a rebalance."""

import gc
import weakref
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.types import TP

from app.streaming import install
from app.streaming.table import chunk_table

pytestmark = pytest.mark.timeout(30)


class Garbage:
    """Two of them that refer to each other go only when Python collects garbage."""

    other: "Garbage"


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """A table of an app without a broker, with one partition open."""
    app = faust.App("group", broker="kafka://127.0.0.1:1", datadir=tmp_path, stream_wait_empty=True)
    install(app)
    table = chunk_table(app, "kept", on_fatal=print)
    table.data._db_for_partition(1)
    return table


def is_collected(table: Any, *revoked: TP) -> bool:
    """Whether all garbage is collected when these partitions are taken away."""
    one, other = Garbage(), Garbage()
    one.other, other.other = other, one
    left = weakref.ref(one)
    gc.disable()
    try:
        del one, other
        table.data.revoke_partitions(table, set(revoked))
        return left() is None
    finally:
        gc.enable()


def test_a_database_is_closed_for_good_when_its_partition_goes(table: Any) -> None:
    assert is_collected(table, TP(table.changelog_topic_name, 1))

    assert {} == table.data._dbs
    table.data._db_for_partition(1)  # its folder's lock is free


def test_garbage_is_not_collected_where_no_database_is_closed(table: Any) -> None:
    """As when a worker takes over what another had: it loses none."""
    assert not is_collected(table)
    assert not is_collected(table, TP(table.changelog_topic_name, 2), TP("a-topic", 1))

    assert [1] == list(table.data._dbs)
