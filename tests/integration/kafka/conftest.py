"""A broker with ports of each kind: SASL over TLS, certificates both ways, SASL alone; stores."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.local import java
from infra.local.ports import LOOPBACK, free_ports
from infra.local.servers import Listener
from infra.local.testing import LocalServers
from tests.tls import Authority

USER, PASSWORD = "orderflow", "pass phrase, 1=1"
# A JVM's start, on a busy machine.
TOOL_SECONDS = 120
LOGIN = "org.apache.kafka.common.security"


@dataclass
class Secured:
    """The servers, and how each of Kafka's ports is reached."""

    servers: LocalServers
    authority: Authority
    stranger: Authority
    ports: dict[str, int]
    client: tuple[Path, Path]

    def at(self, listener: str) -> str:
        """Bootstrap servers."""
        return f"{LOOPBACK}:{self.ports[listener]}"

    def scram(self, **others: str) -> dict[str, str]:
        """Variables for SCRAM over TLS."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.at("LOGIN"),
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            "KAFKA_SSL_CAFILE": str(self.authority.path),
            **others,
        }

    def mutual(self, **others: str) -> dict[str, str]:
        """Variables for TLS with a certificate of the client's."""
        certificate, key = self.client
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.at("MUTUAL"),
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CAFILE": str(self.authority.path),
            "KAFKA_SSL_CERTFILE": str(certificate),
            "KAFKA_SSL_KEYFILE": str(key),
            **others,
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority, stranger = Authority(folder / "tls"), Authority(folder / "tls", "stranger")
    ports = dict(zip(("LOGIN", "MUTUAL", "OPEN"), free_ports(3), strict=True))
    broker, _ = authority.issue("broker", LOOPBACK)
    tls = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(broker),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.path),
    }
    login = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "plain.sasl.jaas.config": f"{LOGIN}.plain.PlainLoginModule required "
        f'user_{USER}="{PASSWORD}";',
        "scram-sha-512.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;",
    }
    listeners = [
        Listener("LOGIN", "SASL_SSL", ports["LOGIN"], tls | login),
        Listener("MUTUAL", "SSL", ports["MUTUAL"], tls | {"ssl.client.auth": "required"}),
        Listener("OPEN", "SASL_PLAINTEXT", ports["OPEN"], login),
    ]
    with LocalServers(folder, listeners=listeners) as servers:
        add_user(servers.kafka)
        yield Secured(servers, authority, stranger, ports, authority.issue("client"))


def add_user(bootstrap: str) -> None:
    command: list[Any] = [
        *java.java_command(java.TOOLS["configs"], "--bootstrap-server", bootstrap, "--alter"),
        *("--entity-type", "users", "--entity-name", USER),
        *("--add-config", f"SCRAM-SHA-512=[iterations=4096,password={PASSWORD}]"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=TOOL_SECONDS)
