"""Who may call a view: asked before it is, of every request.

With AUTH=on a worker believes its gateway, which shows the cluster token, and else a JWT that it
verifies itself. What of the allowed is whose, only a view can know: see `caller_of`.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from app.identity import EVERYBODY, Principal
from app.identity.bearer import (
    NO_TOKEN,
    KeysUnavailableError,
    TokenError,
    bearer_of,
    challenge,
    insufficient,
)
from app.identity.configured import verifier_of
from app.identity.passing import is_ours, principal_of
from app.identity.policy import Who, who_may
from app.settings import Settings
from app.web import problems
from app.web.problems import ProblemError, unavailable

# When the keys may be there again; they are asked for every 5 s.
RETRY_KEYS_SECONDS = 5.0

CALLER = web.RequestKey("CALLER", Principal)


def caller_of(request: web.BaseRequest) -> Principal:
    """Who asks; with AUTH=off everybody is let do everything."""
    caller: Principal = request.get(CALLER, EVERYBODY)
    return caller


def require_self(caller: Principal, user_id: str) -> None:
    """Let nobody act for another user.

    Raises:
        ProblemError: 403.
    """
    if not caller.sees(user_id):
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"The token is not that of user {user_id}; customers act for themselves only.",
            kind="another-user",
            title="Another user",
        )


def authorized(settings: Settings) -> Middleware:
    """A middleware that calls a route's view only for whom the policy admits."""
    if settings.auth == "off":
        return _everybody
    verify = verifier_of(settings).verify
    cluster_token = settings.cluster_token

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        who = who_may(request.method, resource.canonical) if resource is not None else Who.USERS
        if who is Who.ANYONE:
            return await handler(request)
        if who is Who.WORKERS:
            return await handler(request)  # which asks for the cluster token itself
        passed = is_ours(request.headers, cluster_token)
        caller = principal_of(request.headers) if passed else None
        if caller is None:
            caller = await _by_token(request, verify)
        _admit(caller, who)
        request[CALLER] = caller
        return await handler(request)

    return middleware


@web.middleware
async def _everybody(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)


async def _by_token(
    request: web.Request, verify: Callable[[str], Awaitable[Principal]]
) -> Principal:
    """Whose JWT the request shows.

    Raises:
        ProblemError: 401 it shows none that is valid, 503 that can't be told now.
    """
    try:
        token = bearer_of(request.headers.getall(hdrs.AUTHORIZATION, ()))
        if token is not None:
            return await verify(token)
    except TokenError as error:
        raise _unauthorized(str(error), challenge(error)) from error
    except KeysUnavailableError as error:
        raise unavailable(str(error), retry_after=RETRY_KEYS_SECONDS) from error
    raise _unauthorized(NO_TOKEN, challenge())


def _unauthorized(detail: str, asked: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNAUTHORIZED, detail, headers={hdrs.WWW_AUTHENTICATE: asked})


def _admit(caller: Principal, who: Who | None) -> None:
    if who is None:
        # A route that nobody has decided on is for nobody.
        raise problems.of_status(HTTPStatus.FORBIDDEN, {})
    if not who.admits(caller):
        role = who.role
        assert role is not None
        detail, asked = insufficient(role, caller.role)
        raise ProblemError(HTTPStatus.FORBIDDEN, detail, headers={hdrs.WWW_AUTHENTICATE: asked})
