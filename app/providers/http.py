"""A payment provider over HTTP, with time limits, and unknown outcomes settled before they count.

    POST   {url}/charges {"orderId", "amount"}    -> 200 {"ok", "paymentId"?, "detail"?}
    DELETE {url}/charges/{orderId}                -> 200 once it is sure that nothing is charged
    POST   {url}/refunds {"orderId", "amount"}    -> 200 {"ok", "detail"?}

Each with `Idempotency-Key`: the order's id. A call without an answer may have been done or not, so
it is made again with the same key. A charge that never gets an answer is withdrawn before it is
called failed; while even that gets no answer, the order waits.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp

from app.domain.payment import Action, Request, Result
from app.money import to_major
from app.settings import Settings
from app.stores.errors import TransientStoreError
from app.streaming import Backoff

WITHDRAWN = "the provider did not answer; the charge was withdrawn"


class UnknownOutcomeError(TransientStoreError):
    """The provider did not answer: what was asked may have been done or not."""


class HttpProvider:
    """Calls a provider, many at once.

    Args:
        url: where it is; without a slash at its end.
        timeout: seconds for one call.
        attempts: calls without an answer before a charge is withdrawn.
        backoff: the waits between them.
        concurrency: calls under way at once.
    """

    def __init__(
        self, url: str, *, timeout: float, attempts: int, backoff: Backoff, concurrency: int
    ) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._attempts = attempts
        self._backoff = backoff
        self._concurrency = concurrency
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "HttpProvider":
        """The provider that the settings describe."""
        return cls(
            settings.payment_url.rstrip("/"),
            timeout=settings.payment_timeout_seconds,
            attempts=settings.payment_attempts,
            backoff=Backoff(settings.payment_backoff_seconds, settings.payment_backoff_max_seconds),
            concurrency=settings.payment_concurrency,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def call(self, requests: Sequence[Request]) -> Sequence[Result]:
        """Make the calls side by side; their results in order.

        Raises:
            UnknownOutcomeError: the outcome of at least one can't be known now. The others may
                have been made: ask for all again.
        """
        gate = asyncio.Semaphore(self._concurrency)

        async def one(request: Request) -> Result:
            async with gate:
                return await self._settled(request)

        results = await asyncio.gather(*map(one, requests), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Result)]

    async def _settled(self, request: Request) -> Result:
        if request.action is Action.WITHDRAW:
            await self._withdraw(request)
            return Result(ok=True)
        path = "charges" if request.action is Action.CHARGE else "refunds"
        body = {"orderId": request.order_id, "amount": to_major(request.amount)}
        waits = self._backoff.waits()
        for attempt in range(1, self._attempts + 1):
            try:
                answer = await self._ask("POST", path, request.order_id, body)
            except UnknownOutcomeError:
                if attempt == self._attempts:
                    break
                await asyncio.sleep(next(waits))
            else:
                return Result(bool(answer["ok"]), answer.get("paymentId"), answer.get("detail"))
        if request.action is Action.REFUND:
            raise UnknownOutcomeError(f"no answer to the refund of {request.order_id}")
        await self._withdraw(request)
        return Result(ok=False, detail=WITHDRAWN)

    async def _withdraw(self, request: Request) -> None:
        await self._ask("DELETE", f"charges/{request.order_id}", request.order_id, None)

    async def _ask(self, method: str, path: str, key: str, body: Any) -> dict[str, Any]:
        """The provider's answer, where it is one."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, connector=aiohttp.TCPConnector(limit=self._concurrency)
            )
        try:
            async with self._session.request(
                method, f"{self._url}/{path}", json=body, headers={"Idempotency-Key": key}
            ) as answer:
                found = await answer.json(content_type=None)
                if answer.status != 200 or not isinstance(found, dict) or "ok" not in found:
                    raise UnknownOutcomeError(f"{method} /{path}: {answer.status}")
                return found
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise UnknownOutcomeError(f"{method} /{path}: {error!r}") from error
