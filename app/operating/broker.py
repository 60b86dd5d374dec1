"""Connections to Kafka for one question: few at once, within a time limit, closed when done.

Nothing stays open between questions, so nothing is left over from a broker that was away or from
a client that has left. To connect costs some 10 ms.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.kafka import Refusal, client_options, refusal
from app.settings import Settings

# An operator waits for the answer; a broker that is well gives it in a tenth of a second.
QUESTION_SECONDS = 8.0
# One request to the broker: shorter, so that the error of a broker that is silent says so.
REQUEST_SECONDS = 5.0
# Each holds what it reads in memory: some megabytes.
AT_ONCE = 4
# A broker that has nothing more to say answers a fetch after this.
FETCH_WAIT_MS = 100
# Of one fetch, and of one partition in it: what a broker takes in one message by default.
FETCH_BYTES = 8 * 1_048_576
PARTITION_FETCH_BYTES = 1_048_576
# What Kafka's brokers take by default (`message.max.bytes`).
MESSAGE_MAX_BYTES = 1_048_588
CLIENT_ID = "orderflow-operator"


class BrokerAwayError(Exception):
    """Kafka does not answer, or not in time; or refuses, and then `refusal` is why."""

    def __init__(self, words: str, refusal: Refusal | None = None) -> None:
        super().__init__(words)
        self.refusal = refusal


class Connections:
    """Opens connections; all are closed with the question they were opened for."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._reached = client_options(settings)
        self._stack = stack

    async def consumer(self) -> AIOKafkaConsumer:
        """A consumer without a group: it can't commit, and nobody's partitions move for it."""
        consumer = AIOKafkaConsumer(
            **self._reached,
            client_id=CLIENT_ID,
            group_id=None,
            enable_auto_commit=False,
            # What has expired since it was asked for is passed over.
            auto_offset_reset="earliest",
            request_timeout_ms=int(REQUEST_SECONDS * 1000),
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        )
        self._stack.push_async_callback(consumer.stop)
        await consumer.start()
        return consumer

    async def admin(self) -> AIOKafkaAdminClient:
        """An administrative client; only asked here."""
        admin = AIOKafkaAdminClient(
            **self._reached,
            client_id=CLIENT_ID,
            request_timeout_ms=int(REQUEST_SECONDS * 1000),
        )
        self._stack.push_async_callback(admin.close)
        await admin.start()
        return admin

    async def producer(self) -> AIOKafkaProducer:
        """A producer whose records all in-sync replicas have, once each and in order."""
        producer = AIOKafkaProducer(
            **self._reached,
            client_id=CLIENT_ID,
            acks="all",
            enable_idempotence=True,
            max_request_size=MESSAGE_MAX_BYTES,
            request_timeout_ms=int(REQUEST_SECONDS * 1000),
        )
        self._stack.push_async_callback(producer.stop)
        await producer.start()
        return producer


class Broker:
    """Kafka, as it is asked by an operator.

    Args:
        settings: say where it is, and how it is reached.
        seconds: the time limit of a question, waiting for its turn included.
        at_once: questions under way at once; others wait for their turn.
    """

    def __init__(
        self, settings: Settings, *, seconds: float = QUESTION_SECONDS, at_once: int = AT_ONCE
    ) -> None:
        self._settings = settings
        self._seconds = seconds
        self._gate = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Connections]:
        """One question.

        Raises:
            BrokerAwayError: it could not be answered in time, or at all.
        """
        try:
            async with asyncio.timeout(self._seconds), self._gate, AsyncExitStack() as stack:
                yield Connections(self._settings, stack)
        except TimeoutError as error:
            where = self._settings.kafka_bootstrap_servers
            raise BrokerAwayError(
                f"Kafka at {where} did not answer within {self._seconds:g} s"
            ) from error
        except (KafkaError, OSError) as error:
            refused = await refusal(self._settings)
            where = self._settings.kafka_bootstrap_servers
            words = f"Kafka at {where}: {error or type(error).__name__}"
            raise BrokerAwayError(str(refused or words), refused) from error
