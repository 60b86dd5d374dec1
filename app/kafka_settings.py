"""The settings of how Kafka is reached, by the names that its clients have for them."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings


class KafkaSettings(BaseSettings):
    """Part of `Settings`, which says how they are read.

    What contradicts itself is refused here. What a process lacks that connects, a password or a
    file, is refused by `app.kafka`: gateways have the same settings, need neither and get neither.
    """

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    kafka_sasl_username: str = ""
    kafka_sasl_password: str = Field(default="", repr=False)
    # PEM. Whose signature a broker's certificate must have: the system's own, if empty. The name or
    # the address that was connected to must be in it, always.
    kafka_ssl_cafile: str = ""
    # PEM. What this process shows a broker that asks for a certificate; the key is not encrypted.
    kafka_ssl_certfile: str = ""
    kafka_ssl_keyfile: str = ""

    @property
    def kafka_sasl(self) -> bool:
        """Whether it says who it is by name and password."""
        return self.kafka_security_protocol.startswith("SASL_")

    @property
    def kafka_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.kafka_security_protocol.endswith("SSL")

    @model_validator(mode="after")
    def _kafka_consistent(self) -> Self:
        protocol = f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}"
        # Else a connection would be open, or nobody's, that was meant not to be.
        for used, fields, instead in (
            (self.kafka_sasl, ("sasl_mechanism", "sasl_username", "sasl_password"), "SASL_SSL"),
            (self.kafka_tls, ("ssl_cafile", "ssl_certfile", "ssl_keyfile"), "SSL or SASL_SSL"),
        ):
            given = [f"kafka_{name}" for name in fields if getattr(self, f"kafka_{name}")]
            if given and not used:
                raise ValueError(f"{given[0].upper()} does nothing with {protocol}, but {instead}")
        if self.kafka_sasl and not self.kafka_sasl_mechanism:
            raise ValueError(
                f"{protocol} needs KAFKA_SASL_MECHANISM: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
            )
        if bool(self.kafka_ssl_certfile) != bool(self.kafka_ssl_keyfile):
            raise ValueError("KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE must be given together")
        if self.kafka_sasl_password != self.kafka_sasl_password.strip("\r\n"):
            raise ValueError("KAFKA_SASL_PASSWORD ends with a line break: not part of it, surely")
        return self
