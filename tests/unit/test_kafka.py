"""How Kafka is reached: what can't work is refused, and what clients get of all else."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from pydantic import ValidationError

from app import services
from app.cli.doctor.configured import judge
from app.kafka import KafkaSettingError, client_options, credentials
from app.settings import Settings
from app.topic_admin import REFUSED_WAIT_SECONDS, BrokerUnreachableError, ensure_topics
from tests.tls import Authority

LOGIN = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "u", "sasl_password": "hush-hush"}


def conf(protocol: str, **fields: str) -> Settings:
    given: dict[str, Any] = {f"kafka_{name}": value for name, value in fields.items()}
    return Settings(kafka_security_protocol=protocol, **given)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    ("protocol", "fields", "complaint"),
    [
        ("ssl", {}, "kafka_security_protocol"),
        ("SASL_SSL", {**LOGIN, "sasl_mechanism": "GSSAPI"}, "kafka_sasl_mechanism"),
        (
            "SASL_SSL",
            {"sasl_username": "u", "sasl_password": "p"},
            "KAFKA_SECURITY_PROTOCOL=SASL_SSL needs KAFKA_SASL_MECHANISM: PLAIN, SCRAM-SHA-256 or",
        ),
        (
            "PLAINTEXT",
            {"sasl_password": "p"},
            "KAFKA_SASL_PASSWORD does nothing with KAFKA_SECURITY_PROTOCOL=PLAINTEXT, but SASL_SSL",
        ),
        ("SSL", LOGIN, "KAFKA_SASL_MECHANISM does nothing with KAFKA_SECURITY_PROTOCOL=SSL"),
        (
            "SASL_PLAINTEXT",
            {**LOGIN, "ssl_cafile": "ca.pem"},
            "KAFKA_SSL_CAFILE does nothing with KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT, but SSL",
        ),
        (
            "PLAINTEXT",
            {"ssl_certfile": "c.pem", "ssl_keyfile": "k.pem"},
            "KAFKA_SSL_CERTFILE does nothing with KAFKA_SECURITY_PROTOCOL=PLAINTEXT",
        ),
        (
            "SSL",
            {"ssl_certfile": "c.pem"},
            "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE must be given together",
        ),
        (
            "SASL_SSL",
            {"ssl_keyfile": "k.pem", **LOGIN},
            "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE must be given together",
        ),
        (
            "SASL_SSL",
            {**LOGIN, "sasl_password": "p\n"},
            "KAFKA_SASL_PASSWORD ends with a line break",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_by_the_name_of_the_setting(
    protocol: str, fields: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        conf(protocol, **fields)


@pytest.mark.parametrize("lacking", ["sasl_username", "sasl_password"])
def test_who_connects_needs_a_name_and_a_password_and_who_does_not_needs_neither(
    lacking: str,
) -> None:
    of_a_gateway = conf("SASL_SSL", **{**LOGIN, lacking: ""})

    with pytest.raises(KafkaSettingError, match=f"SASL_SSL needs KAFKA_{lacking.upper()}"):
        client_options(of_a_gateway)


def test_a_file_that_can_not_be_used_is_told_by_its_setting(
    authority: Authority, tmp_path: Path
) -> None:
    good, key = (str(path) for path in authority.issue("one"))
    _, other = (str(path) for path in authority.issue("two"))
    text = tmp_path / "text"
    text.write_text("no certificate")
    missing = str(tmp_path / "none")
    pair = {"ssl_certfile": good, "ssl_keyfile": key}
    for fields, complaint in (
        ({"ssl_cafile": missing}, "KAFKA_SSL_CAFILE: No such file or directory"),
        ({"ssl_cafile": str(text)}, "KAFKA_SSL_CAFILE: must be certificates in PEM"),
        ({**pair, "ssl_certfile": missing}, "KAFKA_SSL_CERTFILE: No such file"),
        ({**pair, "ssl_keyfile": missing}, "KAFKA_SSL_KEYFILE: No such file"),
        ({**pair, "ssl_keyfile": other}, "must be a certificate and its key"),
        ({**pair, "ssl_keyfile": str(authority.encrypted("three"))}, "the key not encrypted"),
    ):
        with pytest.raises(KafkaSettingError, match=complaint):
            client_options(conf("SSL", **fields))


def test_a_process_that_lacks_something_ends_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(services, "settings", lambda: conf("SSL", ssl_cafile="/nowhere"))

    with pytest.raises(SystemExit) as ended:
        services.main_app.__wrapped__()

    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: KAFKA_SSL_CAFILE: No such file or directory\n"


def test_certificate_and_name_of_a_broker_are_verified() -> None:
    context = client_options(conf("SSL"))["ssl_context"]

    assert (ssl.CERT_REQUIRED, True) == (context.verify_mode, context.check_hostname)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
async def test_faust_s_clients_get_the_same_as_ours(protocol: str) -> None:
    settings = conf(protocol, **(LOGIN if "SASL" in protocol else {}))
    ours = client_options(settings)

    theirs = credentials_to_aiokafka_auth(credentials(settings))

    where = {"bootstrap_servers": "127.0.0.1:9092"}
    assert ours == {name: it for name, it in (theirs | where).items() if it is not None}
    await AIOKafkaAdminClient(**ours).close()


def test_no_representation_shows_the_password() -> None:
    settings = conf("SASL_SSL", **LOGIN)

    shown = f"{settings!r} {settings} {credentials(settings)!r}"

    assert "hush" not in shown
    assert isinstance(credentials(settings), faust.SASLCredentials)


@pytest.mark.parametrize(
    ("servers", "mechanism", "words"),
    [
        ("127.0.0.1:9092", "PLAIN", None),
        ("b-1:9092,127.0.0.1:9092", "PLAIN", "the password goes over the network unencrypted"),
        ("b-1:9092", "SCRAM-SHA-256", "records go unencrypted"),
    ],
)
def test_the_doctor_warns_of_what_goes_over_a_network_in_plain(
    servers: str, mechanism: str, words: str | None
) -> None:
    login = {**LOGIN, "sasl_mechanism": mechanism, "bootstrap_servers": servers}
    found = judge(conf("SASL_PLAINTEXT", **login))

    told = [each.detail for each in found if each.name == "KAFKA_SECURITY_PROTOCOL"]

    assert [] == told if words is None else words in told[0]


async def test_a_port_that_takes_connections_and_closes_them_may_yet_be_a_broker() -> None:
    """A balancer with no broker behind it does so: it is waited for, as for one that is away."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as balancer:
        port = balancer.sockets[0].getsockname()[1]
        settings = conf("PLAINTEXT", bootstrap_servers=f"127.0.0.1:{port}")

        with pytest.raises(BrokerUnreachableError, match="does it want a name and password"):
            await ensure_topics(settings, wait_seconds=2 * REFUSED_WAIT_SECONDS)
