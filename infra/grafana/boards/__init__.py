"""All dashboards."""

from infra.grafana.boards.gateway import GATEWAY
from infra.grafana.boards.kafka import KAFKA
from infra.grafana.boards.overview import OVERVIEW
from infra.grafana.boards.sagas import SAGAS
from infra.grafana.boards.slo import SLO
from infra.grafana.boards.tables import TABLES

DASHBOARDS = (OVERVIEW, SAGAS, KAFKA, TABLES, GATEWAY, SLO)

__all__ = ["DASHBOARDS"]
