"""`settings()` of a process: what is wrong in a line each, status 2, no trace and no secret."""

import pytest

from app.parts import services_of
from app.settings import Settings, settings

# Of the default saga.
SERVICES = services_of()


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **variables: str
) -> list[str]:
    """The lines on standard error."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        settings.__wrapped__()
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("PAYMENT_FAILURE_RATE", "3", "must be less than or equal to 1 (got '3')"),
        ("PAYMENT_FAILURE_RATE", "often", "must be a valid number (got 'often')"),
        ("WORKER_PORT", "", "must be a valid integer (got '')"),
        ("WORKER_NAME", "a b", "must match pattern '^[A-Za-z0-9_.-]{1,60}$' (got 'a b')"),
    ],
)
def test_a_wrong_setting_is_a_line_that_says_what_it_must_be_and_what_came(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    complaint: str,
) -> None:
    assert [f"error: {name}: {complaint}"] == refused(monkeypatch, capsys, **{name: value})


def test_each_wrong_setting_has_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = refused(monkeypatch, capsys, SAGA_ORDER="x", AUTH="maybe")

    assert [line.split(":")[1] for line in lines] == [" AUTH", " SAGA_ORDER"]


def test_settings_that_don_t_go_together_are_told_in_their_own_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = refused(monkeypatch, capsys, SERVICES="foo")

    known = ", ".join(SERVICES)
    expected = f"error: SERVICES='foo': no service foo; there are {known}"
    assert [expected] == lines


def test_what_a_url_holds_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = refused(monkeypatch, capsys, REDIS_TIMEOUT_SECONDS="redis://:secret@host")

    assert line == "error: REDIS_TIMEOUT_SECONDS: must be a valid number"
