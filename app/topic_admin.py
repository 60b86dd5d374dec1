"""Making sure that the broker holds the topics of the registry.

Every worker does this at its start and `faust -A app topics` does it on demand, so any number of
processes may do it at once. Nothing is ever deleted, and no partition count is ever changed: an
order's key would move to another partition, and its events out of their order.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from app.kafka import client_options, refusal
from app.settings import Settings
from app.topics import TopicPlan, plans

# A broker that is just starting answers after some 5 s; on a busy machine after 20.
BROKER_WAIT_SECONDS = 30.0
# What is still refused after so long is refused for good: a broker that is starting may not know
# its users yet, and one that is stopping closes connections.
REFUSED_WAIT_SECONDS = 2.0
# One administrative request, well above what a broker takes for twenty topics.
REQUEST_SECONDS = 10.0
# A new topic's partitions have leaders some 100 ms after it was made.
LEADERS_WAIT_SECONDS = 15.0
RETRY_SECONDS = 0.2

RETENTION = "retention.ms"
# `config_source` of a setting made for this topic, as against a default (KIP-226).
TOPIC_LEVEL = 1
NO_LEADER = -1


class TopicError(Exception):
    """The broker's topics can't be made what they must be."""


class TopicMismatchError(TopicError):
    """A topic that exists has another partition count than the settings say."""


class BrokerUnreachableError(TopicError):
    """No broker answered in time."""


class BrokerRefusedError(TopicError):
    """A broker does not let us in, or we don't trust it."""


class Action(StrEnum):
    """What was done to a topic."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    RETENTION = "retention changed"


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is now. `before` is its retention in ms where that was changed."""

    plan: TopicPlan
    action: Action
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Every topic of the registry, in its order."""

    topics: tuple[TopicState, ...]

    def of(self, action: Action) -> tuple[TopicState, ...]:
        """The topics to which this was done."""
        return tuple(topic for topic in self.topics if topic.action is action)


async def ensure_topics(settings: Settings, *, wait_seconds: float = BROKER_WAIT_SECONDS) -> Report:
    """Create the topics that are missing, check those that exist; each has a leader on return.

    Args:
        wait_seconds: how long to wait for a broker to answer.

    Raises:
        TopicMismatchError: a topic has another partition count; nothing of it was changed.
        BrokerUnreachableError: no broker answered in time.
        BrokerRefusedError: one did, and does not let us in, or is not to be trusted.
        TopicError: the broker refused to make a topic.
    """
    wanted = plans(settings)
    async with _admin(settings, wait_seconds) as admin:
        try:
            found = await _partitions(admin)
            _check(wanted, found)
            created = await _create(admin, [plan for plan in wanted if plan.name not in found])
            await _wait_for_leaders(admin, wanted)
            changed = await _retain(admin, [plan for plan in wanted if plan.name not in created])
        except (KafkaError, TimeoutError, OSError) as error:
            raise TopicError(
                f"Kafka at {settings.kafka_bootstrap_servers}: {error or type(error).__name__}"
            ) from error

    def state(plan: TopicPlan) -> TopicState:
        if plan.name in created:
            return TopicState(plan, Action.CREATED)
        if plan.name in changed:
            return TopicState(plan, Action.RETENTION, changed[plan.name])
        return TopicState(plan, Action.UNCHANGED)

    return Report(tuple(state(plan) for plan in wanted))


@asynccontextmanager
async def _admin(settings: Settings, wait_seconds: float) -> AsyncIterator[Any]:
    """A connected client; waits for the broker, and closes what a failed attempt left open."""
    give_up = time.monotonic() + wait_seconds
    refused_since: float | None = None
    while True:
        admin = AIOKafkaAdminClient(
            **client_options(settings), request_timeout_ms=int(REQUEST_SECONDS * 1000)
        )
        try:
            async with asyncio.timeout(max(give_up - time.monotonic(), RETRY_SECONDS)):
                await admin.start()
            break
        except (KafkaError, TimeoutError, OSError) as error:
            await admin.close()
            refused = await refusal(settings)
            now = time.monotonic()
            certain = refused is not None and refused.certain
            refused_since = (refused_since or now) if certain else None
            if refused_since is not None and now - refused_since >= REFUSED_WAIT_SECONDS:
                raise BrokerRefusedError(str(refused)) from error
            if now + RETRY_SECONDS >= give_up:
                nobody = f"no Kafka broker answers at {settings.kafka_bootstrap_servers}"
                raise BrokerUnreachableError(
                    f"{refused or nobody} (waited {wait_seconds:g} s)"
                ) from error
        except BaseException:
            await admin.close()
            raise
        await asyncio.sleep(RETRY_SECONDS)
    try:
        yield admin
    finally:
        await admin.close()


async def _partitions(admin: Any) -> dict[str, list[int]]:
    """Of each topic that exists, its partitions' leaders.

    All topics are asked for: to ask for one by name may create it, where the broker is so set.
    """
    async with asyncio.timeout(REQUEST_SECONDS):
        topics = await admin.describe_topics()
    return {
        topic["topic"]: [
            NO_LEADER if partition["error_code"] else partition["leader"]
            for partition in topic["partitions"]
        ]
        for topic in topics
        if topic["error_code"] == 0
    }


def _check(wanted: Sequence[TopicPlan], found: dict[str, list[int]]) -> None:
    wrong = [
        f"{plan.name} has {len(found[plan.name])} partitions, expected {plan.partitions}"
        for plan in wanted
        if plan.name in found and len(found[plan.name]) != plan.partitions
    ]
    if wrong:
        raise TopicMismatchError(
            f"{'; '.join(wrong)}. Set TOPIC_PARTITIONS to what is there, or start with new topics "
            "(locally: `make down clean up`). Adding partitions would move orders between them."
        )


async def _create(admin: Any, missing: Sequence[TopicPlan]) -> set[str]:
    """Those that this process created; another's are as good."""
    if not missing:
        return set()
    topics = [
        NewTopic(
            plan.name,
            plan.partitions,
            plan.replication,
            topic_configs=plan.made_with,
        )
        for plan in missing
    ]
    async with asyncio.timeout(REQUEST_SECONDS):
        answer = await admin.create_topics(topics)
    created = set()
    for name, code, *message in answer.topic_errors:
        if code == 0:
            created.add(name)
        elif code != TopicAlreadyExistsError.errno:
            reason = (message and message[0]) or for_code(code).__name__
            raise TopicError(f"topic {name} can't be created: {reason}")
    return created


async def _wait_for_leaders(admin: Any, wanted: Sequence[TopicPlan]) -> None:
    """Return when every partition can be written and read; a worker starts right after."""
    give_up = time.monotonic() + LEADERS_WAIT_SECONDS
    while True:
        found = await _partitions(admin)
        _check(wanted, found)
        lacking = [p.name for p in wanted if NO_LEADER in found.get(p.name, [NO_LEADER])]
        if not lacking:
            return
        if time.monotonic() > give_up:
            raise TopicError(
                f"no leader within {LEADERS_WAIT_SECONDS:g} s for topics {', '.join(lacking)}"
            )
        await asyncio.sleep(RETRY_SECONDS)


async def _retain(admin: Any, existing: Sequence[TopicPlan]) -> dict[str, int]:
    """Give topics their retention; of those changed, what it was before, in ms."""
    if not existing:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, plan.name) for plan in existing]
    async with asyncio.timeout(REQUEST_SECONDS):
        (answer,) = await admin.describe_configs(resources)
    before: dict[str, int] = {}
    changes = []
    plan_of = {plan.name: plan for plan in existing}
    for code, message, _, name, entries in answer.resources:
        if code:
            raise TopicError(f"topic {name}: {message or for_code(code).__name__}")
        values = {entry[0]: entry[1] for entry in entries}
        target = plan_of[name].config
        if all(values.get(key) == value for key, value in target.items()):
            continue
        before[name] = int(values[RETENTION])
        # The request replaces all of a topic's own settings, so those of others are named again.
        own = {entry[0]: entry[1] for entry in entries if entry[3] == TOPIC_LEVEL}
        changes.append(ConfigResource(ConfigResourceType.TOPIC, name, {**own, **target}))
    if changes:
        async with asyncio.timeout(REQUEST_SECONDS):
            (altered,) = await admin.alter_configs(changes)
        for code, message, _, name in altered.resources:
            if code:
                raise TopicError(f"topic {name}: {message or for_code(code).__name__}")
    return before
