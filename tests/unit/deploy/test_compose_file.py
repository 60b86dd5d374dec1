"""docker-compose.yml holds together, and with the code, without a Docker engine."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.parts import services_of
from app.settings import Settings
from tests.unit.deploy.compose import (
    FILE,
    ROOT,
    compose,
    environment_of,
    jobs,
    ours,
    parts,
    raw,
    services,
    workers,
)

NAMES = list(services())

# What the images of others read, and nothing else is given to them.
FOREIGN_VARIABLES = {
    "apache/kafka": r"CLUSTER_ID|KAFKA_[A-Z_]+",
    "mongo": r"HOME",
    "ghcr.io/kafbat/kafka-ui": r"JAVA_OPTS|KAFKA_CLUSTERS_0_(NAME|BOOTSTRAPSERVERS)",
    "grafana/grafana": r"GF_(AUTH|SECURITY|ANALYTICS|DASHBOARDS)_[A-Z_]+|PROMETHEUS_URL",
}
PROFILES = {
    "kafka-ui": ["kafka-ui"],
    "observability": ["prometheus", "grafana", "jaeger"],
    "scale": list(services_of()),
}
# Of the contract: what is where on this machine.
PORTS = [
    ("nginx", "NGINX_PORT", "8000"),
    ("nginx", "NGINX_TLS_PORT", "8443"),
    ("kafka", "KAFKA_PORT", "9092"),
    ("mongo", "MONGODB_PORT", "27017"),
    ("redis", "REDIS_PORT", "6379"),
    ("kafka-ui", "KAFKA_UI_PORT", "8080"),
    ("prometheus", "PROMETHEUS_PORT", "9090"),
    ("jaeger", "JAEGER_PORT", "16686"),
    *((name, "WORKER_PORTS", "6066-6095") for name in workers()),
]
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|PRIVATE|_KEY$")


def image(service: dict[str, Any]) -> tuple[str, str]:
    name, _, tag = service["image"].rpartition(":")
    return name, tag


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch, **given: str) -> Settings:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for variable, value in environment_of(services(given)[name]).items():
        monkeypatch.setenv(variable, value)
    return Settings()


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_file_follows_the_schema_of_the_compose_specification() -> None:
    done = check_schema(FILE)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_refuses_a_field_that_does_not_exist(tmp_path: Path) -> None:
    wrong = compose()
    wrong["services"]["redis"]["memory_limit"] = "512m"
    path = tmp_path / "docker-compose.yml"
    path.write_text(yaml.safe_dump(wrong))

    done = check_schema(path)

    assert done.returncode == 1
    assert "memory_limit" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_service_is_checked_limited_and_started_again(name: str) -> None:
    service = services()[name]

    if name in jobs():
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert {"interval", "timeout", "retries", "start_period"} <= service["healthcheck"].keys()
    assert {"cpus", "memory"} == service["deploy"]["resources"]["limits"].keys()
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", NAMES)
def test_every_image_is_of_a_named_version(name: str) -> None:
    repository, tag = image(services()[name])

    assert repository
    if name in ours():
        assert tag not in {"", "latest"}
    else:
        # Down to the patch: who starts it next year gets what was meant.
        assert re.fullmatch(r"v?\d+\.\d+\.\d+(-[a-z0-9.]+)?", tag)


@pytest.mark.parametrize("name", NAMES)
def test_a_service_waits_only_for_what_can_happen(name: str) -> None:
    for other, wanted in services()[name].get("depends_on", {}).items():
        if wanted["condition"] == "service_completed_successfully":
            assert other in jobs()
        else:
            assert wanted["condition"] == "service_healthy"
            assert "test" in services()[other]["healthcheck"]


def test_networks_volumes_and_configs_are_declared_and_used() -> None:
    whole = compose()
    kinds = ("networks", "volumes", "configs", "secrets")
    used: dict[str, set[str]] = {kind: set() for kind in kinds}
    for service in whole["services"].values():
        used["networks"].update(service["networks"])
        mounted = [volume.split(":")[0] for volume in service.get("volumes", ())]
        used["volumes"].update(one for one in mounted if not one.startswith("./"))
        assert [] == [one for one in mounted if one[:2] == "./" and not (ROOT / one).is_dir()]
        used["configs"].update(config["source"] for config in service.get("configs", ()))
        used["secrets"].update(service.get("secrets", ()))

    assert used == {kind: set(whole[kind]) for kind in used}
    for config in [*whole["configs"].values(), *whole["secrets"].values()]:
        assert (ROOT / config["file"]).is_file()


def test_every_service_of_the_system_runs_in_each_worker_or_in_a_process_of_its_own() -> None:
    run = {name: services()[name]["environment"]["SERVICES"] for name in workers()}

    assert run.pop("worker") == "all"
    assert sorted((name, name) for name in services_of()) == sorted(run.items())
    assert list(run) == parts()


def test_what_is_in_no_profile_is_whole_and_the_rest_is_beside_it() -> None:
    in_profiles: dict[str, set[str]] = {}
    for name, service in services().items():
        for profile in service.get("profiles", ()):
            in_profiles.setdefault(profile, set()).add(name)
    core = {name for name, service in services().items() if "profiles" not in service}

    assert {profile: set(names) for profile, names in PROFILES.items()} == in_profiles
    assert {"kafka", "mongo", "redis", "topics", "worker", "gateway", "nginx"} <= core
    for name in core:
        for other, wanted in services()[name].get("depends_on", {}).items():
            assert other in core or wanted["required"] is False


@pytest.mark.parametrize("name", ["gateway", *workers()])
def test_replicas_share_no_port_of_the_machine_no_volume_and_no_name(name: str) -> None:
    service = services()[name]

    assert not {"container_name", "hostname", "volumes"} & service.keys()
    for port in service.get("ports", ()):
        first, _, last = port.split(":")[1].partition("-")
        assert int(last) - int(first) >= 20
    assert environment_of(service)["STATIC_MEMBERSHIP"] == "false"


def test_there_are_two_workers_unless_somebody_says_otherwise() -> None:
    assert services()["worker"]["deploy"]["replicas"] == "2"
    assert services({"WORKERS": "4"})["worker"]["deploy"]["replicas"] == "4"


def test_grafana_shows_everybody_everything_and_lets_nobody_change_it() -> None:
    given = services()["grafana"]["environment"]

    assert given["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    assert given["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert given["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert given["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert services()["grafana"]["ports"] == ["127.0.0.1:3300:3000"]


def test_prometheus_and_grafana_find_what_they_are_given() -> None:
    grafana, prometheus = services()["grafana"], services()["prometheus"]
    mounts = [volume.split(":")[:2] for volume in grafana["volumes"] + prometheus["volumes"]]
    inside = {target: ROOT / source for source, target in mounts}
    board = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    provision = inside["/etc/grafana/provisioning"] / "dashboards" / "orderflow.yml"
    (provider,) = yaml.safe_load(provision.read_text())["providers"]
    settings = inside["/etc/prometheus"]
    conf = yaml.safe_load((settings / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in conf["scrape_configs"]}

    assert provider["options"]["path"] == str(board.parent) == "/etc/grafana/dashboards"
    assert (inside["/etc/grafana/dashboards"] / board.name).is_file()
    assert [] == [one for one in conf["rule_files"] if not (settings / one).exists()]
    assert (["workers"], 6066) == (jobs["workers"]["names"], jobs["workers"]["port"])
    assert (["gateway"], 3000) == (jobs["gateways"]["names"], jobs["gateways"]["port"])


@pytest.mark.parametrize("name", ours())
def test_every_variable_of_our_processes_is_a_setting_that_the_settings_accept(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = services()[name]["environment"]

    assert set() == {one for one in variables if one.lower() not in Settings.model_fields}
    conf = settings_of(name, monkeypatch)
    if name in workers():
        assert conf.service_names() == (services_of() if name == "worker" else (name,))
        assert conf.worker_name == name


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ours()])
def test_every_variable_of_another_image_is_one_it_reads(name: str) -> None:
    variables = services()[name].get("environment", {})
    known = FOREIGN_VARIABLES.get(image(services()[name])[0], "")

    assert [] == [one for one in variables if not re.fullmatch(known, one)]


@pytest.mark.parametrize("name", ours())
def test_our_processes_listen_where_others_look_for_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = settings_of(name, monkeypatch)
    all_services = services()

    assert conf.worker_bind == conf.gateway_bind == "0.0.0.0"
    listeners = all_services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"BROKER://{conf.kafka_bootstrap_servers}" in listeners
    assert conf.mongodb_url.startswith("mongodb://mongo:27017/")
    assert conf.redis_url.startswith("redis://redis:6379/")
    assert "--replSet rs0" in " ".join(all_services["mongo"]["command"])
    assert "replicaSet=rs0" in conf.mongodb_url
    port = conf.gateway_port if name == "gateway" else conf.worker_port
    if name not in jobs():
        assert f"http://127.0.0.1:{port}/readyz" == all_services[name]["healthcheck"]["test"][-1]


def test_the_gateway_knows_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = settings_of("gateway", monkeypatch)

    assert conf.gateway_workers == "http://workers:6066"
    assert conf.gateway_resolve_seconds > 0
    for name in workers():
        assert services()[name]["networks"] == {"back": {"aliases": ["workers"]}}
    assert "back" in services()["gateway"]["networks"]


def test_nginx_reaches_the_gateways_and_no_server() -> None:
    networks = {name: set(service["networks"]) for name, service in services().items()}

    assert [name for name in NAMES if networks[name] & networks["nginx"]] == ["gateway", "nginx"]


@pytest.mark.parametrize(("name", "variable", "port"), PORTS)
def test_ports_are_those_of_the_contract_on_loopback_and_can_be_moved(
    name: str, variable: str, port: str
) -> None:
    inside = port.partition("-")[0]

    assert f"127.0.0.1:{port}:{inside}" in services()[name]["ports"]
    moved = services({variable: "21000-21009"})[name]["ports"]
    assert f"127.0.0.1:21000-21009:{inside}" in moved


def test_nothing_else_is_published() -> None:
    published = [name for name in NAMES for _ in services()[name].get("ports", ())]

    # nginx answers for the gateways as well; Grafana's port inside is the one they are known by.
    assert sorted(["nginx", "grafana", *(name for name, _, _ in PORTS)]) == sorted(published)
    assert "127.0.0.1:3000:8000" in services()["nginx"]["ports"]
    assert "127.0.0.1:3001:8000" in services({"GATEWAY_PORT": "3001"})["nginx"]["ports"]


def test_kafka_tells_programs_on_the_host_where_it_was_moved() -> None:
    kafka = services({"KAFKA_PORT": "19092"})["kafka"]

    assert ",HOST://127.0.0.1:19092" in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert kafka["ports"] == ["127.0.0.1:19092:9092"]
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


@pytest.mark.parametrize("name", ours())
def test_a_token_is_asked_for_unless_somebody_says_otherwise(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_of(name, monkeypatch).auth == "on"
    assert settings_of(name, monkeypatch, AUTH="off").auth == "off"


def test_no_secret_has_a_value_in_the_file() -> None:
    given = {
        (name, variable): str(value)
        for name, service in raw()["services"].items()
        for variable, value in service.get("environment", {}).items()
        if SECRET.search(variable)
    }

    assert {} == {
        where: value for where, value in given.items() if not re.fullmatch(r"\$\{\w+:\?.+\}", value)
    }
    assert "@" not in "".join(environment_of(services()["worker"]).values())  # user:password@host


@pytest.mark.parametrize("name", ours())
def test_our_containers_can_write_nowhere_and_have_no_rights(name: str) -> None:
    service = services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert "volumes" not in service  # replicas would share it


def test_every_worker_is_started_by_the_same_command() -> None:
    assert {tuple(services()["worker"]["command"])} == {
        tuple(services()[name]["command"]) for name in workers()
    }


@pytest.mark.parametrize("name", ["worker", "topics"])
def test_our_command_lines_are_understood(name: str) -> None:
    service = services()[name]
    program, *arguments = service["command"]
    assert program == "faust"

    done = subprocess.run(
        [sys.executable, "-m", program, *arguments, "--help"],
        cwd=ROOT,
        env={**os.environ, **environment_of(service), "DATA_DIR": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_the_gateway_is_started_as_it_is_here() -> None:
    assert services()["gateway"]["command"] == ["python", "-m", "gateway"]
    assert (ROOT / "gateway" / "__main__.py").is_file()
