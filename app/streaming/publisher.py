"""Sends records and waits until the broker has acknowledged every one of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError
from faust.exceptions import FaustError

# Above the producer's own retries of a request, below the time work in flight may take when
# partitions are taken away.
SEND_TIMEOUT_SECONDS = 10.0


class PublishError(Exception):
    """A record was not acknowledged; it may have been delivered all the same."""


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record to be sent; without `partition`, the key chooses it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    partition: int | None = None


class Publisher:
    """Sends through the producer of a Faust app.

    Args:
        app: the Faust app; its producer must be started.
        timeout: seconds within which all records of one call must be acknowledged.
    """

    def __init__(self, app: Any, *, timeout: float = SEND_TIMEOUT_SECONDS) -> None:
        self._app = app
        self._timeout = timeout

    async def __call__(self, records: Sequence[OutRecord]) -> None:
        """Send all, then wait for all.

        Raises:
            PublishError: at least one was not acknowledged in time. Send all of them again.
        """
        if not records:
            return
        producer = self._app.producer
        try:
            async with asyncio.timeout(self._timeout):
                deliveries = [
                    await producer.send(
                        record.topic,
                        record.key,
                        record.value,
                        record.partition,
                        None,
                        record.headers,
                    )
                    for record in records
                ]
                await asyncio.gather(*deliveries)
        except (KafkaError, FaustError, TimeoutError, OSError) as error:
            raise PublishError(f"{len(records)} records: {error!r}") from error
