"""Sends records and waits until the broker has acknowledged every one of them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from faust.exceptions import FaustError

# Above the producer's own retries of a request, below the time work in flight may take when
# partitions are taken away.
SEND_TIMEOUT_SECONDS = 10.0
UNSENDABLE = (MessageSizeTooLargeError, RecordListTooLargeError)


class PublishError(Exception):
    """A record was not acknowledged; it may have been delivered all the same."""


class UnsendableError(Exception):
    """A record can't be sent for what it is: sending it again will not help."""


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
        on_sent: told the records of each call, once all are acknowledged.
    """

    def __init__(
        self,
        app: Any,
        *,
        timeout: float = SEND_TIMEOUT_SECONDS,
        on_sent: Callable[[Sequence[OutRecord]], None] = lambda records: None,
    ) -> None:
        self._app = app
        self._timeout = timeout
        self._on_sent = on_sent

    async def __call__(self, records: Sequence[OutRecord]) -> None:
        """Send all, then wait for all.

        Raises:
            PublishError: at least one was not acknowledged in time. Send all of them again.
            UnsendableError: at least one is too large.
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
            if isinstance(error.__cause__ or error, UNSENDABLE):
                raise UnsendableError(f"{len(records)} records: {error!r}") from error
            raise PublishError(f"{len(records)} records: {error!r}") from error
        self._on_sent(records)
