"""The settings among each other: what makes no sense together, what is open, weak secrets."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import log2
from urllib.parse import urlsplit

from aiokafka.conn import collect_hosts

from app.cli.doctor.finding import Finding, failed, is_loopback, ok, warning
from app.identity.configured import openness
from app.settings import Settings

AREA = "settings"
# Random text of 16 characters has more; a word that is repeated, or `change-me`, has less.
SECRET_BITS_LEAST = 64
OBVIOUS = ("change", "secret", "password", "example", "default", "token", "demo", "test", "1234")
# The time-out of a saga must leave room for an outage of a step.
ROOM = 2.0

Rule = Callable[[Settings], Iterator[Finding]]


async def check(settings: Settings) -> Sequence[Finding]:
    """Look at the settings of this process."""
    return judge(settings)


def judge(settings: Settings) -> list[Finding]:
    """What makes no sense, or is not safe; one line where all is well."""
    found = [finding for rule in RULES for finding in rule(settings)]
    name = "AUTH"
    if not any(each.name == name for each in found):
        words = "tokens are asked for" if settings.auth == "on" else "off, on loopback only"
        found.insert(0, ok(AREA, name, words))
    if len(found) == 1:
        found.append(ok(AREA, "settings", "none contradicts another"))
    return found


def strength(secret: str) -> float:
    """An upper bound of a secret's bits, by how often it uses which characters."""
    counts = Counter(secret)
    per_character = -sum(n / len(secret) * log2(n / len(secret)) for n in counts.values())
    return per_character * len(secret)


def _identity(settings: Settings) -> Iterator[Finding]:
    open_to = openness(settings, settings.worker_bind) or openness(settings, settings.gateway_bind)
    if open_to is not None:
        words, todo = open_to.split(": ", 1)
        yield failed(AREA, "AUTH", f"{words}, and that is no loopback address", todo)
    if settings.auth == "on" and settings.in_development:
        words = "AUTH_DEVELOPMENT=on: the gateway gives a token of any role to whoever asks"
        yield warning(AREA, "AUTH", words, "Take it away in production")
    url = urlsplit(settings.auth_jwks_url)
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        words = "keys are fetched over plain HTTP: whoever is between can give out tokens"
        yield failed(AREA, "AUTH_JWKS_URL", words, "Use https://")


def _secrets(settings: Settings) -> Iterator[Finding]:
    known = [("AUTH_SECRET", secret) for secret in settings.auth_secrets]
    if settings.cluster_token:
        known.append(("CLUSTER_TOKEN", settings.cluster_token))
    for name, secret in known:
        obvious = next((word for word in OBVIOUS if word in secret.lower()), None)
        if obvious is None and strength(secret) >= SECRET_BITS_LEAST:
            continue
        words = f"holds {obvious!r}" if obvious else "repeats itself: it can be guessed"
        level = failed if settings.auth == "on" else warning
        yield level(AREA, name, words, "Make one with `openssl rand -hex 32`")
    if settings.cluster_token and settings.cluster_token in settings.auth_secrets:
        words = "is the AUTH_SECRET: whoever sees one can do everything"
        yield failed(AREA, "CLUSTER_TOKEN", words, "Make another")


def _times(settings: Settings) -> Iterator[Finding]:
    least = settings.gateway_health_interval_seconds + settings.gateway_connect_timeout_seconds
    if settings.shutdown_delay_seconds < least:
        words = f"{settings.shutdown_delay_seconds:g}: a gateway notices only after {least:g} s"
        todo = "Above GATEWAY_HEALTH_INTERVAL_SECONDS and GATEWAY_CONNECT_TIMEOUT_SECONDS together"
        yield warning(AREA, "SHUTDOWN_DELAY_SECONDS", words, todo)
    for name, value, other, bound in (
        (
            "GATEWAY_TIMEOUT_SECONDS",
            settings.gateway_timeout_seconds,
            "WAIT_MAX_SECONDS",
            settings.wait_max_seconds,
        ),
        (
            "DASHBOARD_PART_SECONDS",
            settings.dashboard_part_seconds,
            "READ_TIMEOUT_SECONDS",
            settings.read_timeout_seconds,
        ),
        (
            "WAIT_MAX_SECONDS",
            settings.wait_max_seconds,
            "PAY_WAIT_SECONDS",
            settings.pay_wait_seconds,
        ),
        (
            "SAGA_TIMEOUT_SECONDS",
            settings.saga_timeout_seconds,
            "twice REBALANCE_TIMEOUT_SECONDS",
            ROOM * settings.rebalance_timeout_seconds,
        ),
    ):
        if value < bound:
            words = f"{value:g}, and {other} is {bound:g}"
            yield warning(AREA, name, words, f"Set it above {other}")


def _kept(settings: Settings) -> Iterator[Finding]:
    grace = settings.analytics_grace_seconds
    for name, size, kept in (
        ("ANALYTICS_MINUTES_KEPT_SECONDS", 60, settings.analytics_minutes_kept_seconds),
        ("ANALYTICS_HOURS_KEPT_SECONDS", 3600, settings.analytics_hours_kept_seconds),
        ("ANALYTICS_DAYS_KEPT_SECONDS", 86_400, settings.analytics_days_kept_seconds),
    ):
        if kept < grace + size:
            words = f"{kept}: windows go while they still take orders"
            yield warning(AREA, name, words, f"At least {grace + size}: the grace and their size")


def _simulated(settings: Settings) -> Iterator[Finding]:
    for name in ("payment_failure_rate", "payment_refund_failure_rate", "inventory_failure_rate"):
        rate = getattr(settings, name)
        if rate:
            words = f"{rate:g}: so many orders fail on purpose"
            yield warning(AREA, name.upper(), words, "0, but for trying things out")
    if settings.auth == "on" and settings.payment_provider == "simulated":
        words = "simulated: nobody pays"
        yield warning(AREA, "PAYMENT_PROVIDER", words, "http, and PAYMENT_URL")


def _mail(settings: Settings) -> Iterator[Finding]:
    url = urlsplit(settings.smtp_url)
    if url.scheme == "smtp" and url.password and is_loopback(url.hostname or ""):
        words = "the password goes unencrypted where the server offers no TLS"
        yield warning(AREA, "SMTP_URL", words, "smtps://, or a server that offers it")


def _kafka(settings: Settings) -> Iterator[Finding]:
    hosts = [host for host, _, _ in collect_hosts(settings.kafka_bootstrap_servers)]
    if settings.kafka_security_protocol == "SASL_PLAINTEXT" and not all(map(is_loopback, hosts)):
        plain = settings.kafka_sasl_mechanism == "PLAIN"
        words = "SASL_PLAINTEXT: " + (
            "the password goes over the network unencrypted" if plain else "records go unencrypted"
        )
        yield warning(AREA, "KAFKA_SECURITY_PROTOCOL", words, "SASL_SSL")


RULES: tuple[Rule, ...] = (_identity, _secrets, _times, _kept, _simulated, _mail, _kafka)
