"""test-kafka: an order in the log, members that share, groups that each get all, and lag."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from app.topics import ORDER
from infra.demo.api import Api, own_name, until
from infra.demo.claims import Claims, NotInTimeError
from infra.demo.command import Demo, main, number
from infra.demo.kafka import Cluster, cluster, consumer, partition_of, producer, records_of

ABOUT = """What Kafka does for the system: an order posted over HTTP is a record under its id; two
members of a group share a topic's partitions, so each record is read once; another group reads
all of them as well; a group that pauses lags, and catches up."""

RECORDS = 600
MOST_RECORDS = 100_000
PARTITIONS = 6
# A group forms within the broker's and the clients' usual seconds.
WAIT_SECONDS = 30.0
POLL_MS = 200
# The group's members tell the broker that they live, and hear of each other, this often.
HEARTBEAT_MS = 500


class Member:
    """A member of a group that reads until it is stopped, committing what it has read."""

    def __init__(self, name: str, reading: Any) -> None:
        self.name = name
        self.reading = reading
        self.keys: Counter[str] = Counter()
        self.partitions: set[int] = set()

    async def run(self) -> None:
        """Read on."""
        while True:
            for where, records in (await self.reading.getmany(timeout_ms=POLL_MS)).items():
                self.keys.update(record.key.decode() for record in records)
                self.partitions.add(where.partition)
                await self.reading.commit({where: records[-1].offset + 1})

    def pause(self) -> None:
        """Fetch nothing, and stay a member."""
        self.reading.pause(*self.reading.assignment())

    def resume(self) -> None:
        """Fetch on."""
        self.reading.resume(*self.reading.paused())


async def show(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    """Publish, share, broadcast, lag."""
    async with cluster(api.system.kafka) as kafka:
        await _published(api, claims)
        topic = own_name("topic")
        groups = [own_name("group-a"), own_name("group-b")]
        await kafka.create_topic(topic, PARTITIONS)
        try:
            await _shared(kafka, claims, topic, groups, options.records)
        finally:
            await kafka.forget(topic, groups)

        async def forgotten() -> bool:
            return not {topic, *groups} & (await kafka.groups() | await kafka.topics())

        with suppress(NotInTimeError):
            await until(forgotten, WAIT_SECONDS, "topic and groups are deleted")
        left = {topic, *groups} & (await kafka.groups() | await kafka.topics())
        claims.claim(
            "nothing of this is left behind",
            holds=not left,
            evidence=f"still there: {sorted(left)}" if left else "topic and groups are deleted",
        )


async def _published(api: Api, claims: Claims) -> None:
    product = own_name("kafka")
    await api.stock(product, 1)
    order = await api.place("demo-reader", product)
    await api.ended(order)
    records = await records_of(api.system.kafka, ORDER.name, order)
    types = [dict(record.headers).get("ce_type", b"").decode() for record in records]
    claims.claim(
        f"an order posted over HTTP is in {ORDER.name} under its id",
        holds=types[:1] == ["OrderPlaced"],
        evidence="; ".join(
            f"key {record.key.decode()} partition {record.partition} offset {record.offset} {kind}"
            for record, kind in zip(records, types, strict=True)
        )
        or "no record of this key",
    )
    where = partition_of(order, PARTITIONS)
    claims.claim(
        "its partition follows from its key alone, so all its events are in one, in their order",
        holds={record.partition for record in records} == {where}
        and [record.offset for record in records] == sorted(record.offset for record in records),
        evidence=f"murmur2({order}) mod {PARTITIONS} = {where}",
    )


async def _shared(
    kafka: Cluster, claims: Claims, topic: str, groups: list[str], records: int
) -> None:
    first, second = groups
    keys = [f"record-{n}" for n in range(records)]
    async with AsyncExitStack() as stack:
        pair = [
            await stack.enter_async_context(_member(kafka.bootstrap, topic, first, f"member-{n}"))
            for n in (1, 2)
        ]

        async def balanced() -> dict[str, frozenset[int]] | None:
            group = await kafka.group(first)
            parts = dict(group.of(topic))
            whole = group.stable and sum(map(len, parts.values())) == PARTITIONS
            return parts if whole and len(parts) == len(pair) and all(parts.values()) else None

        parts = await until(balanced, WAIT_SECONDS, f"two members of {first} have partitions")
        claims.claim(
            f"two members of one group share the {PARTITIONS} partitions, each has its own",
            holds=sorted(n for some in parts.values() for n in some) == list(range(PARTITIONS)),
            evidence=", ".join(f"{name}: {sorted(some)}" for name, some in sorted(parts.items())),
        )
        await _produce(kafka.bootstrap, topic, keys)
        await _until_read(pair, records)
        read = sum((member.keys for member in pair), Counter[str]())
        claims.claim(
            f"each of {records} records is read by one of the two, once",
            holds=read == Counter(keys),
            evidence=", ".join(f"{one.name} read {one.keys.total()}" for one in pair)
            + f"; {len(read)} different ones, {read.total() - len(read)} read again",
        )
        alone = await stack.enter_async_context(
            _member(kafka.bootstrap, topic, second, "member-of-b")
        )
        await _until_read([alone], records)
        claims.claim(
            "a second group reads all of them as well: a broadcast to groups",
            holds=alone.keys == Counter(keys) == read,
            evidence=f"group b, one member: {alone.keys.total()} records of all "
            f"{len(alone.partitions)} partitions; group a still {read.total()}",
        )
        await _lagging(kafka, claims, topic, second, alone, keys)


async def _lagging(
    kafka: Cluster, claims: Claims, topic: str, group: str, member: Member, keys: list[str]
) -> None:
    async def caught_up() -> bool:
        return await kafka.lag(group, topic) == 0

    await until(caught_up, WAIT_SECONDS, f"{group} has no lag")
    member.pause()
    lags = [await kafka.lag(group, topic)]
    half = len(keys) // 2
    for some in (keys[:half], keys[half:]):
        await _produce(kafka.bootstrap, topic, some)
        lags.append(await kafka.lag(group, topic))
    claims.equal(
        "while a member pauses its group's lag grows by what is written",
        [0, half, len(keys)],
        lags,
    )
    read_before = member.keys.total()
    member.resume()
    await until(caught_up, WAIT_SECONDS, f"{group} has caught up")
    await _until_read([member], 2 * len(keys))
    claims.claim(
        "once it goes on the lag shrinks to 0, and nothing was missed",
        holds=member.keys == Counter(keys * 2),
        evidence=f"lag {lags[-1]} -> {await kafka.lag(group, topic)}, "
        f"records read {read_before} -> {member.keys.total()}",
    )


async def _until_read(members: list[Member], records: int) -> None:
    async def read() -> bool:
        return sum(member.keys.total() for member in members) >= records

    await until(read, WAIT_SECONDS, f"{records} records are read")


async def _produce(bootstrap: str, topic: str, keys: list[str]) -> None:
    async with producer(bootstrap) as writing:
        sent = [await writing.send(topic, key=key.encode(), value=b"{}") for key in keys]
        await asyncio.gather(*sent)


@asynccontextmanager
async def _member(bootstrap: str, topic: str, group: str, name: str) -> AsyncIterator[Member]:
    async with consumer(
        bootstrap, topic, group_id=group, client_id=name, heartbeat_interval_ms=HEARTBEAT_MS
    ) as reading:
        member = Member(name, reading)
        running = asyncio.create_task(member.run())
        try:
            yield member
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def arguments(parser: argparse.ArgumentParser) -> None:
    """How many records."""
    parser.add_argument("--records", type=number(MOST_RECORDS), default=RECORDS)


DEMO = Demo("test-kafka", ABOUT, show, arguments)

if __name__ == "__main__":
    sys.exit(main(DEMO))
