"""`docs/metrics.md` names what is exposed, and nothing else."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.metrics.registry import new_registry
from app.metrics.worker import WorkerMetrics
from app.saga import INVENTORY_FIRST
from app.web import metrics as web
from gateway.metrics import Metrics
from gateway.workers import Workers
from tests.metrics import CONTRACT, labels_of

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(
    r"^\| `(?P<name>\w+)(?:{(?P<labels>[\w,]+)})?` \| (?P<type>\w+) \| [^|]+ "
    r"\| (?P<by>[^|]+) \| .+ \|$",
    re.MULTILINE,
)
Shown = dict[str, tuple[str, frozenset[str]]]
"""Type and labels of each metric, by its name as it is scraped."""


def exposed(registry: CollectorRegistry) -> Shown:
    found: Shown = {}
    for collector in registry._collector_to_names:
        labels = labels_of(collector)
        described = (collector.describe if hasattr(collector, "describe") else collector.collect)()
        for metric in described:
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            of = labels[metric.name] or (metric.samples[0].labels if metric.samples else ())
            found[name] = metric.type, frozenset(of) - {"le"}
    return found


def worker() -> Shown:
    registry = new_registry()
    WorkerMetrics(registry, INVENTORY_FIRST)
    for metric in (web.REQUESTS, web.DURATION):
        registry.register(metric)
    return exposed(registry)


def gateway() -> Shown:
    metrics = Metrics()
    metrics.watch(Workers(["http://127.0.0.1:1"]))
    return exposed(metrics._registry)


def documented(process: str) -> Shown:
    return {
        row["name"]: (row["type"], frozenset(filter(None, (row["labels"] or "").split(","))))
        for row in ROW.finditer(PAGE.read_text())
        if process in row["by"]
    }


@pytest.mark.parametrize(("process", "of"), [("worker", worker), ("gateway", gateway)])
def test_the_page_names_every_metric_of_each_process_and_no_other(process, of) -> None:
    assert of() == documented(process)


def test_what_others_rely_on_has_its_name_and_labels() -> None:
    shown = worker()
    assert CONTRACT == {name: set(shown[name][1]) for name in CONTRACT}
    assert frozenset({"target"}) == gateway()["circuit_breaker_state"][1]
