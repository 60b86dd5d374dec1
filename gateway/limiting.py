"""Rate limits: how many requests a client and a user may send through all gateways together.

A client is an address, a user is who a token names. Health, metrics and documentation are never
limited. Without Redis reads go on unlimited, what changes something is limited by each gateway for
itself, and `/api/limited` is refused: see docs/adr/0009-rate-limits-and-cache.md.
"""

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import hdrs, web

from app.quota import Network, Quota, parse_networks, parse_quota
from app.settings import Settings
from gateway.headers import FORWARDED_FOR, NOBODY
from gateway.keys import PRINCIPAL
from gateway.metrics import Metrics
from gateway.problem import ProblemError
from gateway.shared import RETRY_SECONDS, LostRedisError, Script, Shared
from gateway.windows import CHECK, MILLISECONDS, Count, LocalWindows, Verdict, Window

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Asked = Sequence[tuple[Window, str]]
Address = IPv4Address | IPv6Address

CHECK_SCRIPT = Script(CHECK)
LIMITED_PATH = "/api/limited"
# The contract's endpoint for trying the limit out.
LIMITED = Window.of("limited", Quota(5, 10))
API = "/api"
# The first segments of what is never limited, at the root and under `/api`: who watches over the
# system must see it when it is busiest, and documentation is read to find out what went wrong.
UNLIMITED = frozenset(
    (
        *("", "console", "livez", "readyz", "metrics"),
        *("docs", "openapi.json", "asyncapi.json", "asyncapi.yaml"),
    )
)
READS = frozenset((hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS))
# Whoever has an IPv6 address has all of its network.
IPV6_CLIENT_BITS = 64
# Addresses that are remembered as they were understood.
CLIENTS_REMEMBERED = 4096
# A chain of proxies is never so long: what is further left is not looked at.
HOPS_MAX = 16
# So many addresses with commas; more would only fill the memory of what is remembered.
FORWARDED_CHARACTERS = HOPS_MAX * 48

STATE = web.RequestKey("RATE_LIMIT_STATE", Verdict)


class Limiter:
    """Admits requests, or refuses them.

    Raises:
        ValueError: a setting can't be used.
    """

    def __init__(self, settings: Settings, shared: Shared, metrics: Metrics) -> None:
        self._shared = shared
        self._metrics = metrics
        self._client = _window("client", settings.rate_limit_client)
        self._user = _window("user", settings.rate_limit_user)
        self._local = LocalWindows(lambda: int(time.monotonic() * MILLISECONDS))
        trusted = parse_networks(settings.gateway_trusted_proxies)

        @lru_cache(CLIENTS_REMEMBERED)
        def client(remote: str, forwarded: str) -> str:
            return client_of(remote, forwarded, trusted)

        self._client_of = client

    async def admit(self, request: web.Request) -> None:
        """Return if the request may go on.

        Raises:
            ProblemError: 429 it may not; 503 nobody knows.
        """
        asked = self._asked(request)
        if not asked:
            return
        windows = [window for window, _ in asked]
        try:
            answer = await self._shared.run(
                CHECK_SCRIPT,
                [window.key(who) for window, who in asked],
                [
                    number
                    for window in windows
                    for number in (window.quota.requests, window.width, window.earlier)
                ],
            )
        except LostRedisError as error:
            if windows[0] is LIMITED:
                raise _nobody_knows() from error
            if request.method in READS:
                return
            verdict = self._local.check(asked)
        else:
            verdict = Verdict.of(windows, answer)
        request[STATE] = verdict
        if not verdict.admitted:
            raise self._refused(verdict)

    def _asked(self, request: web.Request) -> Asked:
        """The windows that hold for the request, and whose they are."""
        if request.path == LIMITED_PATH and request.method in READS:
            return ((LIMITED, self._address(request)),)
        first, *_ = request.path.removeprefix(API).removeprefix("/").split("/", 1)
        if first in UNLIMITED:
            return ()
        asked = []
        if self._client is not None:
            asked.append((self._client, self._address(request)))
        principal = request.get(PRINCIPAL)
        if self._user is not None and principal is not None and principal.user_id:
            asked.append((self._user, principal.user_id))
        return asked

    def _address(self, request: web.Request) -> str:
        forwarded = request.headers.getall(FORWARDED_FOR, ())
        known = ",".join(forwarded)[-FORWARDED_CHARACTERS:]
        return self._client_of(request.remote or NOBODY, known)

    def _refused(self, verdict: Verdict) -> ProblemError:
        tightest = tightest_of(verdict)
        window, seconds = tightest.window, _seconds(tightest)
        self._metrics.rate_limited(window.name)
        detail = (
            f"At most {window.quota.requests} requests in {window.quota.seconds} s are allowed "
            f"{'a user' if window is self._user else 'a client'}; try again in {seconds} s."
        )
        return ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(seconds)}
        )


LIMITER = web.AppKey("LIMITER", Limiter)


@web.middleware
async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only requests that are admitted go on."""
    await request.app[LIMITER].admit(request)
    return await handler(request)


async def say_limits(request: web.Request, response: web.StreamResponse) -> None:
    """A hook that says in each answer to which a limit applies how much of it is left."""
    verdict = request.get(STATE)
    if verdict is None:
        return
    tightest = tightest_of(verdict)
    headers = response.headers
    headers["RateLimit-Limit"] = str(tightest.window.quota.requests)
    headers["RateLimit-Remaining"] = str(tightest.remaining)
    headers["RateLimit-Reset"] = str(_seconds(tightest))
    headers["RateLimit-Policy"] = ", ".join(
        f"{count.window.quota.requests};w={count.window.quota.seconds}" for count in verdict.counts
    )


def tightest_of(verdict: Verdict) -> Count:
    """The window with the fewest requests left, and of those the one that opens last."""
    return min(verdict.counts, key=lambda count: (count.remaining, -count.reset_ms))


def client_of(remote: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The address that a request came from.

    Each proxy has added whom it got the request from to `X-Forwarded-For`. What a trusted one says
    is believed, from the last to the first; where all are trusted, the first is who asks.

    Args:
        remote: the address of the connection.
        forwarded: the header; what is no address ends it.
    """
    client, hops = _normal(remote), forwarded.split(",")[-HOPS_MAX:]
    for hop in reversed(hops):
        if not _is_in(client, trusted):
            break
        named = _normal(hop.strip())
        if named is None:
            break
        client = named
    if client is None:
        return remote
    if isinstance(client, IPv6Address):
        return str(ip_network((client, IPV6_CLIENT_BITS), strict=False))
    return str(client)


def _normal(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _window(name: str, text: str) -> Window | None:
    quota = parse_quota(text)
    return None if quota is None else Window.of(name, quota)


def _seconds(count: Count) -> int:
    return max(1, math.ceil(count.reset_ms / MILLISECONDS))


def _nobody_knows() -> ProblemError:
    detail = "How often this was asked for can't be told now: its counter is away. Try again."
    headers = {"Retry-After": str(math.ceil(RETRY_SECONDS))}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)
