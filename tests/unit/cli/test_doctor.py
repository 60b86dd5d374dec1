"""`faust -A app doctor`: what it makes of what it finds, and that it ends whatever is away."""

import asyncio
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from packaging.requirements import Requirement
from rich.console import Console

from app.cli.console import FAILED
from app.cli.doctor import AREAS, Visit, configured, doctor, groups, machine, processes, servers
from app.cli.doctor import topics as topics_module
from app.cli.doctor.finding import Finding, Level
from app.cli.doctor.running import Check, made, summary, table
from app.cli.doctor.topics import Held, Partition, dead_letters, judge
from app.cli.members import url_in
from app.operating.groups import Group, Member, Progress
from app.settings import Settings
from app.topics import INVENTORY, ORDER, plans
from gateway.server import nobody_connects
from infra.local.ports import free_ports

OK, WARNING, BROKEN = Level.OK, Level.WARNING, Level.FAILED
STRONG = "0f9a" + "b3c7d1e2" * 8
TOGETHER = (ORDER.name, INVENTORY.name)


def levels(findings: Sequence[Finding]) -> dict[str, Level]:
    return {each.name: each.level for each in findings}


# Settings


def judged(**settings: Any) -> dict[str, Level]:
    return levels(configured.judge(Settings(**settings)))


def test_the_default_settings_contradict_nothing() -> None:
    assert {"AUTH": OK, "settings": OK} == judged()


@pytest.mark.parametrize(
    ("settings", "name", "level"),
    [
        ({"worker_bind": "0.0.0.0"}, "AUTH", BROKEN),
        ({"gateway_bind": "10.0.0.7"}, "AUTH", BROKEN),
        ({"auth_jwks_url": "http://issuer.example/keys"}, "AUTH_JWKS_URL", BROKEN),
        ({"auth_secret": "a" * 40}, "AUTH_SECRET", WARNING),
        ({"auth_secret": "please-change-me-before-production-1"}, "AUTH_SECRET", WARNING),
        ({"cluster_token": "abababababababab"}, "CLUSTER_TOKEN", WARNING),
        ({"cluster_token": STRONG, "auth_secret": STRONG}, "CLUSTER_TOKEN", BROKEN),
        ({"shutdown_delay_seconds": 1}, "SHUTDOWN_DELAY_SECONDS", WARNING),
        ({"gateway_timeout_seconds": 10}, "GATEWAY_TIMEOUT_SECONDS", WARNING),
        ({"dashboard_part_seconds": 1}, "DASHBOARD_PART_SECONDS", WARNING),
        ({"saga_timeout_seconds": 30}, "SAGA_TIMEOUT_SECONDS", WARNING),
        ({"analytics_hours_kept_seconds": 7200}, "ANALYTICS_HOURS_KEPT_SECONDS", WARNING),
        ({"payment_failure_rate": 0.1}, "PAYMENT_FAILURE_RATE", WARNING),
        ({"smtp_url": "smtp://me:word@localhost"}, "SMTP_URL", WARNING),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    settings: dict[str, Any], name: str, level: Level
) -> None:
    assert level is judged(**settings)[name]


def test_what_is_weak_is_broken_where_tokens_are_asked_for() -> None:
    closed = {"auth": "on", "auth_secret": "a" * 40, "cluster_token": STRONG}

    found = judged(**closed, auth_development="on")

    assert (BROKEN, WARNING, WARNING) == (
        found["AUTH_SECRET"],
        found["AUTH"],
        found["PAYMENT_PROVIDER"],
    )
    assert OK is judged(**closed)["AUTH"]


def test_no_secret_is_shown() -> None:
    secret = "secret-" * 8
    found = configured.judge(Settings(auth_secret=secret))

    assert not [each for each in found if secret in each.detail + each.todo]


# Topics

PLANS = plans(Settings())


def all_held() -> dict[str, Held]:
    """The topics as planned, on one broker."""
    one = Partition(copies=1, in_sync=1)
    return {p.name: Held([one] * p.partitions, dict(p.config)) for p in PLANS}


def changed(name: str, **changes: Any) -> dict[str, Held]:
    held = all_held()
    return {**held, name: replace(held[name], **changes)}


def test_topics_as_planned_are_one_line() -> None:
    (found,) = judge(PLANS, all_held(), 1, TOGETHER)

    assert (OK, f"all {len(PLANS)}, 6 partitions and 1 copy each") == (found.level, found.detail)


def test_a_topic_that_is_missing_is_named_with_the_command_that_makes_it() -> None:
    held = all_held()
    del held[ORDER.name]

    (found,) = judge(PLANS, held, 1, TOGETHER)

    assert (BROKEN, ORDER.name) == (found.level, found.detail)
    assert "faust -A app topics" in found.todo


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"partitions": [Partition(1, 1)] * 3},
            {"co-partitioning": BROKEN, "partitions": BROKEN},
        ),
        ({"partitions": [Partition(1, 1, led=False)] * 6}, {"leaders": BROKEN}),
        ({"partitions": [Partition(3, 2)] * 6}, {"in sync": WARNING}),
        (
            {
                "partitions": [Partition(3, 1)] * 6,
                "config": {"min.insync.replicas": "2"},
            },
            {"in sync": BROKEN},
        ),
        ({"config": {"cleanup.policy": "compact"}}, {"clean-up": BROKEN}),
        ({"config": {"retention.ms": "1"}}, {"retention": WARNING}),
    ],
)
def test_a_topic_that_is_not_as_planned_is_named(
    changes: dict[str, Any], expected: dict[str, Level]
) -> None:
    found = judge(PLANS, changed(ORDER.name, **changes), 1, TOGETHER)

    assert expected == levels(found)
    assert all(ORDER.name in each.detail for each in found)


def test_one_copy_on_three_brokers_is_too_few_and_so_is_one_in_sync() -> None:
    assert {"copies": WARNING} == levels(judge(PLANS, all_held(), 3, TOGETHER))

    three = plans(Settings(topic_replication=3))
    held = {p.name: Held([Partition(3, 3)] * 6, dict(p.config)) for p in three}
    assert {"min.insync.replicas": WARNING} == levels(judge(three, held, 3, TOGETHER))
    assert {"copies": WARNING, "min.insync.replicas": WARNING} == levels(
        judge(three, all_held(), 3, TOGETHER)
    )


def test_dead_letters_are_counted() -> None:
    assert {"dead letters": OK} == levels(dead_letters({"a.dlq": 0}))
    (found,) = dead_letters({"a.dlq": 3, "b.dlq": 0})
    assert (WARNING, "3 in a.dlq") == (found.level, found.detail)


# Groups


def group(lag: int = 0, *, state: str = "Stable", owned: int = 2, members: int = 1) -> Group:
    partitions = [TopicPartition("t", number) for number in range(owned)]
    return Group(
        "orders-order",
        state,
        [Member("m", "w-order", "h", partitions)] * members,
        [Progress("t", 0, 5, 5, 0), Progress("t", 1, 5, 5 + lag, lag)],
    )


@pytest.mark.parametrize(
    ("found", "before", "level", "words"),
    [
        (group(), 0, OK, "1 member, lag 0"),
        (group(members=0, state="Empty"), 0, BROKEN, "nobody takes part"),
        (group(state="PreparingRebalance"), 0, WARNING, "PreparingRebalance"),
        (group(owned=1), 0, BROKEN, "1 partitions unowned: t 1"),
        (group(5000), 5000, WARNING, "not getting less"),
        (group(5000), 6000, OK, "lag 5,000"),
        (group(500), 100, OK, "lag 500"),
    ],
)
def test_a_group_is_judged_by_its_members_partitions_and_lag(
    found: Group, before: int, level: Level, words: str
) -> None:
    finding = groups.judge(found, before)

    assert level is finding.level
    assert words in finding.detail


def test_a_workers_address_is_in_what_it_joined_with() -> None:
    said = ConsumerProtocolMemberMetadata(0, ["t"], b'{"url": "http://10.0.0.7:6066/"}').encode()

    assert "http://10.0.0.7:6066" == url_in(said)
    assert url_in(ConsumerProtocolMemberMetadata(0, ["t"], b"").encode()) is None
    assert url_in(b"") is None


# Servers


@pytest.mark.parametrize(
    ("said", "url", "serious", "level"),
    [
        ({"ismaster": True}, "", False, OK),
        ({"ismaster": True}, "", True, WARNING),
        ({"ismaster": False}, "", True, BROKEN),
        ({"ismaster": True, "setName": "rs", "hosts": ["a", "b", "c"]}, "", True, OK),
        ({"ismaster": True, "setName": "rs", "hosts": ["a"]}, "", True, WARNING),
        (
            {"ismaster": True, "setName": "rs", "hosts": ["a", "b", "c"]},
            "mongodb://a/?retryWrites=false",
            True,
            WARNING,
        ),
    ],
)
def test_what_mongodb_acknowledges_is_judged_by_how_many_have_it(
    said: dict[str, Any], url: str, serious: bool, level: Level
) -> None:
    (found,) = servers.durability(said, url, serious=serious)
    assert level is found.level


@pytest.mark.parametrize(
    ("info", "serious", "level"),
    [
        ({"role": "master", "aof_enabled": 1}, True, OK),
        ({"role": "master", "aof_enabled": 0}, False, OK),
        ({"role": "master", "aof_enabled": 0}, True, WARNING),
        ({"role": "slave"}, False, BROKEN),
        ({"role": "master", "maxmemory": 1, "maxmemory_policy": "allkeys-lru"}, False, WARNING),
    ],
)
def test_redis_must_keep_its_keys(info: dict[str, Any], serious: bool, level: Level) -> None:
    (found,) = servers.keeping(info, serious=serious)
    assert level is found.level


@pytest.mark.parametrize(("seconds", "level"), [(-0.4, OK), (3.0, WARNING), (-60.0, BROKEN)])
def test_clocks_must_be_together(seconds: float, level: Level) -> None:
    assert level is servers.skew("Redis", seconds).level


def test_the_newest_record_of_kafka_can_not_be_of_later() -> None:
    assert [OK] == [each.level for each in servers.newest_finding(None, 100.0)]
    assert [OK] == [each.level for each in servers.newest_finding(40.0, 100.0)]
    assert [WARNING] == [each.level for each in servers.newest_finding(105.0, 100.0)]


def test_a_slow_server_is_named() -> None:
    assert WARNING is servers.answers("Kafka", "1 broker", 500.0).level


# The machine


async def test_this_python_and_its_packages_are_what_the_project_needs() -> None:
    assert {"Python": OK, "packages": OK} == levels(await machine.versions())


def test_what_is_missing_or_too_old_is_named() -> None:
    needed = [
        Requirement("aiokafka<0.1"),
        Requirement("no-such-package"),
        Requirement("x; sys_platform == 'none'"),
    ]

    found = machine.judge_versions(">=3.99", needed, "3.11.7")

    assert {"Python": BROKEN, "aiokafka": BROKEN, "no-such-package": BROKEN} == levels(found)


def test_little_room_is_named() -> None:
    gigabyte = 1 << 30
    expected = [BROKEN, WARNING, OK]
    sizes = (gigabyte // 2, 2 * gigabyte, 9 * gigabyte)
    assert expected == [machine.judge_free(Path("x"), free).level for free in sizes]


async def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    assert OK is (await machine.disk(tmp_path / "not" / "yet"))[0].level
    assert BROKEN is (await machine.disk(tmp_path / "file"))[0].level


async def test_a_disk_that_hangs_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(folder: Path) -> Any:
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result()

    monkeypatch.setattr(shutil, "disk_usage", hang)

    (found,) = await made(Check("disk", ("disk",), lambda: machine.disk(Path())), 0.1)

    assert (BROKEN, "no answer within 0.1 s") == (found.level, found.detail)
    released.set()


# Processes


def test_a_worker_that_is_not_ready_says_what_it_lacks() -> None:
    well = {"status": "ok", "checks": {"kafka": True, "services": {"order": True}}}
    ill = {"status": "x", "checks": {"kafka": False, "services": {"order": False}}}

    assert OK is processes.judge_worker("w", 200, well, 0.01).level
    found = processes.judge_worker("w", 503, ill, 0.01)
    assert (BROKEN, "worker, not ready: kafka, order") == (found.level, found.detail)
    assert BROKEN is processes.judge_worker("w", 200, {"hello": 1}, 0.01).level


def test_a_gateway_is_judged_by_the_workers_behind_it() -> None:
    def behind(live: int, status: int = 200) -> Level:
        said = {"ready": status == 200, "workers": {"live": live, "total": 2}}
        return processes.judge_gateway("g", status, said).level

    assert (OK, WARNING, BROKEN) == (behind(2), behind(1), behind(0, 503))
    assert BROKEN is processes.judge_gateway("g", 200, {}).level


# All together


def nowhere(port: int, tmp_path: Path) -> Settings:
    """Everything at one address."""
    return Settings(
        kafka_bootstrap_servers=f"127.0.0.1:{port}",
        mongodb_url=f"mongodb://127.0.0.1:{port}/x?retryWrites=false",
        redis_url=f"redis://127.0.0.1:{port}/0",
        worker_port=port,
        gateway_port=port,
        data_dir=tmp_path,
    )


async def examined(settings: Settings, **visit: Any) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    status = await doctor(settings, Console(file=out, width=200), Visit(as_json=True, **visit))
    return status, json.loads(out.getvalue())


async def test_with_everything_down_it_says_so_of_each(tmp_path: Path) -> None:
    status, found = await examined(nowhere(free_ports(1)[0], tmp_path))

    assert (FAILED, False) == (status, found["ok"])
    broken = {each["name"] for each in found["findings"] if each["level"] == "failed"}
    assert {"Kafka", "MongoDB", "Redis", "topics", "dead letters", "groups"} == broken
    assert all(each["todo"] for each in found["findings"] if each["level"] != "ok")
    assert {"port", "disk"} <= {
        w for e in found["findings"] for w in (e["area"], *e["name"].split())
    }


async def test_with_everything_silent_it_ends_all_the_same(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(60):
            status, found = await examined(
                nowhere(port, tmp_path), seconds=1.0, workers=(f"http://127.0.0.1:{port}",)
            )
    finally:
        # A client may have begun to connect when its time was over.
        await nobody_connects(server.sockets)
        server.close()
    assert FAILED == status
    broken = {each["name"] for each in found["findings"] if each["level"] == "failed"}
    assert {"Kafka", "MongoDB", "Redis", "topics", "groups", f"127.0.0.1:{port}"} <= broken


async def test_one_area_alone_is_looked_at_where_that_is_asked_for(tmp_path: Path) -> None:
    status, found = await examined(nowhere(1, tmp_path), only=("settings", "disk"))

    assert (0, {"settings", "disk"}) == (status, {each["area"] for each in found["findings"]})


async def test_a_check_that_fails_itself_is_a_finding() -> None:
    async def broken() -> Sequence[Finding]:
        raise KeyError("brokers")

    (found,) = await made(Check("Kafka", ("servers", "clock"), broken), 1.0)

    assert ("servers", BROKEN) == (found.area, found.level)
    assert "KeyError" in found.detail


def test_what_to_do_is_shown_below_what_is_wrong() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80)
    findings = [
        Finding("servers", "Kafka", OK, "1 broker", "not shown"),
        Finding("topics", "missing", BROKEN, "order.events.v1", "faust -A app topics"),
    ]
    console.print(table(findings))
    console.print(summary(findings, 1.25))

    shown = [" ".join(each.split()) for each in out.getvalue().splitlines()]
    assert "servers ok Kafka 1 broker" in shown
    assert "topics failed missing order.events.v1" in shown
    assert "→ faust -A app topics" in shown
    assert "1 ok, 1 failed; looked for 1.2 s" in shown
    assert set(AREAS) > {"servers", "topics"}
    assert topics_module.names(["a", "b", "c", "d"]) == "a, b, c and 1 more"
