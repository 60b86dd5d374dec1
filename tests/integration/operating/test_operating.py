"""What an operator asks and does, on a real broker and database.

The tests have topics of their own, or partitions of one.
"""

import asyncio
import json
import shutil
import subprocess
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from app.operating import acting, catalogue, documents, groups, messages
from app.operating.broker import Broker, BrokerAwayError
from app.operating.catalogue import UnknownTopicError
from app.operating.handled import CLAIM_SECONDS, State
from app.operating.listing import Page
from app.operating.messages import UnknownPartitionError
from app.settings import Settings
from app.stores import mongo
from app.stores.errors import TransientStoreError
from app.streaming.publisher import OutRecord
from app.topics import (
    INVENTORY,
    MOVIE_EVENTS,
    MOVIE_VIEWS,
    NOTIFICATION,
    ORDER,
    PAYMENT,
    USER_ACTIONS,
)
from infra.local.testing import LocalServers
from tests.integration.operating.box import HEADERS, KEY, Box, send
from tests.kafka import committed, eventually, producing


async def delete_before(kafka: str, topic: str, partition: int, offset: int) -> None:
    """What retention does, at once."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(offset)})
    finally:
        await admin.close()


async def test_messages_are_paged_to_the_end_and_back(
    servers: LocalServers, broker: Broker
) -> None:
    topic = MOVIE_VIEWS.name
    await send(
        servers.kafka,
        *(OutRecord(topic, b"k", b"%d" % n, HEADERS, partition=n % 2) for n in range(20)),
    )
    await delete_before(servers.kafka, topic, 1, 2)

    async def page(**asked: Any) -> messages.Page:
        return await messages.messages(broker, topic, **asked)

    seen: list[bytes | None] = []
    offset = 0
    while (found := await page(partition=1, offset=offset, limit=3)).messages:
        seen += [message.value for message in found.messages]
        offset = found.partitions[0].next_offset
    assert [b"%d" % n for n in range(5, 20, 2)] == seen, "what is deleted is passed over"
    assert (2, 10) == (found.partitions[0].extent.begin, found.partitions[0].extent.end)
    assert 10 == offset

    back = await page(partition=1, offset=seen.index(b"11") - 3 + 2, limit=3)
    assert [b"5", b"7", b"9"] == [message.value for message in back.messages]
    beyond = await page(partition=1, offset=10**17, limit=3)
    assert ([], 10) == (beyond.messages, beyond.partitions[0].next_offset)

    newest = await page(limit=4)
    assert [b"16", b"17", b"18", b"19"] == [message.value for message in newest.messages]
    assert {(0, 10), (1, 10)} <= {(each.partition, each.next_offset) for each in newest.partitions}
    oldest = await page(offset=0, limit=4)
    assert 4 == len(oldest.messages)
    rest = {
        each.partition: [m.offset for m in oldest.messages if m.partition == each.partition]
        for each in oldest.partitions
    }
    for each in oldest.partitions:
        assert each.next_offset == (
            rest[each.partition][-1] + 1 if rest[each.partition] else each.extent.begin
        )

    with pytest.raises(UnknownPartitionError, match="0 to 5"):
        await page(partition=6, limit=1)
    with pytest.raises(UnknownTopicError):
        await messages.messages(broker, "no-such-topic", limit=1)


async def test_values_of_any_kind_are_shown_and_long_ones_cut(
    servers: LocalServers, broker: Broker
) -> None:
    kcat = shutil.which("kcat")
    assert kcat, "kcat is installed by `make test`"
    topic = USER_ACTIONS.name
    long = json.dumps({"a": "x" * 30_000}).encode()
    await send(servers.kafka, OutRecord(topic, b"u", b"\xff\x00", [("n", b"\xfe")], 3))
    unreadable = [kcat, "-b", servers.kafka, "-P", "-t", topic, "-p", "3", "-H", b"caf\xe9=1"]
    await asyncio.to_thread(subprocess.run, unreadable, input=b"x\n", timeout=30, check=True)
    await send(servers.kafka, OutRecord(topic, b"u", long, HEADERS, 3))
    await send(servers.kafka, *(OutRecord(topic, b"u", b"1", [], n) for n in (2, 4)))

    found = await messages.messages(broker, topic, limit=200)
    shown = {(m.partition, m.offset): documents.message_document(m) for m in found.messages}

    assert [0, 1, 2] == [offset for partition, offset in shown if partition == 3]
    assert {(2, 0), (4, 0)} <= set(shown), "what was fetched with the unreadable one is not lost"
    assert {"base64": "/wA="} == shown[3, 0]["value"]
    assert {"n": "\\xfe"} == shown[3, 0]["headers"]
    assert "unreadable" in shown[3, 1]["headers"]
    assert (len(long), True) == (shown[3, 2]["bytes"], shown[3, 2]["truncated"])
    assert "MovieViewed" == shown[3, 2]["type"]

    alone = await messages.messages(broker, topic, partition=3, offset=2, limit=1)
    assert long == alone.messages[0].value


async def test_nobodys_offset_moves_and_no_group_comes_into_being(
    servers: LocalServers, broker: Broker, settings: Settings
) -> None:
    topic = NOTIFICATION.name
    await send(servers.kafka, *(OutRecord(topic, b"k", b"1", HEADERS, 0) for _ in range(5)))
    member = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers.kafka,
        group_id="orders-audit",
        client_id="worker-1-audit",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await member.start()
    try:
        await member.commit({TopicPartition(topic, 0): 2})
        before = await committed(servers.kafka, "orders-audit")
        await messages.messages(broker, topic, limit=50)
        await catalogue.topics(broker, settings)
        heard = {"orders-audit": [topic], "orders-payment": [PAYMENT.name]}
        audit, payment = await groups.groups(broker, heard)
    finally:
        await member.stop()

    assert before == await committed(servers.kafka, "orders-audit")
    assert ("Stable", 3) == (audit.state, audit.lag)
    progress = {each.partition: each for each in audit.partitions}
    assert (2, 5, 3) == (progress[0].committed, progress[0].end, progress[0].lag)
    assert (None, 0) == (progress[1].committed, progress[1].lag)
    (one,) = audit.members
    assert ("worker-1-audit", 6) == (one.client_id, len(one.partitions))
    assert ("Dead", [], 0) == (payment.state, payment.members, payment.lag)
    assert 6 == len(payment.partitions)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka)
    await admin.start()
    try:
        assert ["orders-audit"] == [name for name, _ in await admin.list_consumer_groups()]
    finally:
        await admin.close()


async def test_topics_are_listed_with_what_they_hold(broker: Broker, settings: Settings) -> None:
    found = {topic.about.name: topic for topic in await catalogue.topics(broker, settings)}

    assert set(catalogue.registry(settings)) == set(found)
    assert 6 == len(found[ORDER.name].partitions)


async def test_a_replay_sends_the_original_once_and_marks_it_once(
    servers: LocalServers, broker: Broker, database: mongo.Database
) -> None:
    box = Box(servers, broker, database, PAYMENT)
    original = OutRecord(PAYMENT.name, KEY, b'{"a": 1.50}', [*HEADERS, ("n", b"\xff")], 2)
    await box.bury(original)
    (letter_id,) = await box.ids()

    outcomes = await asyncio.gather(
        *(box.acting.replay(PAYMENT.dead_letters, [letter_id], by=who) for who in ("a", "b"))
    )

    assert [[], [letter_id]] == sorted(outcome.ids for outcome in outcomes)
    (words,) = [words for outcome in outcomes for words in outcome.failed.values()]
    assert "dealt with" in words or "replayed by" in words
    first, again = await box.in_topic(2)
    assert (first.key, first.value, first.headers) == (again.key, again.value, again.headers)
    assert original.headers == list(again.headers)
    page = await box.page(State.REPLAYED)
    assert page.letters[0].done is not None
    assert page.letters[0].done.by in ("a", "b")
    assert {State.REPLAYED: 1} == +page.counts[PAYMENT.dead_letters]
    assert [] == await box.ids()

    later = await box.acting.replay(PAYMENT.dead_letters, [letter_id], by="c")
    assert [letter_id] == list(later.failed)
    assert 2 == len(await box.in_topic(2))


async def test_a_letter_that_was_replayed_in_vain_comes_back_as_a_new_one_that_says_so(
    servers: LocalServers, broker: Broker, database: mongo.Database
) -> None:
    box = Box(servers, broker, database, PAYMENT)
    original = OutRecord(PAYMENT.name, KEY, b'{"a": 2}', HEADERS, 4)
    for _ in range(2):
        await box.bury(original)
        outcome = await box.acting.replay(PAYMENT.dead_letters, await box.ids(), by=None)
        assert 1 == len(outcome.ids)
    await box.bury(original)

    shown = (await box.page(None, limit=3)).letters

    assert [(2, "open"), (1, "replayed"), (0, "replayed")] == [
        (each.replays, each.state.value) for each in shown
    ]
    assert "handledBy" not in documents.letter_document(shown[1])


async def test_a_record_that_two_groups_gave_up_is_sent_once(
    servers: LocalServers, broker: Broker, database: mongo.Database
) -> None:
    box = Box(servers, broker, database, PAYMENT)
    original = OutRecord(PAYMENT.name, KEY, b'{"a": 3}', HEADERS, 5)
    (offset,) = await send(servers.kafka, original)
    for group in ("orders-payment", "orders-order"):
        await send(servers.kafka, box.letter(original, offset, group).out())
    ids = await box.ids(limit=2)

    outcome = await box.acting.replay(PAYMENT.dead_letters, ids, by=None)

    assert 2 == len(outcome.ids)
    assert [offset, offset + 1] == [record.offset for record in await box.in_topic(5)]


async def test_what_was_sent_and_not_marked_is_open_again_after_a_while(
    servers: LocalServers,
    broker: Broker,
    database: mongo.Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box = Box(servers, broker, database, INVENTORY)
    await box.bury(OutRecord(INVENTORY.name, KEY, b'{"a": 4}', HEADERS, 0))
    ids = await box.ids()

    async def ends(*_: Any, **__: Any) -> None:
        raise TransientStoreError("away")

    with monkeypatch.context() as patched:
        patched.setattr(acting.Handled, "mark", ends)
        with pytest.raises(TransientStoreError):
            await box.acting.replay(INVENTORY.dead_letters, ids, by="a")
    assert 2 == len(await box.in_topic(0))
    assert ids == await box.ids(), "nobody knows that it was sent"
    at_once = await box.acting.replay(INVENTORY.dead_letters, ids, by="b")
    assert {ids[0]: "It is being dealt with by a now."} == at_once.failed

    box.now += timedelta(seconds=CLAIM_SECONDS + 1)
    later = await box.acting.replay(INVENTORY.dead_letters, ids, by="b")

    assert ids == later.ids
    assert 3 == len(await box.in_topic(0))


async def test_letters_are_discarded_with_a_reason_and_not_replayed_any_more(
    servers: LocalServers, broker: Broker, database: mongo.Database
) -> None:
    box = Box(servers, broker, database, INVENTORY)
    await box.bury(*(OutRecord(INVENTORY.name, KEY, b"%d" % n, HEADERS, 1) for n in range(3)))
    newest, middle, oldest, *_ = await box.ids(limit=3)

    outcome = await box.acting.discard(INVENTORY.dead_letters, [middle], by="a", why="a test")
    assert [middle] == outcome.ids
    shown = await box.listing.get(middle)
    assert ("discarded", "a test") == (
        documents.letter_document(shown)["state"],
        documents.letter_document(shown)["why"],
    )
    unknown = [f"{INVENTORY.dead_letters}-1-999", "nonsense", f"{ORDER.dead_letters}-0-0"]
    outcome = await box.acting.replay(
        INVENTORY.dead_letters, [newest, middle, *unknown, oldest, newest], by="b"
    )

    assert [oldest, newest] == outcome.ids, "in their order"
    assert {middle, *unknown} == set(outcome.failed)
    assert [b"0", b"2"] == [record.value for record in (await box.in_topic(1))[-2:]]
    with pytest.raises(UnknownTopicError):
        await box.acting.replay("no-such-topic", None, by=None)


async def test_a_letter_without_content_is_completed_from_where_its_record_lies(
    servers: LocalServers, broker: Broker, database: mongo.Database
) -> None:
    box = Box(servers, broker, database, MOVIE_EVENTS)
    large = [OutRecord(MOVIE_EVENTS.name, b"m", b"%d" % n, HEADERS, 1) for n in range(2)]
    offsets = await send(servers.kafka, *large)
    for each, offset in zip(large, offsets, strict=True):
        await send(servers.kafka, box.letter(each, offset).without_content())
    await delete_before(servers.kafka, MOVIE_EVENTS.name, 1, offsets[1])
    there, expired = await box.ids()

    outcome = await box.acting.replay(MOVIE_EVENTS.dead_letters, [there, expired], by=None)

    assert [there] == outcome.ids
    assert "has expired" in outcome.failed[expired]
    lying, again = await box.in_topic(1)
    assert (b"1", lying.headers) == (again.value, again.headers)
    await delete_before(servers.kafka, MOVIE_EVENTS.dead_letters, 1, 1)
    gone = await box.acting.discard(MOVIE_EVENTS.dead_letters, [expired], by=None)
    assert {expired: "It has expired."} == gone.failed
    assert {State.REPLAYED: 1} == +(await box.page()).counts[MOVIE_EVENTS.dead_letters]


async def test_of_many_letters_each_call_does_some_and_says_how_many_are_left(
    servers: LocalServers, broker: Broker, database: mongo.Database
) -> None:
    box = Box(servers, broker, database, ORDER)
    many = acting.ACTED_MOST + 120
    originals = [OutRecord(ORDER.name, KEY, b'{"n": %d}' % n, HEADERS, n % 6) for n in range(many)]
    async with producing(servers.kafka) as producer:
        for place, each in enumerate(originals):
            sent = box.letter(each, place // 6).out()
            await producer.send(
                sent.topic, sent.value, sent.key, sent.partition, None, sent.headers
            )
        await producer.flush()

    pages: list[Page] = [await box.page(limit=200)]
    while pages[-1].bounds:
        pages.append(await box.page(limit=200, bounds=pages[-1].bounds))
    ids = [shown.letter.id for page in pages for shown in page.letters]
    times = [shown.letter.timestamp for page in pages for shown in page.letters]
    assert many == len(ids) == len(set(ids)), "each letter is on one page"
    assert sorted(times, reverse=True) == times
    assert many == pages[0].counts[ORDER.dead_letters][State.OPEN]

    first = await box.acting.discard(ORDER.dead_letters, None, by=None)
    assert (acting.ACTED_MOST, 120) == (len(first.ids), first.remaining)
    left = await box.page(limit=200)
    assert 120 == len(left.letters), "found behind those that were dealt with"
    second = await box.acting.discard(ORDER.dead_letters, None, by=None)
    assert (120, 0) == (len(second.ids), second.remaining)


async def test_a_broker_that_is_silent_is_said_to_be_away(
    servers: LocalServers, settings: Settings
) -> None:
    impatient = Broker(settings, seconds=1)

    async def refusal() -> str | None:
        try:
            await catalogue.topics(impatient, settings)
        except BrokerAwayError as error:
            return str(error)
        return None

    servers.pause("kafka")
    try:
        said = await eventually(refusal, 60, "a broker that is frozen does not answer")
        assert "did not answer within 1 s" in said
    finally:
        servers.resume("kafka")
