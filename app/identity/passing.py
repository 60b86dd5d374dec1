"""How processes of one system tell each other who asks: headers that only they can write.

What comes with the cluster token comes from a gateway that has verified the identity, or from
another worker. Without that token the other two headers say nothing.
"""

import hmac
from collections.abc import Mapping
from urllib.parse import quote, unquote

from app.identity.principal import Principal, Role, user_id

CLUSTER_TOKEN = "X-Cluster-Token"  # noqa: S105 (its name)
USER = "X-Auth-User"
ROLE = "X-Auth-Role"
# Never taken from a client.
HEADERS = (CLUSTER_TOKEN, USER, ROLE)


def passed_on(principal: Principal, cluster_token: str) -> dict[str, str]:
    """The headers that say to a worker who asks."""
    return {
        CLUSTER_TOKEN: cluster_token,
        USER: quote(principal.user_id, safe=""),
        ROLE: principal.role.label,
    }


def is_ours(headers: Mapping[str, str], cluster_token: str) -> bool:
    """Whether a process that knows the cluster token has written these headers."""
    given = headers.get(CLUSTER_TOKEN)
    if given is None or not cluster_token:
        return False
    return hmac.compare_digest(
        given.encode("utf-8", "surrogateescape"), cluster_token.encode("utf-8", "surrogateescape")
    )


def principal_of(headers: Mapping[str, str]) -> Principal | None:
    """Who asks, by headers that are `is_ours`; None where they say nothing or nonsense."""
    try:
        user = unquote(headers[USER], errors="strict")
        return Principal(user_id(user), Role.labelled(headers[ROLE]))
    except (KeyError, ValueError):
        return None
