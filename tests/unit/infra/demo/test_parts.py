"""What demonstrations work out themselves: chosen orders, partitions, lines of logs."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.partitioner import DefaultPartitioner

from app.domain.simulation import fails
from app.logs import Allowance
from app.streaming import Chunk
from app.trace_log import RecordTraces
from app.web.acceptance import derived_id
from infra.demo.claims import DemoError
from infra.demo.kafka import partition_of
from infra.demo.spans import Span, roots, tree
from infra.demo.system import Simulation
from infra.demo.trace import SERVICES, Lines

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ORDER = "825c73c6-9624-5263-ae7d-10ab655ee73f"


@pytest.mark.parametrize("declined", [True, False])
def test_a_key_is_chosen_whose_order_ends_as_wanted(declined: bool) -> None:
    simulation = Simulation(payment_rate=0.3, inventory_rate=0.3, seed=7)
    for _ in range(20):
        order = derived_id("alice", simulation.key("alice", declined=declined))
        assert declined is fails(7, "payment", order, 0.3)
        assert not fails(7, "inventory", order, 0.3)


def test_where_nothing_is_declined_no_key_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.demo.system.KEY_TRIES", 10)
    with pytest.raises(DemoError, match="no order's payment fails"):
        Simulation().key("alice", declined=True)
    assert Simulation().key("alice")


def test_the_simulation_is_read_from_a_workers_environment() -> None:
    given = {"PAYMENT_FAILURE_RATE": "0.05", "PAYMENT_SEED": "7", "INVENTORY_FAILURE_RATE": ""}
    assert Simulation(0.05, 0.0, 7) == Simulation.of(given)
    assert Simulation() == Simulation.of({})


def test_a_key_goes_where_kafkas_clients_put_it() -> None:
    partitions = list(range(6))
    keys = [f"order-{n}" for n in range(100)]
    assert [DefaultPartitioner()(key.encode(), partitions, partitions) for key in keys] == [
        partition_of(key, 6) for key in keys
    ]


def told(
    caplog: pytest.LogCaptureFixture, *types: str, per_second: float = 10.0
) -> list[dict[str, Any]]:
    records = [
        SimpleNamespace(
            headers=[
                ("ce_type", kind.encode()),
                ("correlationid", ORDER.encode()),
                ("traceparent", f"00-{TRACE}-b7-01".encode()),
            ],
            key=ORDER.encode(),
            topic="order.events.v1",
            partition=3,
            offset=offset,
        )
        for offset, kind in enumerate(types)
    ]
    traces = RecordTraces("orders-audit", Allowance(per_second, clock=lambda: 0.0))
    with caplog.at_level(logging.INFO, "app.trace_log"):
        traces.handled([cast("Chunk", SimpleNamespace(records=records))], 0)
    return [vars(record)["data"] for record in caplog.records]


def test_a_services_line_is_found_again_with_its_order(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = told(caplog, "OrderPlaced")
    expected = {
        "trace_id": TRACE,
        "order_id": ORDER,
        "group": "orders-audit",
        "type": "OrderPlaced",
        "id": "",
        "key": ORDER,
        "topic": "order.events.v1",
        "partition": 3,
        "offset": 0,
    }
    assert expected == line
    assert ORDER == Lines(services={"audit": [line]}).order_id


def test_no_more_records_are_told_than_are_allowed(caplog: pytest.LogCaptureFixture) -> None:
    assert 20 == len(told(caplog, *["OrderPlaced"] * 50, per_second=2.0))
    caplog.clear()
    assert [] == told(caplog, "OrderPlaced", per_second=0.0)


def test_an_order_is_followed_only_when_every_service_has_told_its_end(tmp_path: Path) -> None:
    def lines(*services: str) -> Lines:
        said: dict[str, list[Any]] = {name: [{"type": "OrderConfirmed"}] for name in services}
        return Lines([{}], [{}], [{}], said)

    assert lines(*SERVICES).complete
    assert not lines(*SERVICES[1:]).complete
    assert not Lines(services=lines(*SERVICES).services).complete
    unended: Any = lines(*SERVICES)
    unended.services["audit"] = [{"type": "OrderPlaced"}]
    assert not unended.complete


def test_spans_are_one_tree_where_each_but_the_first_is_below_another() -> None:
    def span(name: str, parent: str, began: int) -> Span:
        return Span(name, parent, name, "consumer", "audit", "worker-1", began, began + 1)

    first, second, third = span("a", "client", 1), span("b", "a", 2), span("c", "b", 3)
    aside = span("d", "a", 4)
    spans = [first, second, third, aside]
    assert [(0, "a"), (1, "b"), (2, "c"), (1, "d")] == [(n, one.name) for n, one in tree(spans)]
    assert [first] == roots(spans)
    assert [first, third] == roots([first, third, aside])
