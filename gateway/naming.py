"""Which workers there are now, where a name stands for all of its addresses.

Behind a container platform's name (a service of Docker Compose, a headless service of Kubernetes)
replicas come and go. Each of their addresses is a worker of its own here, with its own checks,
breaker and places: a replica that dies takes no other one's requests with it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from yarl import URL

from gateway.workers import worker_urls

logger = structlog.get_logger()

# Far above what any group of consumers has; a wrong answer must not fill the memory with workers.
ADDRESSES_MAX = 256
# A name service answers within some milliseconds; libc asks a silent one for 10 s.
LOOKUP_SECONDS = 2.0

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


async def addresses(host: str, port: int) -> list[str]:
    """The addresses of a name, sorted.

    Raises:
        OSError: it has none, or nobody can say.
    """
    loop = asyncio.get_running_loop()
    found: list[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({entry[4][0] for entry in found})


class Names:
    """The names of `GATEWAY_WORKERS`, and what they stood for the last time.

    Args:
        listed: URLs with commas, such as `http://workers:6066`.
        lookup: the addresses of a host.

    Raises:
        ValueError: as `worker_urls`, or one is of `https`, whose certificate names no address.
    """

    def __init__(self, listed: str, lookup: Lookup = addresses) -> None:
        self._names = worker_urls(listed)
        if any(URL(name).scheme != "http" for name in self._names):
            raise ValueError("GATEWAY_RESOLVE_SECONDS is for workers at http://")
        self._lookup = lookup
        self._known: dict[str, tuple[str, ...]] = {}

    async def urls(self) -> tuple[str, ...]:
        """The workers behind all names now, each once.

        A name that nobody can say anything of keeps the addresses that it had: the checks tell
        which of them live.
        """
        found = await asyncio.gather(*(self._of(name) for name in self._names))
        return tuple(dict.fromkeys(url for urls in found for url in urls))[:ADDRESSES_MAX]

    async def _of(self, name: str) -> tuple[str, ...]:
        url = URL(name)
        before = self._known.get(name)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._lookup(url.host or "", url.port or 80)
        except (OSError, UnicodeError) as error:
            if before is None:
                logger.warning("name not found", name=name, error=str(error))
                self._known[name] = ()
            return before or ()
        # yarl puts an IPv6 address into brackets.
        now = tuple(str(url.with_host(address).origin()) for address in found)
        if now != before:
            logger.info("name stands for", name=name, workers=list(now))
            self._known[name] = now
        return now
