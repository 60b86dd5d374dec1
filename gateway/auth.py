"""Who asks: every request's token is verified here, before anything else is done with it.

With AUTH=off nobody needs one. A valid one still tells who asks, so that limits count per user; one
that is not valid is as good as none, because nothing is given for it and an old client's expired
token would else close what is open to everybody. See docs/security.md.
"""

import hmac
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from app.console import FILES, PAGE
from app.identity import Principal
from app.identity.bearer import (
    NO_TOKEN,
    KeysUnavailableError,
    TokenError,
    bearer_of,
    challenge,
    insufficient,
)
from app.identity.configured import verifier_of
from app.identity.passing import passed_on
from app.identity.policy import OPEN, Routes, Who
from app.settings import Settings
from gateway.answering import AnswerModel, respond
from gateway.headers import PASSED
from gateway.keys import NAME, PRINCIPAL
from gateway.problem import ProblemError
from gateway.proxy import PREFIX

# The contract's token for trying the gateway out; it opens nothing but `/api/secure`.
DEMO_TOKEN = b"demo-token"
SECURE = f"{PREFIX}/secure"
TOKEN = f"{PREFIX}/token"
# Of the gateway's own routes; all others are for whoever has a token. `SECURE` decides for itself.
OWN: Mapping[str, Who] = {
    **dict.fromkeys((PAGE, FILES), Who.ANYONE),
    **dict.fromkeys(OPEN, Who.ANYONE),
    **{PREFIX + path: Who.ANYONE for path in OPEN},
    TOKEN: Who.ANYONE,
    SECURE: Who.ANYONE,
    f"{PREFIX}/breakers": Who.OPERATORS,
    # It holds everybody else's requests up, on purpose.
    f"{PREFIX}/blocking": Who.OPERATORS,
}
# When the keys may be there again; they are asked for every 5 s.
RETRY_AFTER_SECONDS = 5

# Why a token that was shown gives no identity.
REFUSAL = web.RequestKey("REFUSAL", Exception)


def authenticated(settings: Settings) -> Middleware:
    """A middleware that sets `PRINCIPAL`, and with AUTH=on admits whom the policy does."""
    verify = verifier_of(settings).verify
    cluster_token = settings.cluster_token
    asked_for = settings.auth == "on"
    routes = Routes()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        shown = request.headers.getall(hdrs.AUTHORIZATION, ())
        principal = None
        if shown:
            try:
                token = bearer_of(shown)
                principal = await verify(token) if token is not None else None
            except (TokenError, KeysUnavailableError) as error:
                request[REFUSAL] = error
            if principal is not None:
                request[PRINCIPAL] = principal
                if cluster_token:
                    request[PASSED] = passed_on(principal, cluster_token)
        if asked_for:
            _admit(request, principal, _whom_for(request, routes))
        return await handler(request)

    return middleware


def _whom_for(request: web.Request, routes: Routes) -> Who:
    """Whom the request's route is for. What the workers decide alone is for whoever has a token."""
    resource = request.match_info.route.resource
    template = resource.canonical if resource is not None else ""
    if template in OWN:
        return OWN[template]
    path = request.rel_url.raw_path
    if not path.startswith(PREFIX + "/"):
        return Who.USERS
    who = routes.who_may(request.method, path.removeprefix(PREFIX))
    return Who.USERS if who in (None, Who.WORKERS, Who.ANYONE) else who


def _admit(request: web.Request, principal: Principal | None, who: Who) -> None:
    if who is Who.ANYONE:
        return
    if principal is None:
        raise refused(request.get(REFUSAL))
    if not who.admits(principal):
        role = who.role
        assert role is not None
        detail, asked = insufficient(role, principal.role)
        raise ProblemError(HTTPStatus.FORBIDDEN, detail, headers={hdrs.WWW_AUTHENTICATE: asked})


def refused(error: Exception | None) -> ProblemError:
    """401, or 503 where tokens can't be verified now."""
    if isinstance(error, KeysUnavailableError):
        return ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            str(error),
            headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_SECONDS)},
        )
    if isinstance(error, TokenError):
        return _unauthorized(str(error), challenge(error))
    return _unauthorized(NO_TOKEN, challenge())


def _unauthorized(detail: str, asked: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNAUTHORIZED, detail, headers={hdrs.WWW_AUTHENTICATE: asked})


class SecureAnswer(AnswerModel):
    """The answer; `demo-token` is nobody's."""

    secure: bool
    instance: str
    user_id: str | None
    role: str | None


class Secure:
    """`/api/secure`.

    Args:
        in_development: whether `demo-token` is taken.
    """

    def __init__(self, *, in_development: bool) -> None:
        self._in_development = in_development

    async def get(self, request: web.Request) -> web.Response:
        """`GET /api/secure`: needs a token, whatever `AUTH` says."""
        principal = request.get(PRINCIPAL)
        if principal is None and not (self._in_development and _is_demo(request)):
            raise refused(request.get(REFUSAL))
        return respond(
            SecureAnswer(
                secure=True,
                instance=request.app[NAME],
                user_id=principal.user_id if principal else None,
                role=principal.role.label if principal else None,
            )
        )


def _is_demo(request: web.Request) -> bool:
    try:
        token = bearer_of(request.headers.getall(hdrs.AUTHORIZATION, ()))
    except TokenError:
        return False
    given = (token or "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, DEMO_TOKEN)
