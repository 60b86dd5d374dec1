"""The settings files that the launcher writes."""

import subprocess
from pathlib import Path

import pytest

from infra.local import install, java, servers
from infra.local.install import advice, java_version, missing
from infra.local.ports import Port


def test_kafka_listens_on_loopback_only_and_makes_no_topic_on_its_own(tmp_path: Path) -> None:
    lines = servers.kafka_settings(tmp_path, 19092, 19093).splitlines()

    settings = dict(line.split("=", maxsplit=1) for line in lines)
    expected = "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert expected == settings["listeners"]
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["offsets.topic.replication.factor"] == "1"


def test_kafka_keeps_records_whose_own_time_is_years_ago(tmp_path: Path) -> None:
    assert "log.retention.hours=-1\n" in servers.kafka_settings(tmp_path, 1, 2)


def test_the_servers_keep_their_logs_short_and_kafkas_tools_write_none(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "kafka.log"
    command = servers.kafka(tmp_path, log, Port(1, "a"), Port(2, "b")).command
    settings = java.LOGGING.read_text()

    assert f"-Dorderflow.log={log}" in command
    assert not any("orderflow.log" in one for one in java.java_command("Tool"))
    assert "appender.out.policies.size.size = 2MB" in settings
    assert "appender.out.strategy.max = 2" in settings
    assert "rootLogger.level = warn" in settings


def test_a_missing_program_is_named_with_the_command_that_installs_it() -> None:
    absent = missing(which=lambda program: None if program in {"javac", "nginx"} else "/bin/true")

    message = advice(absent)

    assert absent == ["javac", "nginx"]
    assert "missing: javac, nginx" in message
    assert "sudo apt-get install -y default-jdk-headless nginx-light" in message


@pytest.mark.parametrize("there", [True, False])
def test_containers_are_recommended_only_where_their_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    compose = tmp_path / "docker-compose.yml"
    if there:
        compose.touch()
    monkeypatch.setattr(install, "COMPOSE", compose)

    assert there == ("docker-compose.yml" in advice(["nginx"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ("command not found", 0),
    ],
)
def test_the_version_of_java_is_read_out_of_what_it_says(text: str, expected: int) -> None:
    assert expected == java_version(text)


def test_a_make_without_a_target_lists_the_targets() -> None:
    listed = subprocess.run(
        ["make", "-s"], cwd=servers.java.ROOT, capture_output=True, text=True, check=True
    )

    for target in ("run", "test", "up", "down", "status", "clean", "bench", "chaos", "lint"):
        assert f"make {target} " in listed.stdout
