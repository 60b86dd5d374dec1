"""`POST /api/token`: tokens for whoever asks, in development only."""

import time
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from aiohttp import hdrs, web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from app.identity import Principal, Role
from app.identity.principal import user_id
from app.identity.tokens import Issuer
from app.schemas import PRINTABLE
from gateway.answering import AnswerModel, body_of, respond
from gateway.problem import ProblemError

# A user id and a role, with room for a client that says it at length.
BODY_MAX_BYTES = 4096
NOT_HERE = (
    "This gateway gives out no tokens: that is for development (AUTH_DEVELOPMENT=on, or AUTH=off), "
    "and needs an AUTH_SECRET. Get one from the identity provider."
)


def _role(label: str) -> str:
    return Role.labelled(label).label


class TokenRequest(BaseModel):
    """Who the token is to be for."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)

    user_id: Annotated[
        str,
        Field(min_length=1, max_length=128, json_schema_extra=PRINTABLE),
        AfterValidator(user_id),
    ]
    role: Annotated[
        str,
        AfterValidator(_role),
        Field(json_schema_extra={"enum": [role.label for role in Role]}),
    ] = Role.CUSTOMER.label


class TokenAnswer(AnswerModel):
    """The token. Beside our own names are those that OAuth clients read (RFC 6749, 5.1)."""

    token: str
    user_id: str
    role: str
    expires_in: int
    access_token: str = Field(alias="access_token")
    token_type: str = Field(default="Bearer", alias="token_type")
    lifetime: int = Field(alias="expires_in")


class TokenView:
    """The endpoint; without an issuer it says where tokens come from."""

    def __init__(self, issuer: Issuer | None) -> None:
        self._issuer = issuer

    async def post(self, request: web.Request) -> web.Response:
        """`POST /api/token`."""
        if self._issuer is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, NOT_HERE)
        asked = parse(await body_of(request, BODY_MAX_BYTES))
        principal = Principal(asked.user_id, Role.labelled(asked.role))
        token = self._issuer.issue(principal, time.time())
        return respond(
            TokenAnswer(
                token=token,
                user_id=asked.user_id,
                role=asked.role,
                expires_in=self._issuer.seconds,
                access_token=token,
                lifetime=self._issuer.seconds,
            ),
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )

    async def only_post(self, request: web.Request) -> web.Response:
        """405: it is for asking only."""
        raise web.HTTPMethodNotAllowed(request.method, (hdrs.METH_POST,))


def parse(body: bytes) -> TokenRequest:
    """The request.

    Raises:
        ProblemError: 400 no JSON, 422 a field is wrong.
    """
    try:
        content: Any = orjson.loads(body)
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.") from None
    try:
        return TokenRequest.model_validate(content)
    except ValidationError as error:
        faults = [
            {"field": ".".join(map(str, one["loc"])) or "body", "detail": one["msg"]}
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        named = ", ".join(fault["field"] for fault in faults)
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"The request is not valid: {named}.", errors=faults
        ) from None
