"""Making sure of the topics, on a broker of its own: the registry's names can't be shared."""

import asyncio
from collections.abc import Iterator
from functools import partial
from io import StringIO
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from rich.console import Console

from app import topic_admin
from app.cli import topics as topics_command
from app.cli.console import FAILED, UNREACHABLE, CommandError
from app.settings import Settings
from app.topic_admin import (
    Action,
    BrokerUnreachableError,
    TopicError,
    TopicMismatchError,
    ensure_topics,
)
from app.topics import MS_PER_HOUR, ORDER, plans
from infra.local.ports import free_ports
from infra.local.testing import LocalServers
from tests.kafka import eventually


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    with LocalServers(tmp_path_factory.mktemp("broker"), only=("kafka",)) as servers:
        yield servers


@pytest.fixture
async def settings(broker: LocalServers) -> Settings:
    """Settings for the broker, which holds no topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.kafka)
    await admin.start()
    try:
        names = await admin.list_topics()
        if names:
            await admin.delete_topics(names)
        while await admin.list_topics():
            await asyncio.sleep(0.05)
    finally:
        await admin.close()
    return Settings(kafka_bootstrap_servers=broker.kafka)


async def configuration(settings: Settings, topic: str) -> dict[str, Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        (answer,) = await admin.describe_configs([resource])
        return {entry[0]: entry[1] for entry in answer.resources[0][4]}
    finally:
        await admin.close()


async def create(settings: Settings, topic: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([topic])
        await eventually(partial(_described, admin, topic), 10, "the topic is there to be seen")
    finally:
        await admin.close()


async def _described(admin: AIOKafkaAdminClient, topic: NewTopic) -> bool:
    found = {t["topic"]: t["error_code"] for t in await admin.describe_topics()}
    return found.get(topic.name) == 0


async def test_missing_topics_are_created_as_planned(settings: Settings) -> None:
    report = await ensure_topics(settings)

    assert plans(settings) == tuple(topic.plan for topic in report.of(Action.CREATED))
    for plan in plans(settings):
        found = await configuration(settings, plan.name)
        assert plan.config.items() <= found.items()


async def test_said_again_it_changes_nothing(settings: Settings) -> None:
    await ensure_topics(settings)

    report = await ensure_topics(settings)

    assert report.topics == report.of(Action.UNCHANGED)


async def test_any_number_of_processes_may_do_it_at_once(settings: Settings) -> None:
    reports = await asyncio.gather(*(ensure_topics(settings) for _ in range(5)))

    created = [topic.plan.name for report in reports for topic in report.of(Action.CREATED)]
    assert sorted(plan.name for plan in plans(settings)) == sorted(created)


async def test_another_retention_is_changed_and_other_settings_are_kept(settings: Settings) -> None:
    own = {"retention.ms": "3600000", "max.message.bytes": "123456"}
    await create(settings, NewTopic(ORDER.name, settings.topic_partitions, 1, topic_configs=own))

    report = await ensure_topics(settings)

    (changed,) = report.of(Action.RETENTION)
    assert (ORDER.name, MS_PER_HOUR) == (changed.plan.name, changed.before)

    async def applied() -> bool:
        found = await configuration(settings, ORDER.name)
        assert "123456" == found["max.message.bytes"]
        return str(changed.plan.retention_ms) == found["retention.ms"]

    # The controller has decided when the request is answered; the broker hears it soon after.
    await eventually(applied, 5, "the broker has the new retention")


async def test_another_partition_count_is_refused_and_nothing_is_created(
    settings: Settings,
) -> None:
    await create(settings, NewTopic(ORDER.name, 3, 1))

    with pytest.raises(TopicMismatchError, match=f"{ORDER.name} has 3 partitions, expected 6"):
        await ensure_topics(settings)

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        listed = await eventually(admin.list_topics, 10, "the topic is listed")
        assert [ORDER.name] == listed
    finally:
        await admin.close()


async def test_the_command_prints_the_topics_and_fails_on_a_mismatch(settings: Settings) -> None:
    out = StringIO()

    assert 0 == await topics_command.topics(settings, Console(file=out, width=120))
    count = len(plans(settings))
    assert f"{count} topics, {count} created" in out.getvalue()

    other = settings.model_copy(update={"topic_partitions": 4})
    with pytest.raises(CommandError, match="TOPIC_PARTITIONS") as raised:
        await topics_command.topics(other, Console(file=out))
    assert FAILED == raised.value.status


async def test_what_the_broker_refuses_is_said(settings: Settings) -> None:
    with pytest.raises(TopicError, match=r"order\.events\.v1 can't be created"):
        await ensure_topics(settings.model_copy(update={"topic_replication": 3}))


async def test_a_broker_that_is_away_is_waited_for_only_so_long() -> None:
    settings = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_ports(1)[0]}")

    with pytest.raises(BrokerUnreachableError, match=r"waited 0\.5 s"):
        await ensure_topics(settings, wait_seconds=0.5)


async def test_a_broker_that_does_not_answer_is_waited_for_only_so_long(
    settings: Settings, broker: LocalServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_admin, "REQUEST_SECONDS", 1.0)
    broker.pause("kafka")
    try:
        async with asyncio.timeout(10):
            with pytest.raises(TopicError, match="Kafka"):
                await ensure_topics(settings, wait_seconds=1)
    finally:
        broker.resume("kafka")


async def test_the_command_says_that_no_broker_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics_command, "BROKER_WAIT_SECONDS", 0.5)
    settings = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_ports(1)[0]}")

    with pytest.raises(CommandError, match="no Kafka broker answers") as raised:
        await topics_command.topics(settings, Console(file=StringIO()))
    assert UNREACHABLE == raised.value.status
