"""The `Prefer` header (RFC 7240): how long a client would wait for an order's end."""

import re
from collections.abc import Iterable

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 (a grammar's token)
PREFERENCE = re.compile(rf'({TOKEN})(?:[ \t]*=[ \t]*({TOKEN}|"(?:[^"\\]|\\.)*"))?')
SPACE = re.compile(r"[ \t]*")
SECONDS = re.compile(r"[0-9]{1,9}")
ABOVE_ALL = 10**9
# What one header can have. That takes 20 ms to read; a hundred of them would take 2 s.
LONGEST = 8190


def wait_seconds(headers: Iterable[str], longest: float) -> float:
    """Seconds that `wait=N` asks for, at most `longest`; 0 where nothing valid is asked.

    Where a preference is named more than once, the first counts (RFC 7240, 2).
    """
    header = ", ".join(headers)
    if len(header) > LONGEST:
        return 0.0
    for name, value in preferences(header):
        if name.lower() == "wait":
            if SECONDS.fullmatch(value):
                return min(float(value), longest)
            return min(float(ABOVE_ALL), longest) if value.isascii() and value.isdigit() else 0.0
    return 0.0


def preferences(header: str) -> list[tuple[str, str]]:
    """The preferences with their values, without parameters; none of a malformed header."""
    found: list[tuple[str, str]] = []
    position = 0
    while True:
        position = _skip(header, position)
        if position == len(header):
            return found
        if header[position] == ",":  # between elements, or an empty one, which a list may have
            position += 1
            continue
        match = PREFERENCE.match(header, position)
        if match is None:
            return []
        found.append((match[1], _unquoted(match[2] or "")))
        position = _parameters(header, match.end())
        if position < 0:
            return []


def _parameters(header: str, position: int) -> int:
    """Where the preference's parameters end, at a comma or the header's end; -1 if malformed."""
    while True:
        position = _skip(header, position)
        if position == len(header) or header[position] == ",":
            return position
        if header[position] != ";":
            return -1
        position = _skip(header, position + 1)
        match = PREFERENCE.match(header, position)
        if match is not None:
            position = match.end()


def _skip(header: str, position: int) -> int:
    found = SPACE.match(header, position)
    return found.end() if found else position


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
