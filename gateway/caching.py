"""The read cache: answers that many ask for and that may be a second old, kept in Redis.

A kept answer is given out as it is while it is fresh. Then it is stale: one gateway asks a worker
anew, in the background, and all give out the old one until the new one is there. Once it is too old
for that as well, it is gone. What changes the things of an answer, through any gateway, makes it
unusable at once. Without Redis nothing is kept and every request goes to a worker. Only whole, good
answers are kept, and those of each role apart. See docs/adr/0009-rate-limits-and-cache.md.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from aiohttp import ETag, hdrs, web

from gateway.headers import WORKER_ID
from gateway.keys import PRINCIPAL, WHOLE
from gateway.metrics import Metrics
from gateway.problem import ProblemError
from gateway.shared import LostRedisError, Script, Shared

logger = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Rule:
    """How an answer is kept.

    Attributes:
        fresh: seconds for which it is given out as it is.
        stale: seconds after that for which it is given out while a new one is asked for.
        group: whose changes make it unusable.
    """

    fresh: int
    stale: int
    group: str

    @property
    def control(self) -> str:
        """What clients are told of it."""
        return f"max-age={self.fresh}, stale-while-revalidate={self.stale}"


# Answers for everybody who may have them at all; what is a user's own has no place here. Their
# figures follow events, so that nobody can count on the last second. `/api/dashboard` shows users,
# who are there as soon as they are posted, and says `no-store`.
RULES: Mapping[str, Rule] = {
    "/api/analytics": Rule(fresh=1, stale=1, group="analytics"),
    "/api/analytics/top": Rule(fresh=1, stale=2, group="analytics"),
    "/api/inventory": Rule(fresh=1, stale=2, group="inventory"),
    "/api/movies/top": Rule(fresh=1, stale=2, group="movies"),
}
# Requests that have changed a group's things by the time they are answered.
CHANGES = {"/api/inventory/": "inventory"}
UNSAFE = frozenset((hdrs.METH_PUT, hdrs.METH_POST, hdrs.METH_PATCH, hdrs.METH_DELETE))

# The whole inventory of 200 products is below 20 kB.
BODY_MAX_BYTES = 262_144
# A longer query is not asked twice.
QUERY_MAX_CHARACTERS = 256
MILLISECONDS = 1000
NOBODY = "nobody"
MAX_AGE = re.compile(r"max-age\s*=\s*(\d{1,9})")
# A worker's `no-cache` is for others: the gateway belongs to the same origin, and its rules hold.
NOT_KEPT = ("no-store", "private")
X_CACHE = "X-Cache"
# Bytes of the hash in an ETag: two answers that differ have one by a chance of 2^-128.
ETAG_BYTES = 16

# KEYS: the answer, its group's generation, the lock of who asks anew. ARGV: how long in ms it is
# fresh and how long it is kept. Returns the generation and, if there is an answer of it, its age in
# ms, whether to ask anew, and its parts.
LOOK = Script("""
local generation = redis.call('GET', KEYS[2]) or '0'
local held = redis.call('HMGET', KEYS[1], 'generation', 'etag', 'type', 'body')
if held[1] ~= generation then return {generation} end
local fresh, kept = tonumber(ARGV[1]), tonumber(ARGV[2])
local age, lead = kept - redis.call('PTTL', KEYS[1]), 0
if age >= fresh and redis.call('SET', KEYS[3], '1', 'NX', 'PX', kept - fresh) then lead = 1 end
return {generation, age, lead, held[2], held[3], held[4]}
""")
# KEYS: as above. ARGV: generation, how long in ms it is kept yet, and its parts. An answer that was
# asked for before the last change, or before the one that is there, is dropped.
KEEP = Script("""
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'generation') == ARGV[1]
  and redis.call('PTTL', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1],
  'generation', ARGV[1], 'etag', ARGV[3], 'type', ARGV[4], 'body', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[3])
return 1
""")
SCRIPTS = (LOOK, KEEP)


@dataclass(frozen=True, slots=True)
class Entry:
    """A kept answer."""

    etag: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What Redis has: `generation` alone, or an answer with its age."""

    generation: str
    entry: Entry | None = None
    age_ms: int = 0
    lead: bool = False


class Cache:
    """Answers from Redis where it can."""

    def __init__(self, shared: Shared, metrics: Metrics) -> None:
        self._shared = shared
        self._metrics = metrics
        # Who asks a worker for what nobody has: others of this gateway wait for that answer.
        self._asked: dict[tuple[str, str], asyncio.Future[Entry | None]] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def answer(
        self, request: web.Request, handler: Handler, rule: Rule
    ) -> web.StreamResponse:
        """The answer to a request that the rule is for."""
        request[WHOLE] = True
        said = request.headers.get(hdrs.CACHE_CONTROL, "").lower()
        query = request.rel_url.raw_query_string
        if "no-store" in said or request.body_exists or len(query) > QUERY_MAX_CHARACTERS:
            return self._passed(request, await handler(request), rule, "bypass")
        key = key_of(request, query)
        try:
            found = await self._look(key, rule)
        except LostRedisError:
            return self._passed(request, await handler(request), rule, "bypass")
        if found.entry is not None and found.age_ms < _age_allowed_ms(said):
            if found.lead:
                self._ask_anew(request, handler, rule, key, found.generation)
            outcome = "hit" if found.age_ms < rule.fresh * MILLISECONDS else "stale"
            self._metrics.cache_asked(request.path, outcome)
            return rendered(request, found.entry, rule, outcome, found.age_ms)
        if found.entry is not None or _age_allowed_ms(said) == 0:
            response, _ = await self._ask(request, handler, rule, key, found.generation)
            return self._passed(request, response, rule, "bypass")
        return await self._missed(request, handler, rule, key, found.generation)

    async def changed(self, group: str) -> None:
        """Make unusable what is kept of a group."""
        try:
            await self._shared.call("INCR", _generation_key(group))
        except LostRedisError:
            # Nothing is given out of it either, and when it is back most is too old.
            logger.warning("cached answers not forgotten", group=group)

    async def close(self) -> None:
        """Ask nothing more."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _missed(
        self, request: web.Request, handler: Handler, rule: Rule, key: str, generation: str
    ) -> web.StreamResponse:
        """The answer that somebody asks for already, or that this request asks for."""
        asked = self._asked.get((key, generation))
        if asked is not None:
            entry = await asyncio.shield(asked)
            if entry is not None:
                self._metrics.cache_asked(request.path, "miss")
                return rendered(request, entry, rule, "miss", 0)
            return self._passed(request, await handler(request), rule, "miss")
        asked = self._asked[key, generation] = asyncio.get_running_loop().create_future()
        entry = None
        try:
            response, entry = await self._ask(request, handler, rule, key, generation)
        finally:
            del self._asked[key, generation]
            asked.set_result(entry)
        return self._passed(request, response, rule, "miss")

    def _ask_anew(
        self, request: web.Request, handler: Handler, rule: Rule, key: str, generation: str
    ) -> None:
        async def ask() -> None:
            try:
                await self._ask(request, handler, rule, key, generation)
            except (ProblemError, web.HTTPException) as error:
                # Until the old answer is gone it is given out; then clients are told.
                logger.warning("not asked anew", path=request.path, error=str(error))
            except Exception:
                logger.exception("not asked anew", path=request.path)

        task = asyncio.create_task(ask())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _ask(
        self, request: web.Request, handler: Handler, rule: Rule, key: str, generation: str
    ) -> tuple[web.StreamResponse, Entry | None]:
        """A worker's answer, kept if it can be."""
        began = time.monotonic()
        response = await handler(request)
        entry = entry_of(response)
        if entry is not None:
            # It may be as old as the question.
            taken = int((time.monotonic() - began) * MILLISECONDS)
            left = (rule.fresh + rule.stale) * MILLISECONDS - taken
            if left > 0:
                await self._keep(key, rule, generation, left, entry)
        return response, entry

    async def _look(self, key: str, rule: Rule) -> Found:
        fresh, kept = rule.fresh * MILLISECONDS, (rule.fresh + rule.stale) * MILLISECONDS
        found: list[Any] = await self._shared.run(LOOK, _keys(key, rule), (fresh, kept))
        generation = found[0].decode()
        if len(found) == 1:
            return Found(generation)
        _, age, lead, etag, content_type, body = found
        entry = Entry(etag.decode(), content_type.decode(), body)
        return Found(generation, entry, age, bool(lead))

    async def _keep(self, key: str, rule: Rule, generation: str, left: int, entry: Entry) -> None:
        parts = (generation, left, entry.etag, entry.content_type, entry.body)
        try:
            await self._shared.run(KEEP, _keys(key, rule), parts)
        except LostRedisError:
            return

    def _passed(
        self, request: web.Request, response: web.StreamResponse, rule: Rule, outcome: str
    ) -> web.StreamResponse:
        """A worker's answer, with what the cache says of it."""
        self._metrics.cache_asked(request.path, outcome)
        entry = entry_of(response)
        if entry is None:
            response.headers[X_CACHE] = outcome
            if response.status == HTTPStatus.OK:
                response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
            return response
        answer = rendered(request, entry, rule, outcome, 0)
        if WORKER_ID in response.headers:
            answer.headers[WORKER_ID] = response.headers[WORKER_ID]
        return answer


CACHE = web.AppKey("CACHE", Cache)


@web.middleware
async def cached(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers from the cache what may be, and tells it what has changed."""
    if request.method == hdrs.METH_GET:
        rule = RULES.get(request.path)
        if rule is not None:
            return await request.app[CACHE].answer(request, handler, rule)
    elif request.method in UNSAFE:
        for start, group in CHANGES.items():
            if request.path.startswith(start):
                # Before the client knows that it is done.
                request[WHOLE] = True
                try:
                    return await handler(request)
                finally:
                    await request.app[CACHE].changed(group)
    return await handler(request)


def key_of(request: web.Request, query: str) -> str:
    """Where an answer is kept: by path and query, and by role, since who has another may be
    answered otherwise."""
    principal = request.get(PRINCIPAL)
    role = NOBODY if principal is None else principal.role.name
    return f"{role}:{request.path}?{query}"


def entry_of(response: web.StreamResponse) -> Entry | None:
    """What is kept of an answer; None if it must not be."""
    if response.status != HTTPStatus.OK or not isinstance(response, web.Response):
        return None
    body, headers = response.body, response.headers
    if not isinstance(body, bytes) or not 0 < len(body) <= BODY_MAX_BYTES:
        return None
    if hdrs.SET_COOKIE in headers or hdrs.CONTENT_ENCODING in headers or hdrs.VARY in headers:
        return None
    said = headers.get(hdrs.CACHE_CONTROL, "").lower()
    if any(word in said for word in NOT_KEPT) or response.content_type != "application/json":
        return None
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(document, dict) and document.get("partial"):
        return None
    etag = hashlib.blake2b(body, digest_size=ETAG_BYTES).hexdigest()
    return Entry(etag, headers.get(hdrs.CONTENT_TYPE, "application/json"), body)


def rendered(
    request: web.Request, entry: Entry, rule: Rule, outcome: str, age_ms: int
) -> web.Response:
    """The answer with the entry, or 304 if the client has it."""
    headers = {
        hdrs.ETAG: f'"{entry.etag}"',
        hdrs.AGE: str(age_ms // MILLISECONDS),
        # A token's answers are for its role; caches on the way know nothing of roles.
        hdrs.CACHE_CONTROL: f"private, {rule.control}" if PRINCIPAL in request else rule.control,
        X_CACHE: outcome,
    }
    if any(_has(known, entry) for known in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers[hdrs.CONTENT_TYPE] = entry.content_type
    return web.Response(body=entry.body, headers=headers)


def _has(known: ETag, entry: Entry) -> bool:
    """RFC 9110, 13.1.2: `If-None-Match` compares weakly, and `*` is any."""
    return known.value in ("*", entry.etag)


def _age_allowed_ms(said: str) -> float:
    """How old an answer the client takes, by its Cache-Control."""
    if "no-cache" in said:
        return 0
    limit = MAX_AGE.search(said)
    return int(limit[1]) * MILLISECONDS if limit else float("inf")


def _keys(key: str, rule: Rule) -> tuple[str, str, str]:
    return f"gateway:cache:{key}", _generation_key(rule.group), f"gateway:cache:asking:{key}"


def _generation_key(group: str) -> str:
    return f"gateway:cache:generation:{group}"
