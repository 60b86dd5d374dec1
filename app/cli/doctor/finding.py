"""What a check finds."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

AREAS = ("servers", "clock", "topics", "groups", "settings", "versions", "disk", "processes")
IS_IT_UP = "Is it up? `make status`"


class Level(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do where it is not well."""

    area: str
    name: str
    level: Level
    detail: str
    todo: str = ""


def ok(area: str, name: str, detail: str) -> Finding:
    """It is well."""
    return Finding(area, name, Level.OK, detail)


def warning(area: str, name: str, detail: str, todo: str) -> Finding:
    """It works, and may not always."""
    return Finding(area, name, Level.WARNING, detail, todo)


def failed(area: str, name: str, detail: str, todo: str) -> Finding:
    """It does not work."""
    return Finding(area, name, Level.FAILED, detail, todo)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host: what is there is for trying things out."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
