"""The rules of infra/prometheus, to look into and to run faster than they are meant."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from infra.local.prometheus import FOLDER, RULES

ALERTS = FOLDER / "alerts.yml"
RECORDING = FOLDER / "recording.yml"

# `5m`, but not the end of a name such as `job:http_errors:ratio_rate5m`.
DURATION = re.compile(r"\b(\d+)([smhd])\b")
MILLISECONDS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# A threshold that is a time: `max(…_seconds) > 300`.
AGE = re.compile(r"(_seconds\) > )(\d+)")

STRING = re.compile(r'"[^"]*"')
SELECTOR = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]")
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\([^()]*\)")
NAME = re.compile(r"[a-z]\w*(?:_\w+)+(?![\w(:])")
RECORDED = re.compile(r"\w+:\w+:\w+")


def groups(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(file.read_text())["groups"]
    return found


def rules(file: Path) -> list[dict[str, Any]]:
    return [rule for group in groups(file) for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules(ALERTS)}


def recorded() -> set[str]:
    """The names that are recorded."""
    return {rule["record"] for rule in rules(RECORDING)}


def hastened(folder: Path, factor: int) -> list[Path]:
    """A copy of all rules in `folder` whose every time is a `factor` shorter: windows, offsets,
    `for`, and ages that are compared with. Parts and numbers are as they were."""
    copies = []
    for file in RULES:
        found = groups(file)
        for group in found:
            for rule in group["rules"]:
                rule["expr"] = shorter(rule["expr"], factor)
                if "for" in rule:
                    rule["for"] = shorter(rule["for"], factor)
        copy = folder / file.name
        copy.write_text(json.dumps({"groups": found}, indent=1))
        copies.append(copy)
    return copies


def shorter(text: str, factor: int) -> str:
    def duration(found: re.Match[str]) -> str:
        return f"{int(found[1]) * MILLISECONDS[found[2]] // factor}ms"

    def age(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) / factor:g}"

    return AGE.sub(age, DURATION.sub(duration, text))


def metrics_of(expr: str) -> set[str]:
    """The names of the scraped metrics that an expression asks for, without histograms' endings."""
    bare = GROUPING.sub(" ", SELECTOR.sub(" ", STRING.sub(" ", RECORDED.sub(" ", expr))))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(bare)}
