"""Tokens as an issuer, and as a forger, would make them."""

import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

SECRET = "s" * 32
CLUSTER_TOKEN = "c" * 32


@cache
def rsa_key(name: str = "first") -> RSAPrivateKey:
    """A key of this name, made once: that takes a tenth of a second. `short` is too short."""
    return generate_private_key(public_exponent=65537, key_size=1024 if name == "short" else 2048)


def pem(name: str = "first") -> bytes:
    return (
        rsa_key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def jwk(name: str = "first", **changes: Any) -> dict[str, Any]:
    """The public key as a set has it, under its name."""
    return {
        **RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True),
        "kid": name,
        "use": "sig",
        **changes,
    }


def jwks(*names: str) -> bytes:
    return json.dumps({"keys": [jwk(name) for name in names]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims; None takes one away."""
    now = int(time.time())
    all_of_them = {
        "sub": "alice",
        "role": "operator",
        "iss": "orderflow",
        "aud": "orderflow",
        "exp": now + 60,
        **changes,
    }
    return {name: value for name, value in all_of_them.items() if value is not None}


def signed(secret: str = SECRET, **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm="HS256")


def signed_rs256(name: str = "first", *, kid: str | None = "", **changes: Any) -> str:
    """Signed by the key of this name; `kid` is the name, unless it is said otherwise."""
    headers = {} if kid is None else {"kid": kid or name}
    return jwt.encode(claims(**changes), rsa_key(name), algorithm="RS256", headers=headers)


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def by_hand(header: Any, payload: Any, key: bytes = b"") -> str:
    """A token that no library would make: signed by HMAC-SHA256 with any key, or not at all."""
    signing = f"{part(header)}.{part(payload)}"
    mac = hmac.new(key, signing.encode(), hashlib.sha256).digest() if key else b""
    return f"{signing}.{part(mac)}"
