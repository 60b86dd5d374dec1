"""Prometheus beside the system: when it is there, what it scrapes, and that it stays at home."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infra.local import cli, install, prometheus
from infra.local.process import Stage
from infra.local.world import World, outdated
from tests.unit.infra.test_world import named, names, ourselves, world


def test_it_scrapes_each_worker_and_each_gateway_under_its_name(tmp_path: Path) -> None:
    programs = world(tmp_path, GATEWAYS="2", SPLIT="1").programs()
    made = named(programs, "prometheus")
    assert made.prepare is not None
    made.prepare()
    written = yaml.safe_load((tmp_path / "data" / "prometheus" / "prometheus.yml").read_text())

    workers, gateways = (
        {
            one["labels"]["instance"]: (one["targets"][0], one["labels"]["component"])
            for one in job["static_configs"]
        }
        for job in written["scrape_configs"]
    )
    assert ("127.0.0.1:6066", "order") == workers["worker-order"]
    assert ("127.0.0.1:6068", "payment") == workers["worker-payment"]
    assert {
        "gateway-1": ("127.0.0.1:3000", "gateway"),
        "gateway-2": ("127.0.0.1:3001", "gateway"),
    } == gateways


def test_it_listens_on_loopback_keeps_a_bounded_past_and_writes_to_its_own_folder(
    tmp_path: Path,
) -> None:
    made = named(world(tmp_path, PROMETHEUS_PORT="9191").programs(), "prometheus")

    assert "--web.listen-address=127.0.0.1:9191" in made.command
    assert "--storage.tsdb.retention.size=512MB" in made.command
    assert f"--storage.tsdb.path={tmp_path / 'data' / 'prometheus' / 'tsdb'}" in made.command
    assert Stage.MONITORING == made.stage


@pytest.mark.parametrize("environment", [{"PROMETHEUS": "off"}, {"WORKERS": "0"}])
def test_it_is_left_out_where_it_is_not_wanted_or_has_nothing_to_scrape(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    asked = world(tmp_path, **environment)

    assert "prometheus" not in names(asked.programs())
    assert asked.prometheus is None


def test_where_it_is_not_installed_all_else_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "program", lambda: None)
    asked = world(tmp_path)

    assert ["kafka", "mongo", "redis", "worker-1"] == names(asked.programs())[:4]
    assert "nginx" == names(asked.programs())[-1]
    assert asked.prometheus is None


def test_a_running_one_is_renewed_only_for_other_targets(tmp_path: Path) -> None:
    two, again, three = (
        named(world(tmp_path, WORKERS=count).programs(), "prometheus") for count in "223"
    )
    running = replace(ourselves("prometheus"), stage=Stage.MONITORING, shape=two.shape())

    assert not outdated(running, again)
    assert outdated(running, three)


def test_what_is_optional_is_installed_with_the_rest_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    asked: list[list[str]] = []
    there = {"java", "javac", "mvn", "redis-server", "kcat", "xz"}

    def apt(packages: list[str]) -> None:
        asked.append(packages)
        if "prometheus" in packages:
            raise install.LocalError("no such package")
        there.add("nginx")

    monkeypatch.setattr(install.os, "geteuid", lambda: 0)
    monkeypatch.setattr(install, "_which", lambda program: program if program in there else None)
    monkeypatch.setattr(shutil, "which", lambda program, path=None: f"/usr/bin/{program}")
    monkeypatch.setattr(install, "_apt", apt)
    monkeypatch.setattr(install, "_require_java", lambda: None)
    monkeypatch.setattr(install.java, "is_built", lambda: True)
    monkeypatch.setattr(install.java, "build", lambda: None)

    install.install(said.append)

    assert [["nginx-light", "prometheus"], ["nginx-light"]] == asked
    assert said[-1].startswith("Going on without prometheus, promtool.")


def test_who_may_not_install_is_told_of_what_is_optional_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(install.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(
        install, "_which", lambda program: None if program in install.OPTIONAL else program
    )
    monkeypatch.setattr(install, "_require_java", lambda: None)
    monkeypatch.setattr(install.java, "is_built", lambda: True)
    monkeypatch.setattr(install.java, "build", lambda: None)

    install.install(said.append)
    install.install(said.append, optional=False)

    (line,) = said
    assert "sudo apt-get install -y prometheus" in line


def test_up_tells_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(World, "check", lambda self: None)
    monkeypatch.setattr(World, "up", lambda self, fresh: None)
    monkeypatch.setattr(cli, "install", lambda **_: None)

    assert 0 == cli.up(tmp_path, {"PROMETHEUS_PORT": "9191"})

    assert "Prometheus: http://127.0.0.1:9191;" in capsys.readouterr().out


def test_its_settings_survive_a_path_with_blanks(tmp_path: Path) -> None:
    rule = tmp_path / "my rules" / "a.yml"

    written = yaml.safe_load(prometheus.settings({}, [rule], "5s"))

    assert [str(rule)] == written["rule_files"]
