"""docker-compose.yml as Docker Compose reads it: variables filled in, merges done."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "docker-compose.yml"

# What `.env` has to hold, since AUTH=on and no secret is in the file.
DOTENV = {
    "AUTH_SECRET": "of the .env file of these tests only",
    "CLUSTER_TOKEN": "of this .env file",
}

# `$$`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}`, `${NAME?message}`.
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<rest>[^{}]*))?\})")


class MissingVariableError(Exception):
    """A variable that has to be given."""


@cache
def raw() -> dict[str, Any]:
    """The file with its merges, before variables are filled in."""
    return yaml.safe_load(FILE.read_text())


def compose(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file as it is with these variables."""
    return _filled(raw(), environment or {})


def services(environment: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Its services by name."""
    return compose(environment)["services"]


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """The variables its process is given; one without a value is not given."""
    given = service.get("environment", {})
    kept = DOTENV if "env_file" in service else {}
    return {**kept, **{name: value for name, value in given.items() if value is not None}}


def ours() -> list[str]:
    """The services that run this repository's image."""
    return [name for name, service in services().items() if "build" in service]


def workers() -> list[str]:
    """The services that are a part of the system in a process of its own."""
    return [name for name in ours() if "SERVICES" in services()[name]["environment"]]


def parts() -> list[str]:
    """The workers that are one service alone."""
    return [name for name in workers() if "scale" in services()[name].get("profiles", ())]


def jobs() -> list[str]:
    """The services that end: somebody waits for their end, and nobody starts them again."""
    return [
        name
        for name, service in services().items()
        if service["restart"] == "no" and "service_completed_successfully" in conditions_on(name)
    ]


def conditions_on(name: str) -> set[str]:
    """What other services wait for of this one."""
    return {
        service["depends_on"][name]["condition"]
        for service in services().values()
        if name in service.get("depends_on", {})
    }


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, environment) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, environment) for one in value]
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: _value(found, environment), value)
    return value


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    if found["dollar"]:
        return "$"
    how = found["how"] or ""
    value = environment.get(found["name"])
    if value is not None and (value or not how.startswith(":")):
        return value
    if how.endswith("?"):
        raise MissingVariableError(f"{found['name']}: {found['rest']}")
    return found["rest"] or ""
