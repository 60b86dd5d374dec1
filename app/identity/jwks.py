"""The public keys of an identity provider: a JSON Web Key Set (RFC 7517), kept for a while."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from app.identity.bearer import KeysUnavailableError

logger = logging.getLogger(__name__)

# A key of 4096 bits has 1 KiB with its certificates' names; providers publish two to ten.
SET_MAX_BYTES = 262_144
KEYS_MOST = 100
# A request waits for this where no key is known yet.
FETCH_SECONDS = 3.0
# A token that names an unknown key may be signed by one that is new; so often is asked for it at
# most, whatever tokens come.
ASK_AGAIN_SECONDS = 5.0
# A provider that is away for so long takes nobody's tokens away. Longer would keep a key in use
# that was withdrawn meanwhile.
STALE_SECONDS = 3600.0
# NIST SP 800-131A: shorter moduli are no longer to be used.
RSA_BITS_LEAST = 2048

Load = Callable[[], Awaitable[bytes]]


class Jwks:
    """The keys by their ids.

    Args:
        load: the set as it is published; raises whatever it likes.
        fresh_seconds: after so long it is loaded again, while the old keys are still used.
    """

    def __init__(
        self, load: Load, fresh_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._keys: Mapping[str | None, RSAPublicKey] = {}
        self._loaded_at = float("-inf")
        self._asked_at = float("-inf")
        self._loading: asyncio.Task[None] | None = None

    async def get(self, kid: str | None) -> RSAPublicKey | None:
        """The key of this id; without an id the only one, if there is only one.

        Raises:
            KeysUnavailableError: no keys are known, or only ones that are too old to be trusted.
        """
        age = self._clock() - self._loaded_at
        key = self._key(kid)
        if age > self._fresh_seconds or key is None:
            loading = self._ask()
            if loading is not None and (key is None or age > STALE_SECONDS):
                # Others wait for the same answer: who leaves does not take it from them.
                await asyncio.shield(loading)
                key = self._key(kid)
        if self._clock() - self._loaded_at > STALE_SECONDS:
            raise KeysUnavailableError("The keys that tokens are verified by can't be had now.")
        return key

    def _key(self, kid: str | None) -> RSAPublicKey | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid) if isinstance(kid, str) else None

    def _ask(self) -> "asyncio.Task[None] | None":
        """The load under way, a new one, or none where one was tried a moment ago."""
        if self._loading is None or self._loading.done():
            if self._clock() - self._asked_at < ASK_AGAIN_SECONDS:
                return None
            self._asked_at = self._clock()
            self._loading = asyncio.create_task(self._refresh())
        return self._loading

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = keys_of(await self._load())
        except Exception as error:  # whatever it is, the keys of before are used on
            logger.warning("the JSON Web Key Set could not be loaded: %r", error)
        else:
            self._loaded_at = self._clock()


def keys_of(document: bytes) -> Mapping[str | None, RSAPublicKey]:
    """The RSA keys of a set that are for verifying signatures, by id.

    Raises:
        ValueError: it is no set, or has no such key.
    """
    content = orjson.loads(document)
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JSON Web Key Set")
    found: dict[str | None, RSAPublicKey] = {}
    for entry in entries[:KEYS_MOST]:
        key = _rsa(entry)
        if key is not None:
            kid = entry.get("kid")
            found[kid if isinstance(kid, str) else None] = key
    if not found:
        raise ValueError("no RSA key for signatures in the JSON Web Key Set")
    return found


def _rsa(entry: object) -> RSAPublicKey | None:
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256" or "d" in entry:
        return None
    try:
        key = PyJWK(entry, algorithm="RS256").key
    except (PyJWTError, ValueError, TypeError):
        return None
    usable = isinstance(key, RSAPublicKey) and key.key_size >= RSA_BITS_LEAST
    return key if usable else None


def from_file(path: Path) -> Load:
    """Loads the set from a file."""

    async def load() -> bytes:
        with path.open("rb") as file:  # small, and in the page cache
            return file.read(SET_MAX_BYTES)

    return load


def from_url(url: str) -> Load:
    """Loads the set over HTTP, on a connection of its own: it is asked for every few minutes."""

    async def load() -> bytes:
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, allow_redirects=False, raise_for_status=True) as answer,
        ):
            document = await answer.content.read(SET_MAX_BYTES + 1)
            while len(document) <= SET_MAX_BYTES and (more := await answer.content.readany()):
                document += more
            if len(document) > SET_MAX_BYTES:
                raise ValueError(f"more than {SET_MAX_BYTES} bytes")
            return document

    return load
