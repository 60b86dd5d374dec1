"""The commands of the operator, as they print."""

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from app.cli import operating
from app.cli.console import FAILED, UNREACHABLE, CommandError
from app.cli.dead_letters import Wanted, dlq
from app.operating import catalogue
from app.operating.broker import Broker
from app.settings import Settings
from app.stores import mongo
from app.streaming.publisher import OutRecord
from app.topics import ORDER, USER_ACTIONS
from infra.local.ports import free_ports
from infra.local.testing import LocalServers
from tests.integration.operating.box import HEADERS, KEY, Box


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=80)


def printed(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


class Run:
    """The command `dlq` on the servers of the test."""

    def __init__(self, settings: Settings, database: mongo.Database) -> None:
        self._settings, self._database = settings, database
        self.status = 0

    async def __call__(self, action: str, **wanted: Any) -> str:
        console = Console(file=StringIO(), width=80)
        self.status = await dlq(self._settings, self._database, console, action, Wanted(**wanted))
        return printed(console)


@pytest.fixture
def run(settings: Settings, database: mongo.Database) -> Run:
    return Run(settings, database)


async def test_letters_are_listed_chosen_replayed_and_discarded(
    servers: LocalServers, broker: Broker, database: mongo.Database, run: Run
) -> None:
    box = Box(servers, broker, database, USER_ACTIONS)
    topic, ids = USER_ACTIONS.name, [f"{USER_ACTIONS.dead_letters}-5-{n}" for n in range(5)]
    for group, values in (("orders-audit", range(3)), ("orders-analytics", range(3, 5))):
        records = [OutRecord(topic, KEY, b"%d" % n, HEADERS, 5) for n in values]
        await box.bury(*records, group=group)

    listed = await run("list", topic=topic)
    assert ids[4] in listed.splitlines()[0]
    assert "    TypeError: x" in listed.splitlines()[1]
    assert "5 dead letters (open)" in listed
    assert f"{topic}: 5 open, 0 replayed, 0 discarded" in listed
    whole = json.loads(await run("list", topic=topic, as_json=True, state="all"))
    shown = json.loads(await run("show", topic=ids[2], as_json=True))
    assert whole["deadLetters"][2] == shown
    words = await run("show", ids=(ids[2],))
    assert "group: orders-audit" in words
    assert "  ce_id: 1" in words

    done = json.loads(await run("replay", topic=topic, group="orders-audit", as_json=True))
    assert ids[:3] == done["ids"], "oldest first"
    assert [b"0", b"1", b"2"] == [record.value for record in (await box.in_topic(5))[-3:]]
    left = await run("discard", topic=topic, everything=True, since="1h", why="a test")
    assert "2 of 2 discarded." in left
    again = await run("replay", ids=(ids[0], f"{USER_ACTIONS.dead_letters}-5-99"))
    assert "0 of 2 replayed." in again
    assert "It was replayed by cli:" in again
    assert FAILED == run.status
    assert "0 of 0 replayed." in await run("replay", reason="no such reason")


@pytest.mark.parametrize(
    ("action", "wanted", "words"),
    [
        ("replay", {}, "--id, --reason, --group, --since, or --all"),
        ("replay", {"ids": ("nonsense",)}, "nonsense is no dead letter's id"),
        ("show", {}, "say which"),
        ("show", {"topic": f"{ORDER.dead_letters}-0-99999"}, "there is no dead letter"),
        ("list", {"topic": "no-such-topic"}, "there is no topic no-such-topic"),
    ],
)
async def test_what_can_not_be_is_said_in_a_line(
    run: Run, action: str, wanted: dict[str, Any], words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        await run(action, **wanted)


async def test_topics_messages_and_groups_are_printed(settings: Settings, console: Console) -> None:
    await operating.list_topics(settings, console)
    assert "payment.events.v1.dlq" in printed(console)
    await operating.list_topics(settings, console, as_json=True)
    told = json.loads(printed(console).splitlines()[-1])
    assert set(catalogue.registry(settings)) == {topic["name"] for topic in told["topics"]}

    await operating.show_topic(settings, console, USER_ACTIONS.name, limit=1)
    assert f"1 messages of {USER_ACTIONS.name}" in printed(console)
    with pytest.raises(CommandError, match="there is no topic"):
        await operating.show_topic(settings, console, "no-such-topic")
    with pytest.raises(CommandError, match="0 to 5"):
        await operating.show_topic(settings, console, ORDER.name, partition=9)
    with pytest.raises(CommandError, match="there is no group"):
        await operating.show_groups(settings, console, "no-such-group")


async def test_a_broker_that_is_gone_is_an_exit_status_of_its_own(
    run: Run, console: Console, database: mongo.Database
) -> None:
    nowhere = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(CommandError) as raised:
        await operating.list_topics(nowhere, console)
    assert UNREACHABLE == raised.value.status
    with pytest.raises(CommandError) as raised:
        await dlq(nowhere, database, console, "list", Wanted())
    assert UNREACHABLE == raised.value.status
