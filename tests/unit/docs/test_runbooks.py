"""The runbooks: one for each alert, and what they tell to look at is there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pages import ROOT

FOLDER = ROOT / "docs" / "runbooks"
INDEX = FOLDER / "README.md"
RUNBOOKS = sorted(set(FOLDER.glob("*.md")) - {INDEX})
RULES = yaml.safe_load((ROOT / "infra/prometheus/alerts.yml").read_text())
ALERTS: dict[str, Any] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]
}
HEADINGS = ["What it means", "Impact", "Look", "Do", "It is over when", "Known causes"]
# Dashboard *Sagas*, panels *Orders under way* and *Oldest order under way*
SHOWN = re.compile(r"[Dd]ashboard\s+\*([^*]+)\*,\s+panels?\s+((?:\*[^*]+\*(?:,\s+|\s+and\s+)?)+)")
TITLE = "Orderflow / "


def page_of(alert: str) -> Path:
    return FOLDER / f"{re.sub(r'(?<!^)(?=[A-Z])', '-', alert).lower()}.md"


def panels() -> dict[str, set[str]]:
    """The titles of each dashboard's panels, by the dashboard's short name."""
    boards = [
        json.loads(file.read_text()) for file in (ROOT / "infra/grafana/dashboards").glob("*.json")
    ]
    return {
        board["title"].removeprefix(TITLE): {panel["title"] for panel in board["panels"]}
        for board in boards
    }


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert sorted(map(page_of, ALERTS)) == RUNBOOKS


@pytest.mark.parametrize("alert", ALERTS)
def test_a_page_says_the_alert_s_name_and_severity_and_all_that_is_asked_for(alert: str) -> None:
    text = page_of(alert).read_text()
    assert text.startswith(f"# {alert}\n")
    assert f"*Severity: {ALERTS[alert]['labels']['severity']}.*" in text
    assert HEADINGS == re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert ALERTS[alert]["annotations"]["runbook_url"].endswith(
        f"docs/runbooks/{page_of(alert).name}"
    )


def test_the_index_lists_every_alert_with_its_severity() -> None:
    listed = re.findall(
        r"^\| \[(\w+)\]\(([\w-]+\.md)\) \| (\w+) \|", INDEX.read_text(), re.MULTILINE
    )
    expected = [(a, page_of(a).name, rule["labels"]["severity"]) for a, rule in ALERTS.items()]
    assert sorted(expected) == sorted(listed)


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_every_panel_that_is_named_is_on_its_dashboard(page: Path) -> None:
    known = panels()
    named = SHOWN.findall(page.read_text())
    assert named
    missing = [
        (board, panel)
        for board, listed in named
        for panel in re.findall(r"\*([^*]+)\*", listed)
        if " ".join(panel.split()) not in known.get(board, set())
    ]
    assert [] == missing
