"""JSON Web Tokens (RFC 7519): made in development, verified everywhere.

Which algorithm a token is verified by follows from what is configured: a secret verifies HS256, a
published key RS256, and neither ever the other. A token only says which of them it claims.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.identity.bearer import KeysUnavailableError, TokenError
from app.identity.principal import Principal, Role, user_id

HS256 = "HS256"
RS256 = "RS256"
# A token of ours has some 300 bytes, those of identity providers up to 2 KiB.
TOKEN_MAX_CHARACTERS = 4096
# A client sends one token many times, and verifying takes 50 to 100 us. A key that is withdrawn
# counts for so much longer.
REMEMBERED_SECONDS = 60.0
# Some 500 bytes each; more clients at once only cost their verifying.
REMEMBERED_MOST = 10_000
REQUIRED = ("exp", "iss", "aud", "sub")
NOT_VALID = "The token is not valid."


class PublicKeys(Protocol):
    """Where the keys that verify RS256 come from; see `app.identity.jwks.Jwks`."""

    async def get(self, kid: str | None) -> RSAPublicKey | None:
        """The key of this id; None where there is none, or it is not said which."""
        ...


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies tokens.

    Attributes:
        secrets: any of them verifies HS256; none means that HS256 is refused.
        public_keys: verify RS256; None means that RS256 is refused.
        leeway_seconds: how far the issuer's clock and ours may be apart.
        clock: seconds since the epoch, for what is remembered.
    """

    secrets: Sequence[str]
    public_keys: PublicKeys | None
    issuer: str
    audience: str
    leeway_seconds: float
    clock: Callable[[], float] = time.time
    _remembered: dict[str, tuple[Principal, float]] = field(default_factory=dict, repr=False)

    async def verify(self, token: str) -> Principal:
        """Whose token it is.

        Raises:
            TokenError: it gives no identity.
            KeysUnavailableError: whether it does can't be told now.
        """
        if len(token) > TOKEN_MAX_CHARACTERS:
            raise TokenError("The token is too long.")
        principal, until = self._remembered.get(token, (None, 0.0))
        if principal is not None and self.clock() < until:
            return principal
        claims = await self._verified(token)
        try:
            principal = _principal(claims)
            end = float(claims["exp"]) + self.leeway_seconds
        except (ValueError, OverflowError) as error:
            raise TokenError(NOT_VALID) from error
        while len(self._remembered) >= REMEMBERED_MOST:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[token] = principal, min(end, self.clock() + REMEMBERED_SECONDS)
        return principal

    async def _verified(self, token: str) -> Mapping[str, Any]:
        """The token's claims, which are its issuer's."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm, kid = str(header.get("alg")), header.get("kid")
            keys: Sequence[str | RSAPublicKey] = ()
            if algorithm == HS256:
                keys = self.secrets
            elif algorithm == RS256 and self.public_keys is not None:
                found = await self.public_keys.get(kid)
                keys = () if found is None else (found,)
            return self._claims(token, keys, algorithm)
        except (TokenError, KeysUnavailableError):
            raise
        except jwt.ExpiredSignatureError:
            raise TokenError("The token has expired.") from None
        except jwt.ImmatureSignatureError:
            raise TokenError("The token is not valid yet.") from None
        except Exception as error:  # whatever a hostile token makes a parser do, it is not valid
            raise TokenError(NOT_VALID) from error

    def _claims(
        self, token: str, keys: Sequence[str | RSAPublicKey], algorithm: str
    ) -> Mapping[str, Any]:
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    issuer=self.issuer,
                    audience=self.audience,
                    leeway=self.leeway_seconds,
                    options={"require": list(REQUIRED)},
                )
            except jwt.InvalidSignatureError:
                continue
        raise TokenError(NOT_VALID)


def _principal(claims: Mapping[str, Any]) -> Principal:
    role = Role.labelled(claims["role"]) if "role" in claims else Role.CUSTOMER
    return Principal(user_id(claims["sub"]), role)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Gives out tokens, signed by `secret`, for `seconds`."""

    secret: str
    issuer: str
    audience: str
    seconds: int

    def issue(self, principal: Principal, now: float) -> str:
        """A token for the principal; `now` in seconds since the epoch."""
        issued = int(now)
        claims = {
            "sub": principal.user_id,
            "role": principal.role.label,
            "iss": self.issuer,
            "aud": self.audience,
            "iat": issued,
            "nbf": issued,
            "exp": issued + self.seconds,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, self.secret, algorithm=HS256)
