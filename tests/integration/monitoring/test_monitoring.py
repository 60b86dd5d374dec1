"""Every panel has data, and every alert fires: a real Prometheus over a small real system.

The tests are one story, in this order: all is well, then one thing after another goes wrong. Two
causes are an exporter's, see `Exporter`; all others are real.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from app.agents.folding import outgoing
from app.events import Event, timestamp
from tests import builders
from tests.faults import send_nonsense
from tests.integration.monitoring.promql import PATIENCE_SECONDS, PromQL
from tests.integration.monitoring.system import RATE_INTERVAL, Watched, watched
from tests.kafka import eventually, producing
from tests.shop import order, post_all
from tests.unit.monitoring.dashboards import dashboards, queries
from tests.unit.monitoring.rules import ALERTS, RECORDING, alerts, metrics_of, rules

pytestmark = pytest.mark.timeout(240)

ORDERS = 30
# Above what ConsumerLagGrowing lets pass.
BACKLOG = 1100
AT_ONCE = 50
# Twice what opens a breaker.
WAITING = 6

OF_EXPORTER = {"OversellGuardHit", "RecoveryRunning"}
OF_REFUND = {"CompensationFailing", "SagasStuck"}
OF_POISON = {"DeadLetters"}
OF_MONGODB = {"ConsumerLagGrowing", "ConsumerStuck"}
OF_REDIS = {"RedisUnavailable", "ErrorBudgetBurnFast", "ErrorBudgetBurnSlow"}
OF_WORKER = {"WorkerDown", "PartitionsUnowned", "CircuitBreakerOpen"}
OF_GATEWAY = {"GatewayDown"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("monitoring")) as started:
        yield started


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as opened:
        yield opened


@pytest.fixture
def promql(system: Watched, session: aiohttp.ClientSession) -> PromQL:
    return PromQL(session, system.prometheus.url)


async def asked(session: aiohttp.ClientSession, url: str, *paths: str) -> list[int | None]:
    """Status of each answer, None where there was none; asked side by side."""

    async def one(path: str) -> int | None:
        try:
            async with session.get(f"{url}{path}") as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return None

    return await asyncio.gather(*(one(path) for path in paths))


async def load(system: Watched, session: aiohttp.ClientSession) -> None:
    """A little of everything that customers do, and nothing that fails."""
    shop = system.shop
    await shop.stock({"LAMP": 10 * BACKLOG})
    placed = await post_all(shop.url, [order(("LAMP", 1)) for _ in range(ORDERS)])
    ends = await shop.all_end(placed, PATIENCE_SECONDS)
    assert {("CONFIRMED", None)} == set(ends.values())
    for view in range(5):
        async with session.post(
            f"{shop.url}/movies/m{view}/views", json={"userId": "alice"}
        ) as answer:
            assert answer.status < 300, await answer.text()
    paths = [f"/orders/{one}" for one in placed]
    paths += ["/analytics", "/inventory/LAMP", "/movies/top?size=3600", "/orders/unknown"]
    paths += ["/limited"] * 6
    statuses = await asked(session, shop.url, *paths)
    assert {200, 404, 429} == set(statuses)


async def never_ending(system: Watched) -> str:
    """An order that is paid for and not there, whose money is never given back; one for all."""
    if system.never_ends is None:
        bodies = [order(("LAMP", 100 * BACKLOG))]
        (system.never_ends,) = await post_all(system.shop.url, bodies)
    return system.never_ends


async def placed_at_once(kafka: str, orders: int) -> None:
    """So many orders in the log, as the web views would have put them there."""
    at = timestamp(datetime.now(UTC))
    placed = (builders.order({"LAMP": 1}, number=n) for n in range(orders))
    events = [Event.first(one, source="order", at=at) for one in placed]
    async with producing(kafka) as producer:
        sent = [
            await producer.send(one.topic, one.value, one.key, headers=one.headers)
            for one in outgoing(events)
        ]
        await asyncio.gather(*sent)


async def test_where_all_is_well_every_panel_has_data_and_nothing_fires(
    system: Watched, session: aiohttp.ClientSession, promql: PromQL
) -> None:
    missing = {f"{one.dashboard}: {one.panel}: {one.expr}": one for one in queries()}
    assert len(missing) > 50

    async def all_have_data() -> bool:
        # Rates want something to happen while they are watched.
        await asked(session, system.shop.url, "/orders/unknown", "/analytics", "/limited")
        await post_all(system.shop.url, [order(("LAMP", 1))])
        for name, one in list(missing.items()):
            if await promql.has_data(one.substituted(RATE_INTERVAL)):
                del missing[name]
        return not missing

    async def nothing_fires() -> bool:
        # At this pace a busy machine's pause of a second is a minute's.
        return not await promql.firing()

    await load(system, session)
    try:
        await eventually(all_have_data, PATIENCE_SECONDS, "data", every=0.5)
    except AssertionError:
        raise AssertionError("no data:\n" + "\n".join(missing)) from None
    await eventually(nothing_fires, PATIENCE_SECONDS, "nothing fires")


async def test_every_metric_that_rules_and_panels_ask_for_is_scraped(promql: PromQL) -> None:
    exprs = [one.expr for one in queries()]
    exprs += [rule["expr"] for file in (RECORDING, ALERTS) for rule in rules(file)]
    names = {name for expr in exprs for name in metrics_of(expr)}

    assert {"kafka_consumer_lag", "http_request_duration_seconds", "revenue_total"} <= names
    assert set() == names - await promql.metrics()


async def test_the_dashboards_variables_offer_the_instances(promql: PromQL) -> None:
    offered = {}
    for dashboard in dashboards():
        (variable,) = dashboard["templating"]["list"]
        selector = variable["query"]["query"].removeprefix("label_values(").rpartition(",")[0]
        found = await promql.ask("label/instance/values", **{"match[]": selector})
        offered[dashboard["uid"]] = set(found) - {"exporter"}

    assert {"worker-1", "gateway-1"} == offered["orderflow-overview"]
    assert {"worker-1"} == offered["orderflow-sagas"]
    assert {"gateway-1"} == offered["orderflow-gateway"]


async def test_refused_refunds_a_poisoned_record_and_the_exporter_fire(
    system: Watched, promql: PromQL
) -> None:
    system.exporter.refusals.inc()
    system.exporter.recovering.labels("analytics").set(1)
    await send_nonsense(system.shop.servers.kafka, "order.events.v1")
    await never_ending(system)

    fired = await promql.fire(OF_REFUND | OF_POISON | OF_EXPORTER)

    assert {"topic": "order.events.v1", "reason": "undecodable"}.items() <= (
        fired["DeadLetters"]["labels"].items()
    )
    assert "payment" == fired["CompensationFailing"]["labels"]["step"]
    assert "worker-1" == fired["SagasStuck"]["labels"]["instance"]
    assert "exporter" == fired["RecoveryRunning"]["labels"]["instance"]


async def test_a_silent_database_lets_groups_fall_behind_and_stand_still_until_it_is_back(
    system: Watched, promql: PromQL
) -> None:
    async def all_move() -> bool:
        return await promql.value("max(consumer_stuck_seconds)") == 0

    system.shop.servers.pause("mongo")
    try:
        await placed_at_once(system.shop.servers.kafka, BACKLOG)
        fired = await promql.fire(OF_MONGODB)
    finally:
        system.shop.servers.resume("mongo")

    assert float(fired["ConsumerLagGrowing"]["value"]) > 1000
    assert "worker-1" == fired["ConsumerStuck"]["labels"]["instance"]
    await eventually(all_move, PATIENCE_SECONDS, "no partition is stuck")


async def test_a_silent_redis_fires_and_what_needs_it_burns_the_error_budget(
    system: Watched, session: aiohttp.ClientSession, promql: PromQL
) -> None:
    async def counts() -> None:
        assert {503} == set(await asked(session, system.shop.url, *["/count"] * AT_ONCE))

    system.shop.servers.pause("redis")
    try:
        fired = await promql.fire(OF_REDIS, meanwhile=counts)
    finally:
        system.shop.servers.resume("redis")

    assert "gateway-1" == fired["RedisUnavailable"]["labels"]["instance"]
    assert "gateways" == fired["ErrorBudgetBurnFast"]["labels"]["job"]


async def test_a_worker_killed_with_requests_under_way_and_a_killed_gateway_fire(
    system: Watched, session: aiohttp.ClientSession, promql: PromQL
) -> None:
    shop = system.shop
    never_ends = await never_ending(system)
    held = 'sum(gateway_requests_outstanding{kind="held"})'

    async def stored() -> bool:
        return bool(await shop.statuses([never_ends]))

    async def wait_for_it() -> None:
        with contextlib.suppress(aiohttp.ClientError):
            headers = {"Prefer": "wait=60"}
            async with session.get(f"{shop.url}/orders/{never_ends}", headers=headers) as answer:
                await answer.read()

    async def all_are_held() -> bool:
        return await promql.value(held) == WAITING

    await eventually(stored, PATIENCE_SECONDS, "the order is stored")
    async with asyncio.TaskGroup() as tasks:
        for _ in range(WAITING):
            tasks.create_task(wait_for_it())
        await eventually(all_are_held, PATIENCE_SECONDS, "requests are held")
        system.worker.kill9()
        of_worker = await promql.fire(OF_WORKER)
        system.gateway.kill9()
    of_gateway = await promql.fire(OF_GATEWAY)

    assert "worker-1" == of_worker["WorkerDown"]["labels"]["instance"]
    assert system.worker.url == of_worker["CircuitBreakerOpen"]["labels"]["target"]
    assert "gateway-1" == of_gateway["GatewayDown"]["labels"]["instance"]


def test_every_alert_is_made_to_fire_here() -> None:
    caused: list[Collection[Any]] = [OF_EXPORTER, OF_REFUND, OF_POISON, OF_MONGODB, OF_REDIS]
    caused += [OF_WORKER, OF_GATEWAY]

    assert set(alerts()) == {name for some in caused for name in some}
