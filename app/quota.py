"""How many requests are allowed in how much time, as settings say it."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

OFF = "off"
WRITTEN = re.compile(r"(\d{1,9})\s*/\s*(\d{1,6})?\s*(s|min|h)")
UNIT_SECONDS = {"s": 1, "min": 60, "h": 3600}
# Longer windows would be quotas of an account, which belong into a database.
SECONDS_MAX = 86_400


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `requests` in any `seconds`."""

    requests: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.requests}/{self.seconds} s"


def parse_quota(text: str) -> Quota | None:
    """The quota that a text such as `2000/10 s`, `100/min` or `off` stands for; None for the last.

    Raises:
        ValueError: it is none of these, or makes no sense.
    """
    if text.strip().lower() == OFF:
        return None
    written = WRITTEN.fullmatch(text.strip())
    if written is None:
        raise ValueError(f"must be `off`, or requests and time, such as `2000/10 s`, not {text!r}")
    requests, count, unit = int(written[1]), int(written[2] or 1), written[3]
    seconds = count * UNIT_SECONDS[unit]
    if requests < 1 or not 1 <= seconds <= SECONDS_MAX:
        raise ValueError(f"must be at least 1 request, in 1 to {SECONDS_MAX} s, not {text!r}")
    return Quota(requests, seconds)


def parse_networks(text: str) -> tuple[Network, ...]:
    """The networks in a comma-separated list of addresses and networks; an empty one has none.

    Raises:
        ValueError: one is neither.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
