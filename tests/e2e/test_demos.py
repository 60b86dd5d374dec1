"""The demonstrations on one small system: every claim of theirs holds.

`test-scaling` is left out: it starts and stops workers, as `tests/e2e/test_rolling.py` does.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from app.topics import BY_EVENT, GROUP_PREFIX
from infra.demo import balancing, kafka_lessons, race, saga, trace
from infra.demo import system as systems
from infra.demo.api import connect
from infra.demo.claims import Status
from infra.demo.command import Demo, run
from infra.demo.kafka import partition_of
from infra.demo.spans import Span
from infra.demo.system import System
from infra.local.process import Stage
from tests.integration.notifications.mail import MailServer
from tests.kafka import PARTITIONS, eventually
from tests.otlp import Collector
from tests.shop import GROUPS

pytestmark = pytest.mark.timeout(240)

DEMOS = (saga, race, kafka_lessons, trace, balancing)


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        yield server


@pytest.fixture(scope="module")
def system(mail: MailServer, collector: Collector) -> Iterator[System]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SMTP_URL", mail.url)
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with systems.own(print, GATEWAYS="2") as started:
            yield started


@pytest.fixture
def console() -> Console:
    return Console(width=160)


@pytest.mark.parametrize("demo", [module.DEMO for module in DEMOS], ids=lambda demo: demo.name)
def test_every_claim_of_a_demonstration_holds(system: System, console: Console, demo: Demo) -> None:
    before = {stage: system.members(stage) for stage in Stage}
    claims = run(demo, system, console)
    assert [] == [claim for claim in claims.made if not claim.holds]
    assert claims.made
    # It leaves what runs as it was.
    assert before == {stage: system.members(stage) for stage in Stage}


def test_a_trace_that_nobody_used_is_found_nowhere(
    system: System, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "LINES_SECONDS", 0.0)
    options = trace.DEMO.parser().parse_args(["4bf92f3577b34da6a3ce929d0e0e4736"])
    claims = run(trace.DEMO, system, console, options)
    assert Status.FAILS is claims.status
    assert not any(claim.holds for claim in claims.made)


# What each event of a confirmed order is led to by: who heard which event.
LED_TO_BY = {
    "InventoryReserved": ("inventory", "OrderPlaced"),
    "PaymentProcessed": ("payment", "InventoryReserved"),
    "OrderConfirmed": ("order", "PaymentProcessed"),
    "NotificationSent": ("notification", "OrderConfirmed"),
}
Label = tuple[str, str, str]


def expected_tree() -> dict[Label, Label | None]:
    """Each span of a confirmed order, by service, kind and name or event; what it is below."""
    served, called = ("gateway", "server", "POST /api/orders"), ("gateway", "client", "POST")
    accepted = ("worker", "server", "POST /orders")
    placed = ("worker", "producer", "OrderPlaced")
    tree: dict[Label, Label | None] = {served: None, called: served, accepted: called}
    senders = {"OrderPlaced": placed} | {
        event: (service, "producer", event) for event, (service, _) in LED_TO_BY.items()
    }
    tree[placed] = accepted
    for event, sender in senders.items():
        if event in LED_TO_BY:
            service, cause = LED_TO_BY[event]
            tree[sender] = (service, "consumer", cause)
        for group, topics in GROUPS.items():
            if BY_EVENT[event].name in topics:
                tree[group.removeprefix(GROUP_PREFIX), "consumer", event] = sender
    return tree


def label(span: Span) -> Label:
    return span.service, span.kind, span.attributes.get("orderflow.event", span.name)


async def test_an_orders_spans_are_one_tree_and_its_trace_reaches_the_mail(
    system: System, collector: Collector, mail: MailServer
) -> None:
    trace = secrets.token_hex(16)
    expected = expected_tree()
    async with connect(system) as api:
        await api.stock("traced", 1)
        client = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        order_id = await api.place("traced", "traced", headers=client)

    def recorded() -> bool:
        return len(expected) == len({label(span) for span in collector.trace(trace)})

    await eventually(recorded, 60, f"{len(expected)} spans are recorded")
    spans = collector.trace(trace)
    by_id = {span.id: span for span in spans}
    assert expected == {
        label(span): label(by_id[span.parent]) if span.parent in by_id else None for span in spans
    }
    (root,) = [span for span in spans if span.parent not in by_id]
    assert "00f067aa0ba902b7" == root.parent
    assert {order_id} == {
        span.attributes["orderflow.order_id"] for span in spans if span.kind != "client"
    }
    consumed = [span for span in spans if span.kind == "consumer"]
    assert all(span.attributes["messaging.system"] == "kafka" for span in consumed)
    assert {str(partition_of(order_id, PARTITIONS))} == {
        span.attributes["messaging.destination.partition.id"] for span in consumed
    }
    told = [taken.mail for taken in mail.taken if f"{order_id}.confirmed" in taken.id]
    assert [trace] == [one["X-Trace-Id"] for one in told]


def test_every_line_of_every_log_is_json_with_the_same_fields(system: System) -> None:
    fields = {"timestamp", "level", "logger", "event", "service", "instance"}
    logs = [
        Path(one.log) for stage in (Stage.GATEWAY, Stage.WORKER) for one in system.members(stage)
    ]
    logs.append(system.world.folder / "data" / "nginx" / "access.log")
    for log in logs:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert lines
        assert [] == [line for line in lines if not fields <= set(line)]
