"""Asking a worker, or the API, over HTTP: short time limits, and errors in words for people."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from app.cli.console import UNREACHABLE, CommandError

# Longer than a worker takes to ask the others (`ANALYTICS_QUERY_SECONDS`).
TIMEOUT_SECONDS = 15.0
# A server that listens accepts in milliseconds.
CONNECT_SECONDS = 3.0
# Of an answer that is not a problem document, so much is repeated.
WORDS_CHARACTERS = 100


class AnswerError(CommandError):
    """There was an answer, and it says no; `http_status` is what it said."""

    def __init__(self, message: str, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


class Api:
    """Somebody who answers as a worker does; made by `asking`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url.rstrip("/")

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The answer's document.

        Raises:
            AnswerError: the answer is not 200.
            CommandError: nobody answers there, or somebody else does.
        """
        status, document = await self.look(path, query)
        if status != HTTPStatus.OK:
            raise AnswerError(f"{self.url}{path}: {_refusal(status, document)}", status)
        return document

    async def look(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and document, whatever the status.

        Raises:
            CommandError: nobody answers there, or somebody else does.
        """
        try:
            async with self._session.get(self.url + path, params=query) as answer:
                document = await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise CommandError(
                f"{unreachable(self.url, error)} (is the system up? make status)", UNREACHABLE
            ) from None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CommandError(f"{self.url}{path}: not an answer of ours", UNREACHABLE)
        return answer.status, document


@asynccontextmanager
async def asking(
    url: str, token: str | None = None, *, seconds: float = TIMEOUT_SECONDS
) -> AsyncIterator[Api]:
    """Whoever answers at `url`: a worker, or the API of gateway and nginx with its `/api`.

    Raises:
        CommandError: that is no address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError(f"{url} is no address: give one like http://127.0.0.1:6066", UNREACHABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, CONNECT_SECONDS))
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield Api(session, url)


def unreachable(url: str, error: BaseException) -> str:
    """Words for a request that got no answer."""
    if isinstance(error, TimeoutError):
        return f"no answer from {url} in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"nothing answers at {url}"
    if isinstance(error, aiohttp.ClientConnectionError):
        return f"{url} ended the connection without an answer"
    return f"{url}: {error or type(error).__name__}"


def _refusal(status: int, document: Mapping[str, Any]) -> str:
    words = f"{status} {str(document.get('detail', ''))[:WORDS_CHARACTERS]}".rstrip()
    if status == HTTPStatus.UNAUTHORIZED:
        return f"{words} (--token, or ORDERFLOW_TOKEN)"
    return words
