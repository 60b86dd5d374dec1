"""Fenced locks: leases on many resources at once, each grant with a growing fencing token.

A lease can run out while its holder still thinks it holds it, so the lease alone protects nothing:
every write carries the token, and the resource refuses a token lower than one it has seen
(Kleppmann, "How to do distributed locking", 2016). All names are taken in one call or none is, so
holders can't wait for each other in a ring.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.stores.errors import LeaseUnavailableError

KEY_PREFIX = "orderflow:lock:"
# A lock's name begins with the kind of what it locks: `stock:85123A`.
KIND_SEPARATOR = ":"
TOKEN_KEY = "orderflow:fencing-token"  # noqa: S105 (a key's name)

# A batch holds its locks for some tens of milliseconds: waiting much longer than that between two
# tries would leave the shelf idle, much shorter would only load the lock server.
RETRY_MIN_SECONDS = 0.002
RETRY_MAX_SECONDS = 0.02

# Tokens follow the lock server's clock where its counter lags behind it, so they keep growing over
# a server that came back empty; `floor` is the highest token that a stored document has seen.
ACQUIRE = """
local owner, lease_ms, floor = ARGV[1], ARGV[2], tonumber(ARGV[3])
for i = 2, #KEYS do
  local holder = redis.call('GET', KEYS[i])
  if holder and string.sub(holder, 1, #owner + 1) ~= owner .. ':' then return {0, i - 1} end
end
local now = redis.call('TIME')
local token = tonumber(now[1]) * 1000000 + tonumber(now[2])
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
token = math.max(token, last + 1, floor + 1)
token = string.format('%.0f', token)
redis.call('SET', KEYS[1], token)
for i = 2, #KEYS do redis.call('SET', KEYS[i], owner .. ':' .. token, 'PX', lease_ms) end
return {1, token}
"""

RELEASE = """
local released = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then released = released + redis.call('DEL', KEYS[i]) end
end
return released
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """Locks held until `deadline` (monotonic seconds), with the fencing token for their writes."""

    names: tuple[str, ...]
    token: int
    owner: str
    deadline: float

    def require(self, seconds: float) -> None:
        """Make sure that the lease lasts `seconds` more.

        Raises:
            LeaseUnavailableError: it does not.
        """
        if time.monotonic() + seconds > self.deadline:
            raise LeaseUnavailableError("the lease would run out during the write")


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class LockObserver:
    """Told what becomes of leases.

    Attributes:
        on_acquired: one was granted.
        on_timeout: one was not, in time: others kept a lock, or Redis did not answer.
        on_lost: one was given back that had run out, in part at least.
        on_contention: told the name of a lock that was taken, once a call.
    """

    on_acquired: Callable[[], None] = _nothing
    on_timeout: Callable[[], None] = _nothing
    on_lost: Callable[[], None] = _nothing
    on_contention: Callable[[str], None] = _nothing


class FencedLocks:
    """Leases from Redis.

    Args:
        lease_seconds: how long a lease lasts unless it is released.
        wait_seconds: how long `acquire` waits for other holders.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        lease_seconds: float,
        wait_seconds: float,
        observer: LockObserver | None = None,
    ) -> None:
        self._lease_seconds = lease_seconds
        self._wait_seconds = wait_seconds
        self._observer = observer or LockObserver()
        self._acquire = redis.register_script(ACQUIRE)
        self._release = redis.register_script(RELEASE)

    async def acquire(
        self, names: Collection[str], *, floor: int = 0, owner: str | None = None
    ) -> Lease:
        """Lease all of `names`; waits for other holders, within `wait_seconds`.

        Args:
            floor: the token must be higher than this.
            owner: who asks; by default somebody new. What `owner` holds already is granted again,
                with a new token: for one who never holds two leases at once, and may not have
                heard that an earlier request was granted.

        Raises:
            LeaseUnavailableError: another holder kept one of them, or Redis can't be asked.
        """
        ordered = tuple(sorted(names))
        owner = owner or uuid4().hex
        keys = [TOKEN_KEY, *(KEY_PREFIX + name for name in ordered)]
        give_up = time.monotonic() + self._wait_seconds
        contended = False
        while True:
            asked = time.monotonic()
            try:
                granted, answer = await self._acquire(
                    keys=keys, args=[owner, int(self._lease_seconds * 1000), floor]
                )
            except (RedisError, OSError, TimeoutError) as error:
                self._observer.on_timeout()
                raise LeaseUnavailableError(f"Redis: {error}") from error
            if granted:
                self._observer.on_acquired()
                return Lease(ordered, int(answer), owner, asked + self._lease_seconds)
            if not contended:
                contended = True
                self._observer.on_contention(ordered[int(answer) - 1])
            if time.monotonic() > give_up:
                self._observer.on_timeout()
                raise LeaseUnavailableError(f"{ordered[int(answer) - 1]} is locked")
            await asyncio.sleep(random.uniform(RETRY_MIN_SECONDS, RETRY_MAX_SECONDS))

    async def release(self, lease: Lease) -> None:
        """Give the locks back. One that can't be given back runs out by itself."""
        try:
            released = await self._release(
                keys=[KEY_PREFIX + n for n in lease.names], args=[f"{lease.owner}:{lease.token}"]
            )
        except (RedisError, OSError, TimeoutError):
            return
        # A lease of which only the answer may have been lost has no token, and was never held.
        if lease.token and released < len(lease.names):
            self._observer.on_lost()
