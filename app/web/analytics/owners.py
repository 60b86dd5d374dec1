"""Who owns which partition of a table now, and where it answers: as Kafka's coordinator knows it.

Every member of a Faust group is told its assignment together with its address, and the coordinator
keeps both for whoever describes the group. So any process can look it up, also one that is no
member.
"""

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, for_code
from faust.assignor.client_assignment import ClientMetadata
from yarl import URL

from app.kafka import client_options
from app.settings import Settings

logger = logging.getLogger(__name__)

# Short beside the session time-out, after which partitions move; and a busy worker asks the broker
# once a second, not once a query.
CACHED_SECONDS = 1.0
# In the other states partitions are being given out anew.
STABLE = "Stable"

Owners = Mapping[str, Mapping[int, str]]
"""Of each topic, the URL of each partition's owner; a partition without one is left out."""
Describe = Callable[[], Awaitable[Owners]]


class OwnersUnknownError(Exception):
    """The broker does not say."""


def canonical(url: str) -> str:
    """The URL as Faust passes it on to the members of a group."""
    return str(URL(url)).rstrip("/")


def owners_in(description: Mapping[str, Any]) -> Owners:
    """The owners of all partitions that the members of a described group have as their own, not as
    standbys; none while the group is not stable."""
    owners: dict[str, dict[int, str]] = {}
    if description["state"] != STABLE:
        return owners
    for member in description["members"]:
        if not member["member_assignment"]:
            continue
        assigned = ConsumerProtocolMemberAssignment.decode(member["member_assignment"])
        metadata = ClientMetadata.loads(zlib.decompress(assigned.user_data))
        url = canonical(metadata.url)
        for topic, partitions in metadata.assignment.actives.items():
            owners.setdefault(topic, {}).update(dict.fromkeys(partitions, url))
    return owners


class GroupOwners:
    """Asks Kafka about a group; connects when first asked, and anew after an error."""

    def __init__(self, settings: Settings, group: str, *, request_seconds: float) -> None:
        self._settings = settings
        self._group = group
        self._request_seconds = request_seconds
        self._admin: AIOKafkaAdminClient | None = None

    async def __call__(self) -> Owners:
        """The owners as they are now.

        Raises:
            OwnersUnknownError: the broker does not answer.
        """
        try:
            if self._admin is None:
                self._admin = await self._connect()
            (response,) = await self._admin.describe_consumer_groups([self._group])
            (description,) = response.to_object()["groups"]
            if description["error_code"]:
                raise for_code(description["error_code"])
            return owners_in(description)
        except (KafkaError, OSError) as error:
            await self.close()
            raise OwnersUnknownError(f"group {self._group}: {error!r}") from error

    async def close(self) -> None:
        """Disconnect."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    async def _connect(self) -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(
            **client_options(self._settings),
            request_timeout_ms=int(self._request_seconds * 1000),
        )
        try:
            await admin.start()
        except BaseException:
            await admin.close()
            raise
        return admin


class KnownOwners:
    """Owners that are looked up at most once in `CACHED_SECONDS`, by one at a time."""

    def __init__(self, describe: Describe, clock: Callable[[], float]) -> None:
        self._describe = describe
        self._clock = clock
        self._asking = asyncio.Lock()
        self._at: float | None = None
        self._known: Owners = {}

    async def __call__(self, *, anew: bool = False) -> Owners:
        """The owners; `anew`: as of now, or later.

        Raises:
            OwnersUnknownError: the broker does not answer.
        """
        needed = self._clock() if anew else self._clock() - CACHED_SECONDS
        async with self._asking:
            if self._at is None or self._at < needed:
                at = self._clock()
                self._known = await self._describe()
                self._at = at
            return self._known
