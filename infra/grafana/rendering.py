"""Dashboards as the JSON that Grafana reads: the places follow from the description."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.grafana.describing import COLUMNS, Dashboard, Panel, Query, Row

# Of provisioning/datasources; its name in the address is stable too.
DATASOURCE = {"type": "prometheus", "uid": "orderflow-prometheus"}
# Grafana 10 and newer read it, and lift it to their own.
SCHEMA = 39
REFRESH = "10s"
ROW_HEIGHT = 1


def rendered(dashboard: Dashboard) -> str:
    """The dashboard's file."""
    return json.dumps(document(dashboard), indent=2, ensure_ascii=False) + "\n"


def document(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana's model of it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": list(dashboard.tags),
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": REFRESH,
        "time": {"from": dashboard.span, "to": "now"},
        "annotations": {"list": [_alerts()]},
        "links": [_siblings()],
        "templating": {"list": [_instances(dashboard.jobs)]},
        "panels": list(_panels(dashboard.rows)),
    }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number = line = 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": line, "w": COLUMNS, "h": ROW_HEIGHT},
        }
        line += ROW_HEIGHT
        column = tallest = 0
        for panel in row.panels:
            if column + panel.width > COLUMNS:
                line, column, tallest = line + tallest, 0, 0
            number += 1
            place = {"x": column, "y": line, "w": panel.width, "h": panel.height}
            yield {"id": number, "gridPos": place, **_panel(panel)}
            column, tallest = column + panel.width, max(tallest, panel.height)
        line += tallest


def _panel(panel: Panel) -> dict[str, Any]:
    look = _timeseries(panel) if panel.kind == "timeseries" else _stat()
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [_target(query, n) for n, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": {**_defaults(panel), **look["defaults"]}, "overrides": []},
        "options": look["options"],
    }


def _target(query: Query, n: int) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + n),
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "editorMode": "code",
        "range": True,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[Mapping[str, Any]] = [{"color": panel.base, "value": None}]
    steps += [{"color": one.colour, "value": one.value} for one in panel.thresholds]
    return {
        "unit": panel.unit,
        "min": 0,
        **({"max": panel.top} if panel.top is not None else {}),
        **({"decimals": panel.decimals} if panel.decimals is not None else {}),
        "thresholds": {"mode": "absolute", "steps": steps},
    }


def _timeseries(panel: Panel) -> dict[str, Any]:
    return {
        "defaults": {
            "color": {"mode": "palette-classic"},
            "custom": {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 25 if panel.stacked else 8,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if panel.thresholds else "off"},
            },
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _stat() -> dict[str, Any]:
    return {
        "defaults": {"color": {"mode": "thresholds"}},
        "options": {
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "textMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    }


def _instances(jobs: Sequence[str]) -> dict[str, Any]:
    query = f'label_values(up{{job=~"{"|".join(jobs)}"}}, instance)'
    return {
        "name": "instance",
        "label": "Instance",
        "description": "The processes to look at",
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "instance"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _alerts() -> dict[str, Any]:
    """Firing alerts as marks over all charts."""
    return {
        "name": "Alerts",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}} {{instance}}",
        "step": "15s",
    }


def _siblings() -> dict[str, Any]:
    """The other dashboards, in the head of each."""
    return {
        "title": "Orderflow",
        "type": "dashboards",
        "tags": ["orderflow"],
        "asDropdown": True,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
    }
