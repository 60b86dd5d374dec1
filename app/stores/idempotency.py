"""Idempotency keys: what was posted under a key, and what was answered.

A key belongs to the first body posted under it, until it is forgotten. While that post is under way
others are told to come back; once it is answered they get the same answer. A post that failed
leaves the key bound to its body, because what it sent may still arrive: only the same body may try
again. One Redis hash a key, each step one script, so that no two workers see it half done.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.stores.errors import TransientStoreError

KEY_PREFIX = "orderflow:idempotency:"

# The claim's end is a field and not the key's expiry, because the key outlives the claim.
BEGIN = """
local fingerprint, claim, claim_ms, ttl_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local held = redis.call('HMGET', KEYS[1], 'fingerprint', 'answer', 'until', 'claim')
if held[1] then
  if held[1] ~= fingerprint then return {'mismatch'} end
  if held[2] then return {'replay', held[2]} end
  local left = tonumber(held[3] or '0') - now
  if left > 0 and held[4] ~= claim then return {'in-flight', tostring(left)} end
end
redis.call('HSET', KEYS[1], 'fingerprint', fingerprint, 'claim', claim,
           'until', string.format('%.0f', now + claim_ms))
redis.call('PEXPIRE', KEYS[1], ttl_ms)
return {'fresh'}
"""

COMPLETE = """
if ARGV[5] ~= '' then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5]) end
local held = redis.call('HMGET', KEYS[1], 'fingerprint', 'answer')
if held[2] or (held[1] and held[1] ~= ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'answer', ARGV[2])
redis.call('HDEL', KEYS[1], 'claim', 'until')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

ABANDON = """
if redis.call('HGET', KEYS[1], 'claim') ~= ARGV[1] then return 0 end
if ARGV[2] == 'forget' then return redis.call('DEL', KEYS[1]) end
return redis.call('HDEL', KEYS[1], 'claim', 'until')
"""


@dataclass(frozen=True, slots=True)
class Fresh:
    """The key is this post's now: complete or abandon it."""

    key: str
    fingerprint: str
    claim: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another post with the same key and body is under way, for `seconds` at most."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Replay:
    """The same was posted before; this was answered."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Another body was posted under this key."""


Begun = Fresh | InFlight | Replay | Mismatch


@dataclass(frozen=True, slots=True)
class Note:
    """A key to set in the same round trip as an answer is kept."""

    key: str
    value: bytes
    ttl_seconds: float


class Keys(Protocol):
    """What is asked of a store of idempotency keys."""

    async def begin(self, user: str, key: str, fingerprint: str) -> Begun:
        """Claim the user's key for a body with this fingerprint, or say why not."""
        ...

    async def complete(self, claim: Fresh, answer: bytes, *, note: Note | None = None) -> None:
        """Keep the answer. An answer already kept stays: it was given to somebody."""
        ...

    async def abandon(self, claim: Fresh, *, forget: bool = False) -> None:
        """Let the same body try again at once; `forget`: nothing was sent, so any body may."""
        ...


class IdempotencyKeys:
    """Keys in Redis. Every method raises `TransientStoreError` when Redis can't be asked.

    Args:
        claim_seconds: how long a post may be under way before another may take over.
        ttl_seconds: how long a key is remembered.
    """

    def __init__(self, redis: Redis, *, claim_seconds: float, ttl_seconds: float) -> None:
        self._claim_ms = int(claim_seconds * 1000)
        self._ttl_ms = int(ttl_seconds * 1000)
        self._begin = redis.register_script(BEGIN)
        self._complete = redis.register_script(COMPLETE)
        self._abandon = redis.register_script(ABANDON)

    async def begin(self, user: str, key: str, fingerprint: str) -> Begun:
        """Claim the user's key for a body with this fingerprint, or say why not."""
        name, claim = redis_key(user, key), uuid4().hex
        verdict, *more = await _asked(
            self._begin(keys=[name], args=[fingerprint, claim, self._claim_ms, self._ttl_ms])
        )
        match verdict:
            case b"mismatch":
                return Mismatch()
            case b"replay":
                return Replay(more[0])
            case b"in-flight":
                return InFlight(int(more[0]) / 1000)
            case _:
                return Fresh(name, fingerprint, claim)

    async def complete(self, claim: Fresh, answer: bytes, *, note: Note | None = None) -> None:
        """Keep the answer. An answer already kept stays: it was given to somebody."""
        extra: list[Any] = [note.value, int(note.ttl_seconds * 1000)] if note else ["", ""]
        await _asked(
            self._complete(
                keys=[claim.key, note.key if note else claim.key],
                args=[claim.fingerprint, answer, self._ttl_ms, *extra],
            )
        )

    async def abandon(self, claim: Fresh, *, forget: bool = False) -> None:
        """Let the same body try again at once; `forget`: nothing was sent, so any body may."""
        await _asked(
            self._abandon(keys=[claim.key], args=[claim.claim, "forget" if forget else "keep"])
        )


def redis_key(user: str, key: str) -> str:
    """Where a user's key is kept; hashed, since both are the client's text."""
    return KEY_PREFIX + sha256(f"{user}\0{key}".encode()).hexdigest()


async def _asked(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as error:
        raise TransientStoreError(f"Redis: {error}") from error
