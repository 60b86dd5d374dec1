"""Who may call what: one table for workers and gateway. What is not in it is for nobody.

A test holds that every route of a worker is in it.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from urllib.parse import unquote

from app.identity.principal import Principal, Role


class Who(Enum):
    """Whom a route is for."""

    ANYONE = auto()  # without a token
    WORKERS = auto()  # whoever knows the cluster token
    USERS = auto()  # any verified identity
    OWNER = auto()  # a customer for what is its own, which the view decides; an operator for all
    OPERATORS = auto()
    ADMINS = auto()

    def admits(self, principal: Principal) -> bool:
        """Whether the route's view is called for this principal."""
        least = LEAST_ROLE[self]
        return least is not None and principal.role >= least

    @property
    def role(self) -> Role | None:
        """The least role that is admitted; None where a role does not matter."""
        return LEAST_ROLE[self]


LEAST_ROLE: Mapping[Who, Role | None] = {
    Who.ANYONE: Role.CUSTOMER,
    Who.WORKERS: None,
    Who.USERS: Role.CUSTOMER,
    Who.OWNER: Role.CUSTOMER,
    Who.OPERATORS: Role.OPERATOR,
    Who.ADMINS: Role.ADMIN,
}

# Health for balancers, metrics for Prometheus, and documentation.
OPEN = (
    *("/livez", "/readyz", "/metrics"),
    *("/docs", "/openapi.json", "/asyncapi.json", "/asyncapi.yaml"),
)

POLICY: Mapping[tuple[str, str], Who] = {
    ("POST", "/orders"): Who.OWNER,
    ("GET", "/orders"): Who.OWNER,
    ("GET", "/orders/{orderId}"): Who.OWNER,
    ("POST", "/orders/{orderId}/cancel"): Who.OWNER,
    ("GET", "/payments/{orderId}"): Who.OWNER,
    ("GET", "/sagas"): Who.OPERATORS,
    ("GET", "/sagas/flow"): Who.OPERATORS,
    ("GET", "/sagas/{orderId}"): Who.OWNER,
    ("GET", "/users"): Who.OPERATORS,
    ("POST", "/users"): Who.ADMINS,
    ("GET", "/users/{userId}"): Who.OWNER,
    ("GET", "/inventory"): Who.USERS,
    ("GET", "/inventory/{productId}"): Who.USERS,
    ("PUT", "/inventory/{productId}"): Who.ADMINS,
    ("GET", "/inventory/{productId}/history"): Who.OPERATORS,
    ("GET", "/movies"): Who.USERS,
    ("GET", "/movies/{movieId}"): Who.USERS,
    ("POST", "/movies/{movieId}/views"): Who.OWNER,
    ("GET", "/movies/top"): Who.USERS,
    ("GET", "/movies/windows"): Who.USERS,
    ("GET", "/actions/top"): Who.OPERATORS,
    ("GET", "/actions/windows"): Who.OPERATORS,
    ("GET", "/analytics"): Who.OPERATORS,
    ("GET", "/analytics/windows"): Who.OPERATORS,
    ("GET", "/analytics/top"): Who.OPERATORS,
    ("GET", "/analytics/stream"): Who.OPERATORS,
    ("GET", "/analytics/parts/{table}"): Who.WORKERS,
    ("GET", "/topics"): Who.OPERATORS,
    ("GET", "/topics/{topic}/messages"): Who.OPERATORS,
    ("GET", "/groups"): Who.OPERATORS,
    ("GET", "/dlq"): Who.OPERATORS,
    ("POST", "/dlq/{topic}/replay"): Who.OPERATORS,
    ("POST", "/dlq/{topic}/discard"): Who.OPERATORS,
    **{("GET", path): Who.ANYONE for path in OPEN},
    # The console itself; what it shows it asks for with its reader's token.
    ("GET", "/"): Who.ANYONE,
    ("GET", "/console/{file}"): Who.ANYONE,
}


def who_may(method: str, template: str) -> Who | None:
    """Whom a route is for, by its template such as `/orders/{orderId}`; None: nobody."""
    return POLICY.get(("GET" if method == "HEAD" else method, template))


class Routes:
    """Finds a path's entry, for who has no router with these templates: the gateway."""

    def __init__(self, policy: Mapping[tuple[str, str], Who] = POLICY) -> None:
        self._fixed: dict[tuple[str, str], Who] = {}
        self._open: list[tuple[str, list[str], Who]] = []
        for (method, template), who in policy.items():
            if "{" in template:
                self._open.append((method, template.split("/"), who))
            else:
                self._fixed[method, template] = who

    def who_may(self, method: str, path: str) -> Who | None:
        """Whom the path is for, as the client has written it, without query; None: unknown."""
        method = "GET" if method == "HEAD" else method
        parts = [unquote(part) for part in path.split("/")]
        found = self._fixed.get((method, "/".join(parts)))
        if found is not None:
            return found
        for template_method, template, who in self._open:
            if method == template_method and _matches(parts, template):
                return who
        return None


def _matches(parts: Iterable[str], template: list[str]) -> bool:
    given = list(parts)
    return len(given) == len(template) and all(
        bool(part) if wanted.startswith("{") else part == wanted
        for part, wanted in zip(given, template, strict=True)
    )
