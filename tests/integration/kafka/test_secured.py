"""Kafka behind TLS and SASL, with a real broker: workers, commands, and what a refusal says."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from io import StringIO
from typing import Any

import aiohttp
import orjson
import pytest
from rich.console import Console

from app.cli.command import explained
from app.cli.console import CommandError
from app.cli.doctor import Visit, doctor, servers
from app.cli.doctor.finding import Level
from app.operating.broker import Broker, BrokerAwayError
from app.operating.catalogue import topics as topics_of
from app.parts import services_of
from app.service_app import EXIT_CONFIG
from app.settings import Settings
from app.topics import GROUP_PREFIX
from infra.local import apps
from infra.local.testing import start_worker
from tests.integration.kafka.conftest import PASSWORD, Secured
from tests.kafka import eventually
from tests.shop import Shop, order, post_all

SERVICES = ("order", "inventory", "payment", "analytics")
ORDERS = 12
SECONDS = 60
WRONG = "not-the-password"


def settings(variables: Mapping[str, str]) -> Settings:
    return Settings(**{name.lower(): value for name, value in variables.items()})


@pytest.fixture(autouse=True)
async def _connections_end() -> AsyncIterator[None]:
    """aiokafka closes a refused connection and does not wait until TLS has ended."""
    yield
    open_files = asyncio.get_running_loop()._selector.get_map()
    # The loop's own way to wake itself up is one.
    await eventually(lambda: len(open_files) <= 1, SECONDS, "all connections have ended")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine takes longer for each step in which a refusal is found out.
    monkeypatch.setattr("app.kafka.STEP_SECONDS", SECONDS / 4)
    monkeypatch.setattr("app.kafka.REFUSAL_SECONDS", SECONDS)


@pytest.fixture(scope="module")
def shop(secured: Secured) -> Iterator[Shop]:
    """Topics made by the command, and a worker; all of it by SCRAM over TLS."""
    env = secured.scram(SERVICES=",".join(SERVICES))
    assert "made" in apps.make_topics({**secured.servers.environment(), **env})
    shop = Shop(secured.servers, env=env)
    try:
        shop.start("worker-1", gateway=False)
        yield shop
    finally:
        shop.stop()


async def totals(shop: Shop) -> dict[str, Any]:
    url = f"{shop.workers['worker-1'].url}/analytics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        found: dict[str, Any] = await answer.json() if answer.status == 200 else {}
        return {name: found.get(name) for name in ("orders", "confirmed", "revenue")}


async def test_a_worker_takes_orders_over_tls_and_reads_its_tables_back_after_a_crash(
    shop: Shop,
) -> None:
    worker = shop.workers["worker-1"]
    await shop.stock({"p": 10 * ORDERS})
    ids = await post_all(worker.url, [order(("p", 1), price=2.5)] * ORDERS)
    ends = await shop.all_end(ids, SECONDS)
    expected = {"orders": ORDERS, "confirmed": ORDERS, "revenue": 2.5 * ORDERS}

    async def counted() -> bool:
        return expected == await totals(shop)

    assert {("CONFIRMED", None)} == set(ends.values())
    await eventually(counted, SECONDS, "analytics has all orders")

    worker.kill9()
    # Without its disk: all of it comes from the changelog.
    data = shop.servers.directory / "data" / "worker-1"
    await asyncio.to_thread(data.rename, data.with_name("lost"))
    data.mkdir()
    worker.start()
    await asyncio.to_thread(worker.wait_ready)

    await eventually(counted, SECONDS, "analytics has read its tables back")
    log = worker.program.log.read_text()
    assert "Authenticated as" in log
    assert PASSWORD not in log


async def test_the_doctor_reaches_it_as_the_worker_does_and_shows_no_password(shop: Shop) -> None:
    conf = settings({**shop.servers.environment(), **shop.env})
    console = Console(file=StringIO(), width=200)
    visit = Visit(("servers", "topics", "groups", "settings"), seconds=SECONDS, as_json=True)

    await doctor(conf, console, visit)

    said = console.file.getvalue()
    of_kafka = [each for each in orjson.loads(said)["findings"] if "Mongo" not in each["name"]]
    nobody = {GROUP_PREFIX + name for name in services_of() if name not in SERVICES}
    assert nobody == {each["name"] for each in of_kafka if each["level"] == "failed"}
    assert "Kafka" in {each["name"] for each in of_kafka if each["level"] == "ok"}
    assert PASSWORD not in said


async def test_a_client_may_show_a_certificate_or_say_a_password_in_plain(
    shop: Shop, secured: Secured
) -> None:
    for variables in (
        secured.mutual(),
        secured.scram(KAFKA_SASL_MECHANISM="PLAIN"),
        secured.scram(
            KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
            KAFKA_BOOTSTRAP_SERVERS=secured.at("OPEN"),
            KAFKA_SSL_CAFILE="",
        ),
    ):
        conf = settings(variables)
        assert await topics_of(Broker(conf, seconds=SECONDS), conf)


def refused(secured: Secured) -> dict[str, tuple[dict[str, str], str]]:
    """What is wrong, how it is reached then, and what is to be said of it."""
    plain, mutual = {"KAFKA_SSL_CAFILE": ""}, secured.mutual()
    stranger, key = secured.stranger.issue("unknown")
    return {
        "password": (secured.scram(KAFKA_SASL_PASSWORD=WRONG), "KAFKA_SASL_PASSWORD"),
        "user": (
            secured.scram(KAFKA_SASL_USERNAME="nobody", KAFKA_SASL_MECHANISM="PLAIN"),
            "refuses the user's name or password",
        ),
        "mechanism": (
            secured.scram(KAFKA_SASL_MECHANISM="SCRAM-SHA-256"),
            "does not take SCRAM-SHA-256",
        ),
        "authority": (
            secured.scram(KAFKA_SSL_CAFILE=str(secured.stranger.path)),
            "has a certificate that is not trusted",
        ),
        "system's authorities": (secured.scram(KAFKA_SSL_CAFILE=""), "(KAFKA_SSL_CAFILE)"),
        "name": (
            secured.scram(KAFKA_BOOTSTRAP_SERVERS=f"localhost:{secured.ports['LOGIN']}"),
            "not valid for 'localhost' (KAFKA_BOOTSTRAP_SERVERS)",
        ),
        "no TLS": ({"KAFKA_BOOTSTRAP_SERVERS": secured.at("MUTUAL")}, "wants TLS at this port"),
        "TLS where there is none": (
            secured.scram(KAFKA_BOOTSTRAP_SERVERS=secured.servers.kafka),
            "speaks no TLS at this port",
        ),
        "SASL without TLS": (
            secured.scram(KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT", **plain),
            "wants TLS at this port",
        ),
        "SASL where there is none": (
            secured.scram(KAFKA_BOOTSTRAP_SERVERS=secured.at("MUTUAL"))
            | {name: mutual[name] for name in ("KAFKA_SSL_CERTFILE", "KAFKA_SSL_KEYFILE")},
            "asks for no name and password",
        ),
        "no SASL": (
            {
                "KAFKA_BOOTSTRAP_SERVERS": secured.at("LOGIN"),
                "KAFKA_SECURITY_PROTOCOL": "SSL",
                "KAFKA_SSL_CAFILE": str(secured.authority.path),
            },
            "does it want a name and password?",
        ),
        "no certificate": (
            {**mutual, "KAFKA_SSL_CERTFILE": "", "KAFKA_SSL_KEYFILE": ""},
            "wants a certificate of ours",
        ),
        "another's certificate": (
            {**mutual, "KAFKA_SSL_CERTFILE": str(stranger), "KAFKA_SSL_KEYFILE": str(key)},
            "KAFKA_SSL_CERTFILE",
        ),
    }


CASES = (
    "password",
    "user",
    "mechanism",
    "authority",
    "system's authorities",
    "name",
    "no TLS",
    "TLS where there is none",
    "SASL without TLS",
    "SASL where there is none",
    "no SASL",
    "no certificate",
    "another's certificate",
)


@pytest.mark.parametrize("case", CASES)
async def test_what_the_broker_refuses_is_told_in_a_line(case: str, secured: Secured) -> None:
    variables, words = refused(secured)[case]
    conf = settings(variables)

    with pytest.raises(BrokerAwayError) as asked:
        await topics_of(Broker(conf, seconds=SECONDS), conf)
    (finding,) = await servers.kafka(conf, SECONDS)

    assert words in str(asked.value)
    assert f"{finding.detail} ({finding.todo})" == str(asked.value)
    assert Level.FAILED == finding.level
    shown = CommandError(str(asked.value))
    shown.__cause__ = asked.value
    assert str(asked.value) == explained(shown)
    assert "\n" not in explained(shown)
    assert WRONG not in str(asked.value)


def test_a_worker_that_is_refused_says_why_and_ends(secured: Secured) -> None:
    env = secured.scram(KAFKA_SASL_PASSWORD=WRONG, SERVICES="order")
    worker = start_worker(secured.servers, "refused", env=env, wait=False)
    try:
        assert worker.wait_for_log("refusing to start: Kafka at", SECONDS)
        deadline = time.monotonic() + SECONDS
        while worker.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not worker.alive()
    finally:
        worker.kill9()
    log = worker.program.log.read_text()
    assert EXIT_CONFIG == worker.exit_status, log
    assert "KAFKA_SASL_PASSWORD" in log
    assert "Traceback" not in log
    assert WRONG not in log
