"""Faults with a real cause, that can be made and mended while the system runs.

Both lead to dead letters, and neither can be told from what happens in production: a document that
something else has spoilt, and a record that somebody else has sent.
"""

from typing import Any
from uuid import uuid4

from tests.kafka import producing

SPOILT = "fenceBefore"


async def break_product(database: Any, product: str) -> None:
    """Spoil a product's document: its fencing token is no number.

    An order of the product can't be decided by the inventory service. It tries `Limits.attempts`
    times, gives the record up as `unprocessable`, and the order waits. All other orders go on, and
    the product can be looked at as before.
    """
    found = await database.stock.find_one({"_id": product})
    assert found is not None, product
    await database.stock.update_one(
        {"_id": product}, {"$set": {"fence": None, SPOILT: found["fence"]}}
    )


async def mend_product(database: Any, product: str) -> None:
    """Undo `break_product`; what it spoilt is as it was."""
    found = await database.stock.find_one({"_id": product})
    await database.stock.update_one(
        {"_id": product}, {"$set": {"fence": found[SPOILT]}, "$unset": {SPOILT: ""}}
    )


async def send_nonsense(kafka: str, topic: str, partition: int = 0) -> str:
    """Send a record that is no event, as whoever has the wrong topic does; its key.

    Each group of the topic gives it up as `undecodable`, once.
    """
    key = str(uuid4())
    headers = [("ce_type", b"OrderPlaced")]
    async with producing(kafka) as producer:
        await producer.send_and_wait(topic, b"not an order", key.encode(), partition, None, headers)
    return key
