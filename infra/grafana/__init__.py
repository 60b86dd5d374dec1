"""Grafana's dashboards, described once and written as JSON: `python -m infra.grafana`."""
