"""How Kafka is reached: the one place that makes a client's options of the settings, and that says
why a broker refused.

aiokafka logs why it could not connect, and raises that it could not. So where it could not, it is
tried once more, a step at a time, and what went wrong there is put into words.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import faust
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from app.settings import Settings

# A broker that is well answers each step in some milliseconds.
STEP_SECONDS = 2.0
# Of all brokers, the steps of each: no command waits longer for why than for the answer itself.
REFUSAL_SECONDS = 5.0
# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
OF_ANOTHER = (62, 64)
PROTOCOL = "KAFKA_SECURITY_PROTOCOL"


class KafkaSettingError(Exception):
    """A process that connects lacks something; the message names the setting."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a broker does not let us in, or we don't trust it; and the settings that it is about.

    Attributes:
        certain: it was said, by one of the two; else a broker that is just starting or stopping, or
            a balancer with none behind it, may look the same.
    """

    words: str
    todo: str
    certain: bool = True

    def __str__(self) -> str:
        return f"{self.words} ({self.todo})"


def client_options(settings: Settings) -> dict[str, Any]:
    """The options by which any client of aiokafka connects.

    Raises:
        KafkaSettingError: a password or a file is missing.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_tls:
        options["ssl_context"] = _ssl_context(
            settings.kafka_ssl_cafile, settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile
        )
    if settings.kafka_sasl:
        for name in ("kafka_sasl_username", "kafka_sasl_password"):
            if not getattr(settings, name):
                protocol = f"{PROTOCOL}={settings.kafka_security_protocol}"
                raise KafkaSettingError(f"{protocol} needs {name.upper()}")
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password,
        }
    return options


def credentials(settings: Settings) -> Any:
    """The same for Faust's own clients; None where nothing is needed.

    Raises:
        KafkaSettingError: a password or a file is missing.
    """
    options = client_options(settings)
    if settings.kafka_sasl:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=options.get("ssl_context"),
        )
    return faust.SSLCredentials(options["ssl_context"]) if settings.kafka_tls else None


@cache
def _ssl_context(cafile: str, certfile: str, keyfile: str) -> ssl.SSLContext:
    """Verifies certificate and name; read once a process."""
    try:
        context = ssl.create_default_context(cafile=cafile or None)
    except (OSError, ssl.SSLError) as error:
        raise KafkaSettingError(f"KAFKA_SSL_CAFILE: {_brief(error)}") from None
    if certfile:
        for name, path in (("CERTFILE", certfile), ("KEYFILE", keyfile)):
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:
                raise KafkaSettingError(f"KAFKA_SSL_{name}: {_brief(error)}") from None
        try:
            # A password of nothing: else OpenSSL asks the terminal for that of an encrypted key.
            context.load_cert_chain(certfile, keyfile, password="")
        except (OSError, ssl.SSLError):
            raise KafkaSettingError(
                "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE: must be a certificate and its key, both "
                "PEM, the key not encrypted"
            ) from None
    return context


def _brief(error: OSError) -> str:
    """What is wrong with a file, without where it is."""
    if isinstance(error, ssl.SSLError):
        return "must be certificates in PEM"
    return error.strerror or type(error).__name__


async def refusal(settings: Settings) -> Refusal | None:
    """Why the brokers refuse; None where one lets us in, or none of them is there at all."""
    found = None
    try:
        async with asyncio.timeout(REFUSAL_SECONDS):
            for host, port, _ in collect_hosts(settings.kafka_bootstrap_servers):
                try:
                    await _connect(host, port, client_options(settings))
                except (KafkaError, OSError) as error:
                    found = found or await _told(settings, host, port, error)
                else:
                    return None
    except TimeoutError:
        pass
    return found


async def _connect(host: str, port: int, options: Mapping[str, Any]) -> None:
    """Connect and ask a question, as every client does first."""
    given = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    connection = await create_conn(host, port, request_timeout_ms=int(STEP_SECONDS * 1000), **given)
    try:
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


async def _told(settings: Settings, host: str, port: int, error: BaseException) -> Refusal | None:
    """What an error of `_connect` means; None where it may be that nobody is there."""
    if isinstance(error, ConnectionRefusedError | socket.gaierror):
        return None
    where, protocol = f"Kafka at {host}:{port}", settings.kafka_security_protocol
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(error, SaslAuthenticationFailed):
        todo = "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"
        return Refusal(f"{where} refuses the user's name or password", todo)
    if isinstance(error, UnsupportedSaslMechanismError):
        words = f"{where} does not take {settings.kafka_sasl_mechanism}"
        return Refusal(words, "KAFKA_SASL_MECHANISM")
    if isinstance(error, IllegalSaslStateError):
        words = f"{where} asks for no name and password at this port"
        return Refusal(words, f"{PROTOCOL} is {protocol}")
    if isinstance(cause, ssl.SSLCertVerificationError):
        words = f"{where} has a certificate that is not trusted: {cause.verify_message.rstrip('.')}"
        of_another = cause.verify_code in OF_ANOTHER
        return Refusal(words, "KAFKA_BOOTSTRAP_SERVERS" if of_another else "KAFKA_SSL_CAFILE")
    if settings.kafka_tls and await _speaks_plainly(host, port):
        return Refusal(f"{where} speaks no TLS at this port", f"{PROTOCOL} is {protocol}")
    if not settings.kafka_tls and await _speaks_tls(host, port):
        return Refusal(f"{where} wants TLS at this port", f"{PROTOCOL} is {protocol}")
    if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
        words = f"{where} wants a certificate of ours, or another: {cause.reason}"
        return Refusal(words, "KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE")
    if not settings.kafka_sasl and isinstance(error, KafkaError):
        words = f"{where} takes the connection and no question"
        todo = f"does it want a name and password? {PROTOCOL} is {protocol}"
        return Refusal(words, todo, certain=False)
    return None


async def _speaks_plainly(host: str, port: int) -> bool:
    """Whether it answers without TLS; it is asked which requests it knows, before any password."""
    try:
        connection = await create_conn(host, port, request_timeout_ms=int(STEP_SECONDS * 1000))
    except (KafkaError, OSError):
        return False
    connection.close()
    return True


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether it answers a TLS greeting; nothing is sent by it, so nothing has to be verified."""
    greeting = ssl.create_default_context()
    greeting.check_hostname, greeting.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(STEP_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=greeting)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
