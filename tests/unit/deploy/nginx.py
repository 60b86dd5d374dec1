"""The nginx.conf of docker-compose.yml, rewritten for a machine without Docker."""

import shutil
import subprocess
from pathlib import Path

from tests.unit.deploy.compose import ROOT

CONF = ROOT / "infra" / "compose" / "nginx.conf"
PROGRAM = shutil.which("nginx") or "/usr/sbin/nginx"
SERVER = "server gateway:3000 resolve max_fails=0;"


def here(folder: Path, port: int, gateway: str, *, text: str | None = None) -> Path:
    """A copy that listens at this port of loopback and writes to this folder only."""
    text = text or CONF.read_text()
    for old, new in {
        SERVER: f"server {gateway} max_fails=0;",
        "listen 8000;": f"listen 127.0.0.1:{port};",
        " /tmp/": f" {folder}/",
        "/dev/stdout": str(folder / "access.log"),
    }.items():
        assert old in text, f"nginx.conf has no {old!r} any more"
        text = text.replace(old, new)
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


def command(folder: Path, path: Path) -> tuple[str, ...]:
    return (PROGRAM, "-e", "stderr", "-p", str(folder), "-c", str(path), "-g", "daemon off;")


def tried(folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command(folder, path), "-t"], capture_output=True, text=True, check=False
    )
