"""Settings: read from the environment, and refused with a clear word where they make no sense."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from app.parts import services_of
from app.settings import Settings

# Of the default saga.
SERVICES = services_of()


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_are_consistent() -> None:
    assert SERVICES == Settings().service_names()


def test_a_field_is_read_from_the_variable_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_FAILURE_RATE", "0.25")
    monkeypatch.setenv("WORKER_PORT", "7000")

    assert (0.25, 7000) == (Settings().payment_failure_rate, Settings().worker_port)


def test_services_are_run_in_one_order_however_they_are_named() -> None:
    assert ("order", "payment") == Settings(services=" payment,order, payment").service_names()


def test_a_process_may_have_web_views_alone() -> None:
    assert () == Settings(services="web").service_names()


@pytest.mark.parametrize(
    ("services", "complaint"),
    [
        (
            "order,shipping",
            f"SERVICES='order,shipping': no service shipping; there are {', '.join(SERVICES)}",
        ),
        ("b,a", "no service a, b; there are"),
        ("", "SERVICES='': no service named"),
        (" , ,", "no service named"),
        ("ALL", "no service ALL"),
        ("all,order", "no service all"),
    ],
)
def test_an_unknown_service_is_named_and_so_are_those_that_exist(
    services: str, complaint: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(complaint)):
        Settings(services=services)


def test_work_in_flight_must_end_before_the_group_goes_on_without_this_member() -> None:
    with pytest.raises(
        ValidationError,
        match="DRAIN_TIMEOUT_SECONDS must be below REBALANCE_TIMEOUT_SECONDS",
    ):
        Settings(drain_timeout_seconds=30.0, rebalance_timeout_seconds=30.0)


def test_one_database_call_must_fit_into_the_time_work_in_flight_has() -> None:
    with pytest.raises(
        ValidationError, match="MONGO_TIMEOUT_SECONDS must be below DRAIN_TIMEOUT_SECONDS"
    ):
        Settings(mongo_timeout_seconds=15.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("payment_failure_rate", "1.1"),
        ("payment_failure_rate", "-0.1"),
        ("inventory_failure_rate", "2"),
        ("worker_port", "0"),
        ("worker_port", "65536"),
        ("worker_port", "http"),
        ("worker_name", "a b"),
        ("worker_name", ""),
        ("saga_order", "payment,shipping"),
        ("session_timeout_seconds", "5"),
        ("lock_lease_seconds", "1"),
        ("lock_wait_seconds", "0"),
        ("chunk_max_records", "0"),
        ("payment_concurrency", "0"),
        ("auth", "maybe"),
        ("log_level", "loud"),
    ],
)
def test_a_variable_out_of_bounds_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name.upper(), value)

    with pytest.raises(ValidationError, match=name):
        Settings()


SECRET, CLUSTER_TOKEN = "s" * 32, "c" * 16


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"auth_secret": "s" * 31}, "AUTH_SECRET must have at least 32 bytes"),
        ({"auth_secret": f"{SECRET},short"}, "AUTH_SECRET must have at least 32 bytes"),
        (
            {"auth": "on", "cluster_token": CLUSTER_TOKEN},
            "AUTH=on needs AUTH_SECRET, AUTH_JWKS_URL",
        ),
        (
            {"auth": "on", "auth_secret": " , ", "cluster_token": CLUSTER_TOKEN},
            "AUTH=on needs AUTH_SECRET",
        ),
        ({"auth": "on", "auth_secret": SECRET}, "AUTH=on needs a CLUSTER_TOKEN"),
        (
            {"auth": "on", "auth_secret": SECRET, "cluster_token": "c" * 15},
            "AUTH=on needs a CLUSTER_TOKEN of at least 16 characters",
        ),
        ({"cluster_token": "a\nb"}, "CLUSTER_TOKEN must be visible ASCII"),
        ({"cluster_token": "ü" * 16}, "CLUSTER_TOKEN must be visible ASCII"),
        (
            {"auth_jwks_url": "https://issuer/jwks", "auth_jwks_file": "jwks.json"},
            "AUTH_JWKS_URL and AUTH_JWKS_FILE can't both be given",
        ),
    ],
)
def test_what_can_not_keep_anybody_out_is_refused(fields: Any, complaint: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(complaint)):
        Settings(**fields)


@pytest.mark.parametrize(
    ("auth", "development", "expected"),
    [
        ("off", "auto", True),
        ("on", "auto", False),
        ("on", "on", True),
        ("off", "off", False),
    ],
)
def test_tokens_are_given_out_where_none_is_needed_or_somebody_says_so(
    auth: str, development: str, expected: bool
) -> None:
    fields: Any = {"auth": auth, "auth_development": development}
    keys = Settings(**fields, auth_secret=SECRET, cluster_token=CLUSTER_TOKEN)

    assert expected is keys.in_development


def test_no_secret_is_in_what_settings_show_of_themselves() -> None:
    shown = repr(
        Settings(auth_secret=SECRET, cluster_token=CLUSTER_TOKEN, orderflow_token="of a command")
    )

    assert [] == [each for each in (SECRET, CLUSTER_TOKEN, "of a command") if each in shown]


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().worker_port = 1  # type: ignore[misc]
