"""Bearer tokens in requests (RFC 6750): how they come, and how one is asked for."""

from collections.abc import Sequence

from app.identity.principal import Role

SCHEME = "bearer"
CHALLENGE = 'Bearer realm="orderflow"'
NO_TOKEN = "This needs the header `Authorization: Bearer <token>`."  # noqa: S105 (a sentence)


class TokenError(Exception):
    """A token that gives no identity; the words are for the client's developer."""


class KeysUnavailableError(Exception):
    """What tokens are verified by can't be had now, so nothing can be said of any."""


def bearer_of(headers: Sequence[str]) -> str | None:
    """The token in a request's `Authorization` headers; None where there is none of this scheme.

    Raises:
        TokenError: there are two headers, which two programs could read as two identities.
    """
    if not headers:
        return None
    if len(headers) > 1:
        raise TokenError("There is more than one Authorization header.")
    scheme, _, token = headers[0].partition(" ")
    return token.strip() if scheme.lower() == SCHEME else None


def challenge(error: TokenError | None = None) -> str:
    """`WWW-Authenticate` of a 401; without an error code where there was no token (RFC 6750, 3.1).

    The words of a `TokenError` are ours, without quotes.
    """
    if error is None:
        return CHALLENGE
    return f'{CHALLENGE}, error="invalid_token", error_description="{error}"'


def insufficient(needed: Role, given: Role) -> tuple[str, str]:
    """Words and `WWW-Authenticate` of a 403: the token is good, and its role is not enough."""
    return (
        f"This needs the role {needed.label}; the token's is {given.label}.",
        f'{CHALLENGE}, error="insufficient_scope", scope="{needed.label}"',
    )
