"""Ports: defaults, the variables that move them, and what is said of a taken one."""

import os
import socket
from collections.abc import Iterator

import pytest

from infra.local.errors import LocalError
from infra.local.ports import LOOPBACK, Port, Ports, free_ports, holder_of, is_free, require_free


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        yield server.getsockname()[1]


def test_without_variables_the_ports_are_those_of_the_contract() -> None:
    ports = Ports.from_environment({})

    front = [ports.gateway, ports.nginx, ports.nginx_tls]
    servers = [ports.kafka, ports.mongodb, ports.redis, ports.prometheus]
    numbers = [port.number for port in (*front, ports.worker, *servers)]
    assert [3000, 8000, 8443, 6066, 9092, 27017, 6379, 9090] == numbers


def test_a_variable_moves_its_port_and_kafkas_controller_follows_kafka() -> None:
    ports = Ports.from_environment({"KAFKA_PORT": "19092", "REDIS_PORT": "16379"})

    assert (
        ports.kafka.number,
        ports.kafka_controller.number,
        ports.redis.number,
    ) == (19092, 19093, 16379)


@pytest.mark.parametrize("text", ["abc", "0", "65536", "-1"])
def test_a_variable_that_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(LocalError, match=f"NGINX_PORT={text}"):
        Ports.from_environment({"NGINX_PORT": text})


def test_a_taken_port_is_reported_with_its_number_variable_and_holder(listening: int) -> None:
    with pytest.raises(LocalError) as caught:
        require_free(Port(listening, "KAFKA_PORT"), "kafka")

    message = str(caught.value)
    assert f"port {listening} is taken by pid {os.getpid()} (" in message
    assert "KAFKA_PORT=<port>" in message


def test_a_port_nobody_listens_at_is_free_and_has_no_holder() -> None:
    port = free_ports(1)[0]

    assert is_free(port)
    assert holder_of(port) is None


def test_free_ports_are_different_and_below_those_of_outgoing_connections() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert max(ports) < 32768
