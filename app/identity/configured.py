"""What the settings say about identity, ready to use."""

import ipaddress
from pathlib import Path

from app.edge_settings import EdgeSettings
from app.identity.jwks import Jwks, from_file, from_url
from app.identity.tokens import Issuer, Verifier

# A file costs nothing to read again, so a key that is taken out of it is soon out of use.
FILE_FRESH_SECONDS = 5.0


def verifier_of(settings: EdgeSettings) -> Verifier:
    """Verifies by what is configured; by nothing, so that no token is valid, where nothing is."""
    keys = None
    if settings.auth_jwks_url:
        keys = Jwks(from_url(settings.auth_jwks_url), settings.auth_jwks_seconds)
    elif settings.auth_jwks_file:
        keys = Jwks(from_file(Path(settings.auth_jwks_file)), FILE_FRESH_SECONDS)
    return Verifier(
        secrets=settings.auth_secrets,
        public_keys=keys,
        issuer=settings.auth_issuer,
        audience=settings.auth_audience,
        leeway_seconds=settings.auth_leeway_seconds,
    )


def issuer_of(settings: EdgeSettings) -> Issuer | None:
    """Gives out tokens in development, where there is a secret to sign them with; else None."""
    if not (settings.in_development and settings.auth_secrets):
        return None
    return Issuer(
        secret=settings.auth_secrets[0],
        issuer=settings.auth_issuer,
        audience=settings.auth_audience,
        seconds=settings.auth_token_seconds,
    )


def openness(settings: EdgeSettings, bind: str) -> str | None:
    """Words of warning where other machines can reach what listens at `bind`, without a token."""
    if settings.auth == "on" or _is_loopback(bind):
        return None
    return (
        f"AUTH=off, and this listens at {bind}: whoever reaches it may read and change everything. "
        "Set AUTH=on, or see to it that only trusted machines do."
    )


def _is_loopback(bind: str) -> bool:
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return bind == "localhost"
