"""nginx in front of the gateways of docker-compose.yml."""

from pathlib import Path

import pytest

from infra.local.nginx import PASSIVE_CHECK, SHARED, STRATEGIES, Front, settings
from infra.local.ports import Port, free_ports
from tests.unit.deploy import nginx
from tests.unit.deploy.compose import ROOT, environment_of, services

# What a container and a machine do otherwise: how nginx runs, where it writes, who is at home.
OF_THE_MACHINE = ("worker_processes", "daemon", "user", "pid", "access_log", "172.16.0.0/12 1;")
OF_THE_NAME_SERVICE = ("resolver 127.0.0.11 valid=2s ipv6=off;", "zone gateways 64k;", nginx.SERVER)
VARIANTS = [(strategy, tls) for strategy in STRATEGIES for tls in ("off", "on")]


def directives(*texts: str) -> list[str]:
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [
        line
        for line in lines
        if line and not line.startswith(("#", *OF_THE_MACHINE)) and "_temp_path" not in line
    ]


@pytest.mark.parametrize(("strategy", "tls"), VARIANTS)
def test_nginx_accepts_every_variant(tmp_path: Path, strategy: str, tls: str) -> None:
    (port,) = free_ports(1)
    given = {"NGINX_STRATEGY": strategy, "NGINX_TLS": tls}

    done = nginx.tried(tmp_path, nginx.here(tmp_path, port, "127.0.0.1:3000", given))

    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_nginx_refuses_a_directive_that_does_not_exist(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    wrong = ("proxy_read_timeout", "proxy_reading_timeout")

    done = nginx.tried(tmp_path, nginx.here(tmp_path, port, "127.0.0.1:3000", wrong=wrong))

    assert done.returncode == 1
    assert "proxy_reading_timeout" in done.stderr


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_it_does_with_a_request_is_what_the_local_nginx_does(
    tmp_path: Path, strategy: str
) -> None:
    local = settings(tmp_path, Front(Port(8000, "NGINX_PORT"), strategy), ["127.0.0.1:3000"])
    here = nginx.mounted({"NGINX_STRATEGY": strategy})

    for name in (*SHARED, "strategy.conf"):
        assert local[name] == here[name]
    of_the_name_service = set(OF_THE_NAME_SERVICE)
    main = [one for one in directives(here["nginx.conf"]) if one not in of_the_name_service]
    assert directives(local["nginx.conf"]) == main
    assert local.keys() == here.keys()


def test_gateways_that_come_and_go_are_found() -> None:
    mounted = nginx.mounted()
    found = directives(mounted["nginx.conf"], mounted["gateways.conf"])

    assert [one for one in OF_THE_NAME_SERVICE if one in found] == list(OF_THE_NAME_SERVICE)
    image, _, tag = services()["nginx"]["image"].partition(":")
    assert image == "nginx"
    assert tuple(int(part) for part in tag.removesuffix("-alpine").split(".")) >= (1, 28)


def test_a_gateway_that_fails_is_left_alone_as_by_the_local_nginx() -> None:
    assert nginx.SERVER.endswith(f"resolve {PASSIVE_CHECK};")


@pytest.mark.parametrize("tls", ["off", "on"])
def test_it_listens_and_looks_where_compose_says(tls: str) -> None:
    gateway = environment_of(services()["gateway"])
    mounted = nginx.mounted({"NGINX_TLS": tls})

    assert f"server gateway:{gateway['GATEWAY_PORT']} resolve" in mounted["gateways.conf"]
    plain, of_the_gateways, secure = services()["nginx"]["ports"]
    assert plain.endswith(":8000")
    assert of_the_gateways.endswith(":8000")
    assert secure.endswith(":8443")
    assert "listen 8000;" in mounted["listen.conf"]
    assert ("listen 8443 ssl;" in mounted["listen.conf"]) == (tls == "on")


def test_a_certificate_is_read_only_where_tls_is_on() -> None:
    given = {"NGINX_CERTIFICATE": "/a/certificate.pem", "NGINX_KEY": "/a/key.pem"}
    nginx_service = services(given)["nginx"]

    assert nginx_service["secrets"] == ["nginx_certificate", "nginx_key"]
    for name in nginx_service["secrets"]:
        assert f"/run/secrets/{name};" in nginx.mounted({"NGINX_TLS": "on"})["listen.conf"]
    assert "/run/secrets" not in "".join(nginx.mounted().values())
    assert (ROOT / "infra/compose/nginx/none.pem").is_file()
