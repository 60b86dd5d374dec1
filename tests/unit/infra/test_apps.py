"""What the launcher makes of the application's own commands."""

import pytest

from infra.local.apps import check_settings, topics_done
from infra.local.errors import LocalError


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("6 topics, 6 created\n│ a │ created │", "6 made"),
        ("6 topics, 0 created\n│ a │ unchanged │", "6 unchanged"),
        ("6 topics, 2 created\n│ a │ retention was 168 h │", "2 made, 1 changed, 3 unchanged"),
        ("something else", "checked"),
    ],
)
def test_of_the_topics_it_says_what_was_done(printed: str, expected: str) -> None:
    assert expected == topics_done(printed)


def test_settings_that_processes_would_refuse_are_refused_before_with_a_line_each() -> None:
    with pytest.raises(LocalError) as caught:
        check_settings({"PAYMENT_FAILURE_RATE": "3", "WORKER_NAME": "a b"})

    lines = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in lines] == [" WORKER_NAME", " PAYMENT_FAILURE_RATE"]


def test_settings_that_are_right_pass() -> None:
    check_settings({"PAYMENT_FAILURE_RATE": "1"})
