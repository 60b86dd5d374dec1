"""Secrets of the processes on one machine: made once, in files that only their owner can read.

So several gateways and all workers agree on them, a token outlives a restart, and nothing that is
written in the code opens anything.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from infra.local.errors import LocalError

# 256 bits, as HS256 wants at least, in hexadecimal digits.
SECRET_BYTES = 32
OWNER_ONLY = 0o600
FOLDER_OWNER_ONLY = 0o700
SECRET = "AUTH_SECRET"  # noqa: S105 (its name, as with all here)
CLUSTER_TOKEN = "CLUSTER_TOKEN"  # noqa: S105
TOKEN = "ORDERFLOW_TOKEN"  # noqa: S105
DEVELOPMENT = "AUTH_DEVELOPMENT"
# Whoever has an issuer of their own wants no tokens but its.
ISSUERS = (SECRET, "AUTH_JWKS_URL", "AUTH_JWKS_FILE")
# As long as a run of all orders may take.
TOKEN_SECONDS = 86_400


def made(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the secrets that `given` has not, from `folder`.

    Tokens that are signed by a secret which nobody knows can only come from the gateway: so that
    gives them out (`AUTH_DEVELOPMENT`), unless the user says otherwise.

    Raises:
        LocalError: one can't be kept there.
    """
    found = {}
    if not any(given.get(variable) for variable in ISSUERS):
        found[SECRET] = _kept(folder / SECRET.lower())
        if not given.get(DEVELOPMENT):
            found[DEVELOPMENT] = "on"
    if not given.get(CLUSTER_TOKEN):
        found[CLUSTER_TOKEN] = _kept(folder / CLUSTER_TOKEN.lower())
    return found


def command_token(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable of a token for our own commands, where they need one and have none.

    An operator's, since they place orders of many users.
    """
    secret = environment.get(SECRET, "").split(",")[0].strip()
    if environment.get("AUTH") != "on" or environment.get(TOKEN) or not secret:
        return {}
    # Only now: installing must not need what it installs.
    from app.identity import Principal, Role  # noqa: PLC0415
    from app.identity.tokens import Issuer  # noqa: PLC0415

    issuer = Issuer(
        secret,
        environment.get("AUTH_ISSUER") or "orderflow",
        environment.get("AUTH_AUDIENCE") or "orderflow",
        TOKEN_SECONDS,
    )
    return {TOKEN: issuer.issue(Principal("orderflow-run", Role.OPERATOR), time.time())}


def _kept(path: Path) -> str:
    """Return the file's secret; make it where there is none, whoever else does so meanwhile."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_OWNER_ONLY)
            draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(draft, flags, OWNER_ONLY), "w") as file:
                file.write(secrets.token_hex(SECRET_BYTES))
            try:
                # The whole file appears at once, and the first one stays.
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        secret = path.read_text().strip()
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from None
    if len(secret) < SECRET_BYTES:
        raise LocalError(f"{path} holds no secret: remove it, and a new one is made.")
    return secret
