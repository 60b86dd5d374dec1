"""The settings of what faces clients: a worker's web views, and the gateway."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class EdgeSettings(BaseSettings):
    """Part of `Settings`, which says how they are read."""

    # HTTP
    auth: Literal["off", "on"] = "off"
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

    # Gateway
    gateway_port: int = Field(default=3000, ge=1, le=65535)
    gateway_bind: str = "127.0.0.1"
    gateway_workers: str = "http://127.0.0.1:6066,http://127.0.0.1:6067"
    gateway_connect_timeout_seconds: float = Field(default=2.0, gt=0)
    # Above the longest `Prefer: wait`, which the worker bounds itself.
    gateway_timeout_seconds: float = Field(default=70.0, gt=0)
    gateway_health_interval_seconds: float = Field(default=1.0, gt=0)
    gateway_pool_size: int = Field(default=200, ge=1)
    gateway_name: str = Field(default="gateway-1", pattern=r"^[A-Za-z0-9_.-]{1,60}$")
