"""Read what the user has given by environment."""

from __future__ import annotations

from collections.abc import Mapping

from infra.local.errors import LocalError


def flag(environment: Mapping[str, str], variable: str) -> bool:
    """Read a switch: unset, empty, 0, no, false and off mean no."""
    return environment.get(variable, "").lower() not in ("", "0", "no", "false", "off")


def count(
    environment: Mapping[str, str], variable: str, *, default: int, least: int, most: int
) -> int:
    """Read a number from `least` to `most`."""
    text = environment.get(variable) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise LocalError(f"{variable}={text}: give a number from {least} to {most}")
    return int(text)
