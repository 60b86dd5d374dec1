"""The movie stream: two workers share the views, each other group hears all, none counts twice."""

import asyncio
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from app.codec import decode
from app.domain.movies import is_milestone
from app.events import Event
from app.topics import BY_NAME, MOVIE_EVENTS, MOVIE_VIEWS, USER_ACTIONS
from infra.local.testing import LocalServers
from tests.groups import description, shares
from tests.integration.notifications.mail import MailServer
from tests.kafka import PARTITIONS, eventually, lag, producing, read_all
from tests.shop import CLIENT_PATIENCE_SECONDS, GROUPS, RETRY_SECONDS, Shop

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]

PROCESSES = {
    "movies-1": "movies",
    "movies-2": "movies",
    "notification-1": "notification",
    "audit-1": "audit",
}
HEARING = [f"orders-{name}" for name in ("movies", "notification", "audit")]
VIEWS = 1500
MOVIES = [f"movie-{n}" for n in range(12)]
USERS = [f"user-{n}" for n in range(40)]
CONCURRENCY = 24
REST_SECONDS = 120
SEED = 11
DUPLICATES = 75
MAIL_TO = "films@example.com"


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, mail: MailServer) -> Iterator[Shop]:
    with LocalServers(tmp_path_factory.mktemp("movies")) as servers:
        shop = Shop(
            servers,
            env={
                "SMTP_URL": mail.url,
                "SMTP_FROM": "Shop <shop@shop.example>",
                "MOVIE_MILESTONE_TO": "films",
                "SESSION_TIMEOUT_SECONDS": "6",
            },
        )
        try:
            for name, service in PROCESSES.items():
                shop.start(name, gateway=False, SERVICES=service)
            shop.start()  # the gateway in front of all of them
            yield shop
        finally:
            shop.stop()


@pytest.fixture(scope="module")
def taken() -> list[dict[str, Any]]:
    """The answers to all views that were posted, by whichever test."""
    return []


async def view(session: aiohttp.ClientSession, url: str, movie: str, user: str) -> dict[str, Any]:
    """Post a view as a careful client does: with a key, again after a fault."""
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    give_up = asyncio.get_running_loop().time() + CLIENT_PATIENCE_SECONDS
    while asyncio.get_running_loop().time() < give_up:
        try:
            async with session.post(
                f"{url}/movies/{movie}/views", json={"userId": user}, headers=headers
            ) as answer:
                if answer.status < 500 and answer.status != 409:
                    assert 202 == answer.status, await answer.text()
                    taken: dict[str, Any] = await answer.json()
                    return taken
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(RETRY_SECONDS)
    raise AssertionError("no answer but faults")


async def view_all(url: str, views: Sequence[tuple[str, str]], done: list[dict[str, Any]]) -> None:
    """Post the views side by side; `done` grows as they are taken."""
    gate = asyncio.Semaphore(CONCURRENCY)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def one(movie: str, user: str) -> None:
            async with gate:
                done.append(await view(session, url, movie, user))

        await asyncio.gather(*(one(movie, user) for movie, user in views))


async def at_rest(shop: Shop) -> None:
    """Wait until none of the three groups has anything left to do."""

    async def no_lag() -> bool:
        found = await asyncio.gather(
            *(lag(shop.servers.kafka, group, GROUPS[group]) for group in HEARING)
        )
        return not any(found)

    await eventually(no_lag, REST_SECONDS, "no group lags", every=0.5)


async def events_of(shop: Shop, *topics: str) -> dict[str, list[Event]]:
    """The events of the topics by id, each as often as it is there."""
    found: dict[str, list[Event]] = defaultdict(list)
    for record in await read_all(shop.servers.kafka, *topics):
        event = decode(BY_NAME[record.topic], record.key, record.value, record.headers)
        found[event.id].append(event)
    return found


async def movies_of(shop: Shop, names: Sequence[str]) -> dict[str, Any]:
    """What the gateway answers of each movie."""
    async with aiohttp.ClientSession() as session:
        found = {}
        for name in names:
            async with session.get(f"{shop.url}/movies/{name}") as answer:
                assert 200 == answer.status, name
                found[name] = await answer.json()
        return found


async def everything_counts_once(
    shop: Shop, mail: MailServer, taken: Sequence[Mapping[str, Any]]
) -> None:
    """Counts, events, notifications and audit are those of the views that were taken."""
    expected = Counter(view["movieId"] for view in taken)
    found = await movies_of(shop, list(expected))
    assert expected == {name: movie["views"] for name, movie in found.items()}

    view_ids = {view["viewId"] for view in taken}
    assert len(taken) == len(view_ids)
    log = await events_of(shop, MOVIE_VIEWS.name, USER_ACTIONS.name, MOVIE_EVENTS.name)
    by_type: dict[str, list[Event]] = defaultdict(list)
    for copies in log.values():
        if copies[0].type != "MovieViewed":  # which each try of a post says anew
            assert [copies[0]] * len(copies) == copies
        by_type[copies[0].type].append(copies[0])
    for kind in ("MovieViewed", "UserActed", "MovieViewTracked"):
        assert view_ids == {event.data.origin for event in by_type[kind]}, kind
        assert len(view_ids) == len(by_type[kind]), kind
    reached = sorted(
        (name, views)
        for name, count in expected.items()
        for views in range(1, count + 1)
        if is_milestone(views)
    )
    told = {(e.key, e.data.model_dump()["milestone"]) for e in by_type["MovieMilestoneReached"]}
    assert (reached, len(reached)) == (sorted(told), len(by_type["MovieMilestoneReached"]))

    assert len(reached) == len(mail.taken) == len(mail.counts())
    assert {(MAIL_TO,)} == {one.recipients for one in mail.taken}

    with shop.database() as database:
        audited = {e["_id"]: e["type"] async for e in database.audit.find({}, {"type": 1})}
    notified = {key for key, kind in audited.items() if kind == "MilestoneNotified"}
    assert log.keys() == audited.keys() - notified
    assert len(reached) == len(notified)


async def films_are_known(shop: Shop) -> None:
    with shop.database() as database:
        fields = {"email": MAIL_TO, "name": "Films"}
        await database.users.update_one({"_id": "films"}, {"$set": fields}, upsert=True)


async def test_two_workers_share_the_views_and_every_group_hears_every_event(
    shop: Shop, mail: MailServer, taken: list[dict[str, Any]]
) -> None:
    await films_are_known(shop)
    views = [(f"first-{n % 7}", USERS[n % 40]) for n in range(140)]
    await view_all(shop.url, views, taken)
    await at_rest(shop)

    half = PARTITIONS // 2
    rows = await asyncio.to_thread(description, shop, "orders-movies")
    assert {MOVIE_VIEWS.name: {"movies-1-movies": half, "movies-2-movies": half}} == shares(rows)
    for service, topics in (
        ("notification", [MOVIE_EVENTS.name]),
        ("audit", [MOVIE_VIEWS.name, USER_ACTIONS.name, MOVIE_EVENTS.name]),
    ):
        rows = await asyncio.to_thread(description, shop, f"orders-{service}")
        parts = shares(rows)
        for topic in topics:
            assert {f"{service}-1-{service}": PARTITIONS} == parts[topic]
            heard = [row for row in rows if row["TOPIC"] == topic and row["LOG-END-OFFSET"] != "0"]
            assert heard
            assert all(row["CURRENT-OFFSET"] == row["LOG-END-OFFSET"] for row in heard)
    await everything_counts_once(shop, mail, taken)


async def test_killed_workers_and_duplicates_change_no_count(
    shop: Shop, mail: MailServer, taken: list[dict[str, Any]]
) -> None:
    await films_are_known(shop)
    before, chance = len(taken), random.Random(SEED)
    views = [(chance.choice(MOVIES), chance.choice(USERS)) for _ in range(VIEWS)]
    posting = asyncio.create_task(view_all(shop.url, views, taken))
    for share, name in ((0.2, "movies-1"), (0.5, "movies-2"), (0.8, "movies-1")):
        await eventually(
            lambda share=share: posting.done() or len(taken) > before + share * VIEWS,
            REST_SECONDS,
            "views are taken",
            every=0.02,
        )
        assert not posting.done(), "the kill is in the middle"
        shop.workers[name].kill9()
        shop.restart(name)
    await posting
    assert before + VIEWS == len(taken)
    await at_rest(shop)
    await everything_counts_once(shop, mail, taken)

    # The same views once more, as a producer may repeat them: at new offsets.
    records = await read_all(shop.servers.kafka, MOVIE_VIEWS.name)
    async with producing(shop.servers.kafka) as producer:
        for record in chance.sample(records, DUPLICATES):
            await producer.send_and_wait(
                record.topic, record.value, key=record.key, headers=list(record.headers)
            )
    await at_rest(shop)
    await everything_counts_once(shop, mail, taken)
