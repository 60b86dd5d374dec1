"""The dashboards as their files have them, and what they ask of Prometheus."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.grafana.__main__ import FOLDER


@dataclass(frozen=True)
class Asked:
    """A query and whose it is."""

    dashboard: str
    panel: str
    expr: str

    def substituted(self, interval: str) -> str:
        """As Grafana sends it, with all instances chosen."""
        return self.expr.replace("$__rate_interval", interval).replace("$instance", ".*")


def dashboards() -> list[dict[str, Any]]:
    """The files' contents."""
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels that show something."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def queries() -> list[Asked]:
    """Every query of every panel."""
    return [
        Asked(dashboard["uid"], panel["title"], target["expr"])
        for dashboard in dashboards()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]
