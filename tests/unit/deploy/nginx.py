"""The nginx files that docker-compose.yml mounts, rewritten for a machine without Docker."""

import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from infra.local.certificate import Certificate
from infra.local.nginx import HTTP2_DIRECTIVE, abilities, program
from tests.unit.deploy.compose import ROOT, compose

ETC = PurePosixPath("/etc/nginx")
SERVER = "server gateway:3000 resolve max_fails=3 fail_timeout=2s;"


def mounted(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the container finds in /etc/nginx, by name, with these variables of the shell."""
    whole = compose(given)
    mounts = whole["services"]["nginx"]["configs"]
    found = {}
    for mount in mounts:
        target = PurePosixPath(mount["target"])
        assert target.parent == ETC
        found[target.name] = (ROOT / whole["configs"][mount["source"]]["file"]).read_text()
    return found


def here(
    folder: Path,
    port: int,
    gateway: str,
    given: Mapping[str, str] | None = None,
    wrong: tuple[str, str] | None = None,
) -> Path:
    """A copy that listens at this port of loopback (with TLS: and the next) and writes to this
    folder only; with `wrong`, something replaced by a mistake."""
    replaced = {
        SERVER: f"server {gateway} {SERVER.partition(' resolve ')[2]}",
        "listen 8000;": f"listen 127.0.0.1:{port};",
        " /tmp/": f" {folder}/",
        "/dev/stdout": str(folder / "access.log"),
    }
    texts = mounted(given)
    if "ssl" in texts["listen.conf"]:
        certificate = Certificate(folder / "tls")
        certificate.ensure()
        replaced["listen 8443 ssl;"] = f"listen 127.0.0.1:{port + 1} ssl;"
        replaced["/run/secrets/nginx_certificate"] = str(certificate.path)
        replaced["/run/secrets/nginx_key"] = str(certificate.key)
        if abilities()[0] < HTTP2_DIRECTIVE:
            replaced["http2 on;"] = ""
    if wrong is not None:
        replaced[wrong[0]] = wrong[1]
    for old, new in replaced.items():
        assert any(old in text for text in texts.values()), f"nothing says {old!r} any more"
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder / "nginx.conf"


def command(folder: Path, path: Path) -> tuple[str, ...]:
    return (program(), "-e", "stderr", "-p", str(folder), "-c", str(path), "-g", "daemon off;")


def tried(folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command(folder, path), "-t"], capture_output=True, text=True, check=False
    )
