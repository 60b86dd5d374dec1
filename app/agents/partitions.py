"""Which partition an order is in."""

from aiokafka.partitioner import murmur2

POSITIVE = 0x7FFFFFFF


def partition_of(order_id: str, partitions: int) -> int:
    """The partition of an order's events: Kafka's default for a key (murmur2)."""
    return int(murmur2(order_id.encode()) & POSITIVE) % partitions
