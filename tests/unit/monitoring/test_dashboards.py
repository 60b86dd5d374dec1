"""The dashboards are what their description makes, complete, and ask nobody but our Prometheus."""

import json
import re
from typing import Any

import pytest
import yaml

from infra.grafana.__main__ import FOLDER, files
from infra.grafana.boards import DASHBOARDS
from infra.grafana.describing import COLUMNS
from infra.grafana.rendering import DATASOURCE
from tests.unit.monitoring.dashboards import dashboards, panels, queries
from tests.unit.monitoring.rules import RECORDED, recorded

PROVISIONING = FOLDER.parent / "provisioning"
UIDS = {
    "orderflow-overview",
    "orderflow-sagas",
    "orderflow-kafka",
    "orderflow-tables",
    "orderflow-gateway",
    "orderflow-slo",
}


def test_the_dashboards_are_what_python_m_infra_grafana_writes() -> None:
    expected = {path.name: text for path, text in files().items()}
    found = {path.name: path.read_text() for path in FOLDER.glob("*.json")}

    assert expected == found, "run `python -m infra.grafana`"


def test_their_addresses_stay() -> None:
    assert UIDS == {one["uid"] for one in dashboards()}


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda one: one["uid"])
def test_every_panel_explains_itself_and_has_a_unit_and_thresholds(
    dashboard: dict[str, Any],
) -> None:
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]
        values = [step["value"] for step in defaults["thresholds"]["steps"]]
        assert values[0] is None
        assert sorted(values[1:]) == values[1:], panel["title"]


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda one: one["uid"])
def test_no_panel_covers_another_or_leaves_the_page(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= COLUMNS
        taken |= cells
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_no_title_is_there_twice_on_a_page() -> None:
    for dashboard in DASHBOARDS:
        titles = [panel.title for row in dashboard.rows for panel in row.panels]
        assert len(set(titles)) == len(titles)


def test_what_they_ask_of_recorded_series_is_recorded() -> None:
    asked = {name for query in queries() for name in RECORDED.findall(query.expr)}

    assert asked
    assert set() == asked - recorded()


def test_all_ask_the_one_data_source_that_is_provisioned() -> None:
    provisioned = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())
    (source,) = provisioned["datasources"]

    assert DATASOURCE == {"type": source["type"], "uid": source["uid"]}
    for dashboard in dashboards():
        for panel in panels(dashboard):
            assert [DATASOURCE] * len(panel["targets"]) == [
                target["datasource"] for target in panel["targets"]
            ]


def test_nothing_leads_to_another_host() -> None:
    text = "".join(path.read_text() for path in FOLDER.glob("*.json"))

    assert [] == re.findall(r"https?://[^\s\"\\]+", text)
    assert json.loads(next(iter(files().values())))["links"][0]["type"] == "dashboards"
