"""Prometheus beside the system: what it scrapes, its settings, its start.

Its rules are those of `infra/prometheus`, its data stays in the folder that it is given, and it
listens on loopback only.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import LocalError
from infra.local.given import flag
from infra.local.java import ROOT
from infra.local.ports import LOOPBACK, Port
from infra.local.process import Program, Stage

NAME = "prometheus"
FOLDER = ROOT / "infra" / "prometheus"
TEMPLATE = FOLDER / "local.yml.template"
RULES = (FOLDER / "recording.yml", FOLDER / "alerts.yml")
# The jobs that rules and dashboards name.
WORKERS, GATEWAYS = "workers", "gateways"
# Of processes on the same machine, so that a chart moves while one looks on.
INTERVAL = "5s"
# The error budget is that of 30 days; the size is what really bounds a machine for development.
RETENTION_TIME = "31d"
RETENTION_SIZE = "512MB"
# It reads its log of the last two hours back.
START_SECONDS = 60.0
# It writes what it has in memory.
STOP_SECONDS = 20.0
# It parses a few files.
CHECK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """A process with `/metrics`: where it is, what charts call it, and which part it is."""

    address: str
    instance: str
    component: str

    @classmethod
    def of(cls, program: Program, component: str) -> Target:
        """A worker or a gateway of ours."""
        return cls(f"{LOOPBACK}:{program.ports[0].number}", program.name, component)


def wanted(environment: Mapping[str, str]) -> bool:
    """Say whether the user wants it: `PROMETHEUS=off` is for who has one, or no room for it."""
    return flag({"PROMETHEUS": environment.get("PROMETHEUS") or "on"}, "PROMETHEUS")


def program() -> str | None:
    """Return where Prometheus is; None where it isn't installed."""
    return shutil.which("prometheus")


def prometheus(
    data: Path,
    log: Path,
    port: Port,
    targets: Mapping[str, Sequence[Target]],
    *,
    rules: Sequence[Path] = RULES,
    interval: str = INTERVAL,
) -> Program:
    """Prometheus over these targets by job, all its files under `data`.

    Args:
        interval: between two scrapes, and between two evaluations of the rules.
    """
    data.mkdir(parents=True, exist_ok=True)
    written = data / "prometheus.yml"
    url = f"http://{LOOPBACK}:{port.number}"

    def text() -> str:
        return settings(targets, rules, interval)

    def prepare() -> None:
        written.write_text(text())
        require_valid(written)

    def shape() -> str:
        return repr((text(), [rule.read_text() for rule in rules]))

    return Program(
        name=NAME,
        command=(
            program() or NAME,
            f"--config.file={written}",
            f"--storage.tsdb.path={data / 'tsdb'}",
            f"--storage.tsdb.retention.time={RETENTION_TIME}",
            f"--storage.tsdb.retention.size={RETENTION_SIZE}",
            f"--web.listen-address={LOOPBACK}:{port.number}",
            "--log.level=warn",
        ),
        log=log,
        cwd=data,
        check=f"{url}/-/ready",
        address=url,
        stage=Stage.MONITORING,
        ports=(port,),
        prepare=prepare,
        settings=shape,
        start_seconds=START_SECONDS,
        stop_seconds=STOP_SECONDS,
    )


def settings(targets: Mapping[str, Sequence[Target]], rules: Iterable[Path], interval: str) -> str:
    """Render prometheus.yml."""
    jobs = [
        {
            "job_name": job,
            "static_configs": [
                {
                    "targets": [one.address],
                    "labels": {"instance": one.instance, "component": one.component},
                }
                for one in members
            ],
        }
        for job, members in targets.items()
    ]
    # JSON is YAML too.
    values = {
        "@INTERVAL@": interval,
        "@RULES@": json.dumps([str(rule) for rule in rules]),
        "@JOBS@": json.dumps(jobs, indent=2),
    }
    text = TEMPLATE.read_text()
    for place, value in values.items():
        text = text.replace(place, value)
    return text


def require_valid(written: Path) -> None:
    """Raise `LocalError` with promtool's words where Prometheus would refuse its settings."""
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    done = subprocess.run(
        (promtool, "check", "config", str(written)),
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise LocalError(f"prometheus refuses its settings:\n{done.stdout}{done.stderr}".rstrip())
