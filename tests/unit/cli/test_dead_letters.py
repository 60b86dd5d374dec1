"""Which letters a command means."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console

from app.cli.console import CommandError
from app.cli.dead_letters import Wanted, _Box, since_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("90s", datetime(2026, 1, 31, 11, 58, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("7d", datetime(2026, 1, 24, 12, tzinfo=UTC)),
        ("2026-01-30T12:00:00Z", datetime(2026, 1, 30, 12, tzinfo=UTC)),
        ("2026-01-30T12:00:00+02:00", datetime(2026, 1, 30, 10, tzinfo=UTC)),
        ("2026-01-30", datetime(2026, 1, 30, tzinfo=UTC)),
    ],
)
def test_since_is_a_time_or_how_long_ago(given: str | None, expected: datetime | None) -> None:
    assert (expected.timestamp() * 1000 if expected else 0) == since_of(given, NOW)


@pytest.mark.parametrize("given", ["yesterday", "", "2x", "999999999d"])
def test_what_is_no_time_is_said_so(given: str) -> None:
    with pytest.raises(CommandError, match="--since"):
        since_of(given, NOW)


class Terminal(StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "wanted", "count", "agreed"),
    [
        (Terminal("n\n"), Wanted(), 2, False),
        (Terminal("y\n"), Wanted(), 2, True),
        (Terminal("n\n"), Wanted(yes=True), 2, True),
        (Terminal("n\n"), Wanted(), 0, True),
        (StringIO("n\n"), Wanted(), 2, True),
    ],
    ids=["no", "yes", "not asked", "nothing to do", "no terminal"],
)
def test_somebody_at_a_terminal_is_asked_first(
    typed: StringIO, wanted: Wanted, count: int, agreed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", typed)
    console = Console(file=StringIO(), force_terminal=True)
    box = _Box(console, cast("Any", None), cast("Any", None), wanted)

    assert agreed is box._agreed("replay", count)
