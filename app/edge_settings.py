"""The settings of what faces clients: a worker's web views, and the gateway."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from app.quota import parse_networks, parse_quota

# RFC 7518, 3.2: a key for HS256 is at least as long as its hash.
SECRET_BYTES_LEAST = 32
# 16 hexadecimal digits are 64 bits: nobody guesses them over a network.
CLUSTER_TOKEN_CHARACTERS_LEAST = 16


class EdgeSettings(BaseSettings):
    """Part of `Settings`, which says how they are read."""

    # Identity; docs/security.md
    auth: Literal["off", "on"] = "off"
    # Whether the gateway gives out tokens and `demo-token` is one; `auto`: where AUTH is off.
    auth_development: Literal["auto", "off", "on"] = "auto"
    # Verifies HS256. Several with commas: the first signs, each verifies.
    auth_secret: str = Field(default="", repr=False)
    # Verifies RS256: where the issuer publishes its keys, or a file of them.
    auth_jwks_url: str = Field(default="", pattern=r"^(https?://.+)?$")
    auth_jwks_file: str = ""
    # A key that is withdrawn is used for so long at most, while its publisher answers.
    auth_jwks_seconds: float = Field(default=300.0, gt=0, le=3600)
    auth_issuer: str = Field(default="orderflow", min_length=1)
    auth_audience: str = Field(default="orderflow", min_length=1)
    # Clocks that are set by NTP are less than a second apart.
    auth_leeway_seconds: float = Field(default=10.0, ge=0, le=300)
    # Tokens that are given out can't be taken back, so a day at most.
    auth_token_seconds: int = Field(default=3600, ge=1, le=86_400)
    # What workers and gateways show each other, the same for all; empty asks for nothing, which is
    # for workers that only listen on loopback.
    cluster_token: str = Field(default="", repr=False)
    # What the commands show that use HTTP, where `--token` says nothing.
    orderflow_token: str = Field(default="", repr=False)

    # HTTP
    body_max_bytes: int = Field(default=1_048_576, ge=1024)
    order_max_items: int = Field(default=2000, ge=1)
    wait_max_seconds: float = Field(default=60.0, ge=0)
    # Requests that may hold a connection open for an order's end, in one worker.
    waiters_max: int = Field(default=10_000, ge=1)
    wait_poll_seconds: float = Field(default=0.05, gt=0)
    idempotency_ttl_seconds: int = Field(default=86_400, ge=60)
    produce_timeout_seconds: float = Field(default=10.0, gt=0)
    read_your_writes_seconds: float = Field(default=2.0, ge=0)
    # A client would rather be told soon that the store is away than wait for it.
    read_timeout_seconds: float = Field(default=2.0, gt=0)
    # A worker or a gateway that is told to stop says so when it is checked, and goes on serving for
    # so long: above `gateway_health_interval_seconds` and `gateway_connect_timeout_seconds`
    # together, so that every gateway has checked it once more and sends it nothing new. Short
    # enough that what follows fits into the time until a supervisor kills (40 s locally).
    shutdown_delay_seconds: float = Field(default=4.0, ge=0, le=10)

    # Logs: lines a second that a process writes of the traces it serves, for requests, and for the
    # records of each of its services; ten times as many after a pause. 0 writes none. A line costs
    # some 20 microseconds.
    trace_log_lines: float = Field(default=0.0, ge=0, le=1000)
    # `auto`: text on a terminal, JSON for whatever else reads it.
    log_format: Literal["auto", "json", "console"] = "auto"

    # Traces, by OpenTelemetry's own names; docs/tracing.md. Spans are made where one of the next
    # three is given: a collector (`/v1/traces` is added), the whole address, a file.
    otel_exporter_otlp_endpoint: str = Field(default="", pattern=r"^(https?://.+)?$")
    otel_exporter_otlp_traces_endpoint: str = Field(default="", pattern=r"^(https?://.+)?$")
    traces_file: str = ""
    otel_traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = "parentbased_always_on"
    # The share of traces that a sampler with a ratio keeps.
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)
    # Spans that wait to be exported, at most; more are dropped. Eight batches of 1,000 orders, each
    # with what it emits: some 16 MB.
    otel_bsp_max_queue_size: int = Field(default=16_384, ge=1)
    # Milliseconds: so long a span waits for others before they are sent together.
    otel_bsp_schedule_delay: int = Field(default=1000, ge=1)

    # Gateway
    gateway_port: int = Field(default=3000, ge=1, le=65535)
    gateway_bind: str = "127.0.0.1"
    gateway_workers: str = "http://127.0.0.1:6066,http://127.0.0.1:6067"
    # 0: each of them is a worker. Else each is a name behind which workers come and go: its
    # addresses are looked up so often, and each address is a worker. Seldom enough that it is no
    # load on a name service, often enough that a new replica soon gets its share.
    gateway_resolve_seconds: float = Field(default=0.0, ge=0, le=300)
    gateway_connect_timeout_seconds: float = Field(default=2.0, gt=0)
    # Above the longest `Prefer: wait`, which the worker bounds itself.
    gateway_timeout_seconds: float = Field(default=70.0, gt=0)
    gateway_health_interval_seconds: float = Field(default=1.0, gt=0)
    gateway_pool_size: int = Field(default=200, ge=1)
    # Each worker: what it may be sent at once (docs/adr/0010-breakers-bulkheads-budgets.md).
    # Ordinary requests twice the pool: as many again wait for a connection while a burst passes.
    # Held ones (`Prefer: wait`, streams) have connections of their own.
    gateway_ordinary_max: int = Field(default=400, ge=1)
    gateway_held_max: int = Field(default=400, ge=1)
    gateway_balancing: Literal["least_outstanding", "p2c", "round_robin"] = "least_outstanding"
    # Resends after a broken connection: this part of all requests, and so many a second besides.
    gateway_retry_ratio: float = Field(default=0.2, ge=0, le=1)
    gateway_retry_floor: float = Field(default=10.0, ge=0)
    # Redis is asked for every request: one that takes longer is lost, until it answers. A busy
    # machine holds a process up for some tenths of a second, which is not to be taken for that.
    gateway_redis_timeout_seconds: float = Field(default=1.0, gt=0, le=10)
    # Whose X-Forwarded-For is believed: addresses and networks with commas.
    gateway_trusted_proxies: str = "127.0.0.0/8,::1"
    # Requests through all gateways together, such as `2000/10 s`; or `off`. A client is an address:
    # twice the load that the system is made for, so that only what runs wild is refused where
    # everybody has one address. A user is who a token names.
    rate_limit_client: str = "20000/10 s"
    rate_limit_user: str = "20000/10 s"
    gateway_name: str = Field(default="gateway-1", pattern=r"^[A-Za-z0-9_.-]{1,60}$")

    # What the gateway puts together itself, and the lessons. Each part of the dashboard has so
    # long: above `read_timeout_seconds`, so that a worker's own words arrive.
    dashboard_part_seconds: float = Field(default=3.0, gt=0, le=60)
    # `POST /api/pay` waits at most so long: within `wait_max_seconds`, `gateway_timeout_seconds`.
    pay_wait_seconds: int = Field(default=30, ge=0, le=600)
    # Processes of an instance that do the work of `/api/cpu-bound`; one core each. What waits for
    # them is done within a second or two.
    cpu_bound_processes: int = Field(default=1, ge=1, le=64)
    cpu_bound_queue: int = Field(default=8, ge=0, le=1000)

    @property
    def traces_url(self) -> str:
        """Where spans are sent by HTTP; empty: nowhere."""
        base = self.otel_exporter_otlp_endpoint.rstrip("/")
        return self.otel_exporter_otlp_traces_endpoint or (f"{base}/v1/traces" if base else "")

    @field_validator("rate_limit_client", "rate_limit_user")
    @classmethod
    def _is_quota(cls, value: str) -> str:
        parse_quota(value)
        return value

    @field_validator("gateway_trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @property
    def auth_secrets(self) -> tuple[str, ...]:
        """The secrets of `auth_secret`; the first is the one to sign with."""
        return tuple(secret for part in self.auth_secret.split(",") if (secret := part.strip()))

    @property
    def in_development(self) -> bool:
        """Whether tokens are given out to whoever asks."""
        if self.auth_development == "auto":
            return self.auth == "off"
        return self.auth_development == "on"

    @model_validator(mode="after")
    def _identity_consistent(self) -> Self:
        if any(len(secret.encode()) < SECRET_BYTES_LEAST for secret in self.auth_secrets):
            raise ValueError(f"AUTH_SECRET must have at least {SECRET_BYTES_LEAST} bytes")
        if self.auth_jwks_url and self.auth_jwks_file:
            raise ValueError("AUTH_JWKS_URL and AUTH_JWKS_FILE can't both be given")
        if self.cluster_token and not (
            self.cluster_token.isascii() and self.cluster_token.isprintable()
        ):
            raise ValueError("CLUSTER_TOKEN must be visible ASCII characters: it goes in a header")
        if self.auth == "on":
            if not (self.auth_secrets or self.auth_jwks_url or self.auth_jwks_file):
                raise ValueError("AUTH=on needs AUTH_SECRET, AUTH_JWKS_URL or AUTH_JWKS_FILE")
            if len(self.cluster_token) < CLUSTER_TOKEN_CHARACTERS_LEAST:
                raise ValueError(
                    "AUTH=on needs a CLUSTER_TOKEN of at least "
                    f"{CLUSTER_TOKEN_CHARACTERS_LEAST} characters"
                )
        return self
