"""The rules by Prometheus' own tool: when each alert fires, and what it says."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local import prometheus
from infra.local.errors import LocalError
from infra.local.ports import Port
from infra.local.prometheus import FOLDER, GATEWAYS, RULES, WORKERS, Target
from tests.unit.monitoring.cases import CASES, Case
from tests.unit.monitoring.rules import (
    ALERTS,
    RECORDED,
    RECORDING,
    alerts,
    groups,
    recorded,
    rules,
    shorter,
)

ROOT = Path(__file__).parents[3]
NAMES = {
    "ConsumerLagGrowing",
    "ConsumerStuck",
    "SagasStuck",
    "CompensationFailing",
    "OversellGuardHit",
    "ErrorBudgetBurnFast",
    "ErrorBudgetBurnSlow",
    "DeadLetters",
    "CircuitBreakerOpen",
    "RecoveryRunning",
    "WorkerDown",
    "GatewayDown",
    "PartitionsUnowned",
    "RedisUnavailable",
}
TARGETS = {
    WORKERS: [Target("127.0.0.1:6066", "worker-1", "all")],
    GATEWAYS: [Target("127.0.0.1:3000", "gateway-1", "gateway")],
}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_promtool_accepts_the_rules() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))

    assert 0 == done.returncode, done.stdout + done.stderr


def test_promtool_accepts_the_settings_for_containers() -> None:
    done = promtool("check", "config", str(FOLDER / "prometheus.yml"))

    assert 0 == done.returncode, done.stdout + done.stderr


def test_promtool_accepts_the_settings_for_one_machine(tmp_path: Path) -> None:
    made = prometheus.prometheus(tmp_path, tmp_path / "log", Port(9090, "a"), TARGETS)
    assert made.prepare is not None
    made.prepare()

    done = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    written = yaml.safe_load((tmp_path / "prometheus.yml").read_text())

    assert 0 == done.returncode, done.stdout + done.stderr
    assert [WORKERS, GATEWAYS] == [job["job_name"] for job in written["scrape_configs"]]
    assert [str(rule) for rule in RULES] == written["rule_files"]


def test_settings_that_prometheus_would_refuse_stop_it_with_promtools_words(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text('groups: [{name: a, rules: [{record: b, expr: "sum("}]}]')
    made = prometheus.prometheus(
        tmp_path, tmp_path / "log", Port(9090, "a"), TARGETS, rules=[wrong]
    )
    assert made.prepare is not None

    with pytest.raises(LocalError, match=r"(?s)prometheus refuses its settings.*wrong\.yml"):
        made.prepare()


def test_both_ways_to_run_it_have_the_same_jobs_and_rules() -> None:
    containers = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    machine = yaml.safe_load(prometheus.settings(TARGETS, RULES, "5s"))

    jobs, ours = (
        {job["job_name"] for job in one["scrape_configs"]} for one in (containers, machine)
    )
    assert jobs == ours
    assert [rule.name for rule in RULES] == containers["rule_files"]


def test_there_is_an_alert_for_each_thing_that_can_go_wrong() -> None:
    assert set(alerts()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_alert_says_how_urgent_it_is_what_is_so_and_what_to_do(name: str) -> None:
    alert = alerts()[name]
    notes = alert["annotations"]

    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description", "runbook_url"} == set(notes)
    page = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
    assert f"docs/runbooks/{page.removeprefix('-')}.md" == notes["runbook_url"]
    assert (ROOT / notes["runbook_url"]).is_file()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_alert_is_seen_to_fire_and_seen_to_keep_quiet(name: str) -> None:
    firing = {bool(case.firing) for case in CASES if case.alert == name}

    assert {True, False} == firing


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.name}")
def test_an_alert_fires_when_it_should_and_only_then(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(promtool_test(case)))

    done = promtool("test", "rules", str(file))

    assert 0 == done.returncode, done.stdout + done.stderr


def promtool_test(case: Case) -> dict[str, Any]:
    """The case as promtool takes it; it compares all labels and all annotations."""
    rule = alerts()[case.alert]
    expected = [
        {
            "exp_labels": {**rule["labels"], **one.labels},
            "exp_annotations": {**rule["annotations"], "description": one.says},
        }
        for one in case.firing
    ]
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    return {
        "rule_files": [str(rule) for rule in RULES],
        "evaluation_interval": case.every,
        # Else in any order: what is recorded would be there only the next time.
        "group_eval_order": [
            group["name"] for file in (RECORDING, ALERTS) for group in groups(file)
        ],
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "alert_rule_test": [
                    {"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}
                ],
            }
        ],
    }


def test_what_alerts_ask_of_recorded_series_is_recorded() -> None:
    asked = {name for rule in rules(ALERTS) for name in RECORDED.findall(rule["expr"])}

    assert asked
    assert set() == asked - recorded()


def test_hastened_rules_differ_in_their_times_alone() -> None:
    assert "rate(a_total[5000ms]) > 0.0144 and b:c:rate5m > 1000" == shorter(
        "rate(a_total[5m]) > 0.0144 and b:c:rate5m > 1000", 60
    )
    assert "max(x_seconds) > 5" == shorter("max(x_seconds) > 300", 60)
