"""nginx in front of the gateways of docker-compose.yml."""

from pathlib import Path

from infra.local.ports import free_ports
from infra.local.servers import NGINX_TEMPLATE
from tests.unit.deploy import nginx
from tests.unit.deploy.compose import environment_of, services

# What a container and a machine do otherwise: how nginx runs, where it writes, how many it is.
OF_THE_MACHINE = ("worker_processes", "daemon", "pid", "access_log")
OF_THE_NAME_SERVICE = ("resolver 127.0.0.11 valid=2s ipv6=off;", "zone gateways 64k;", nginx.SERVER)


def directives(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [
        line
        for line in lines
        if line and not line.startswith(("#", *OF_THE_MACHINE)) and "_temp_path" not in line
    ]


def test_nginx_accepts_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)

    done = nginx.tried(tmp_path, nginx.here(tmp_path, port, "127.0.0.1:3000"))

    assert done.returncode == 0, done.stderr


def test_nginx_refuses_a_directive_that_does_not_exist(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    wrong = nginx.CONF.read_text().replace("proxy_read_timeout", "proxy_reading_timeout")

    done = nginx.tried(tmp_path, nginx.here(tmp_path, port, "127.0.0.1:3000", text=wrong))

    assert done.returncode == 1
    assert "proxy_reading_timeout" in done.stderr


def test_limits_times_and_headers_are_those_of_the_local_servers() -> None:
    local = [line for line in directives(NGINX_TEMPLATE.read_text()) if "@" not in line]
    here = [
        line
        for line in directives(nginx.CONF.read_text())
        if line not in OF_THE_NAME_SERVICE and not line.startswith("listen ")
    ]

    assert local == here


def test_gateways_that_come_and_go_are_found() -> None:
    found = directives(nginx.CONF.read_text())

    assert [one for one in OF_THE_NAME_SERVICE if one in found] == list(OF_THE_NAME_SERVICE)
    image, _, tag = services()["nginx"]["image"].partition(":")
    assert image == "nginx"
    assert tuple(int(part) for part in tag.removesuffix("-alpine").split(".")) >= (1, 28)


def test_it_listens_and_looks_where_compose_says() -> None:
    gateway = environment_of(services()["gateway"])

    assert f"server gateway:{gateway['GATEWAY_PORT']} resolve" in nginx.CONF.read_text()
    assert services()["nginx"]["ports"][0].endswith(":8000")
    assert "listen 8000;" in nginx.CONF.read_text()
