"""Where the workers of a Kafka cluster are: each says its address when it joins a group."""

import asyncio
import zlib
from collections.abc import Iterable
from typing import Any

import orjson
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError


async def worker_urls(admin: Any, groups: Iterable[str]) -> list[str]:
    """The addresses of the groups' members, each once; while a group rebalances, it has none.

    Raises:
        KafkaError: the broker does not answer.
    """
    found: set[str] = set()
    # One group a request: of several in one, aiokafka misreads all but the first.
    asked = (admin.describe_consumer_groups([group]) for group in groups)
    for (response,) in await asyncio.gather(*asked):
        for member in response.to_object()["groups"][0]["members"]:
            url = url_in(member["member_metadata"])
            if url:
                found.add(url)
    return sorted(found)


def url_in(metadata: bytes) -> str | None:
    """The address in a member's metadata; None where another assignor than Faust's wrote it."""
    try:
        said = ConsumerProtocolMemberMetadata.decode(metadata).user_data
        url = orjson.loads(zlib.decompress(said) if said[:1] == b"x" else said)["url"]
    except (KafkaError, zlib.error, ValueError, KeyError, TypeError):
        return None
    return url.rstrip("/") if isinstance(url, str) else None
