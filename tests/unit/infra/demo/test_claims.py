"""Claims: what is printed, and the exit status that follows."""

import io

import pytest
from rich.console import Console

from infra.demo.claims import Claims, DemoError, NotUpError, Status, explained
from infra.local.errors import LocalError


def claims() -> Claims:
    return Claims("test-of-tests", Console(file=io.StringIO(), width=120))


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_claims_are_numbered_and_shown_with_their_evidence() -> None:
    made = claims()
    assert made.claim("units add up", holds=True, evidence="7 of 7 [1, 2]")
    assert not made.equal("nothing is left", 0, 3)
    lines = printed(made.console).splitlines()
    assert ["✔ 1. units add up", "7 of 7 [1, 2]"] == [line.strip() for line in lines[:2]]
    assert ["✘ 2. nothing is left", "3, expected 0"] == [line.strip() for line in lines[2:]]


def test_one_false_claim_among_true_ones_fails_the_whole() -> None:
    made = claims()
    made.claim("true", holds=True, evidence="")
    assert Status.HOLDS is made.status
    made.claim("false", holds=False, evidence="")
    made.claim("true again", holds=True, evidence="")
    assert Status.FAILS is made.sum_up()
    assert "2 of 3 claims hold" in printed(made.console)


def test_who_claims_nothing_proves_nothing() -> None:
    assert Status.FAILS is claims().status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotUpError("run `make up` first"), Status.NOT_UP),
        (DemoError("it answered 500"), Status.FAILS),
        (LocalError("worker-9 ended"), Status.FAILS),
        (ConnectionResetError("gone"), Status.FAILS),
        (KeyboardInterrupt(), Status.INTERRUPTED),
    ],
)
def test_what_ends_it_early_is_a_line_and_a_status(error: BaseException, status: Status) -> None:
    console = Console(file=io.StringIO(), width=120)
    with explained(console) as early:
        raise error
    assert [status] == early
    assert (str(error) or "Interrupted") in printed(console)
