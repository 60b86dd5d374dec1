"""The connections to the workers, and what may go wrong on them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import (
    ClientConnectionResetError,
    ClientConnectorError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
    hdrs,
)

from app.settings import Settings
from gateway.bulkhead import Kind

# Below the time after which a worker closes an idle connection, so that a request hardly ever
# meets one that is being closed.
KEEPALIVE_SECONDS = 15.0
# Only what the client said is passed on.
SAID_BY_THE_CLIENT = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT)


class NeverSentError(Exception):
    """No connection to the worker could be made, so it knows nothing of the request."""


class BrokenOffError(Exception):
    """The connection broke after the request may have been sent.

    Args:
        answering: whether the worker had begun to answer.
    """

    def __init__(self, *, answering: bool) -> None:
        super().__init__("broke off while answering" if answering else "broke off")
        self.answering = answering


@asynccontextmanager
async def connections(settings: Settings) -> AsyncIterator[Mapping[Kind, ClientSession]]:
    """Sessions for the workers, one for each kind of request.

    Ordinary requests have a bounded pool for each worker, so that a slow one starves no other, and
    wait for a connection where it is used up. Those that are held would use up any pool: each has
    a connection, and the bulkhead bounds them.
    """
    async with (
        _session(settings, settings.gateway_pool_size) as ordinary,
        _session(settings, 0) as held,
    ):
        yield {Kind.ORDINARY: ordinary, Kind.HELD: held}


def _session(settings: Settings, per_worker: int) -> ClientSession:
    return ClientSession(
        connector=TCPConnector(
            limit=0,
            limit_per_host=per_worker,
            keepalive_timeout=KEEPALIVE_SECONDS,
        ),
        timeout=ClientTimeout(
            total=None,  # an answer may stream for hours; until it begins, the proxy has a limit
            sock_connect=settings.gateway_connect_timeout_seconds,
            sock_read=settings.gateway_timeout_seconds,
        ),
        auto_decompress=False,
        cookie_jar=DummyCookieJar(),
        skip_auto_headers=SAID_BY_THE_CLIENT,
        middlewares=(sent_once,),
    )


async def sent_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Tell a request that was never sent from one whose connection broke.

    The client resends idempotent requests to the same server by itself, unless the error is one
    that it does not know.
    """
    try:
        return await handler(request)
    except (ClientConnectorError, ConnectionTimeoutError) as error:
        raise NeverSentError(str(error)) from error
    except ServerDisconnectedError as error:
        # Then it holds the head that was not completed.
        raise BrokenOffError(answering=not isinstance(error.message, str)) from error
    except (ClientOSError, ClientConnectionResetError) as error:
        raise BrokenOffError(answering=False) from error
