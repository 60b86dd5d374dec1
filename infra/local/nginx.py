"""nginx in front of the gateways: its settings, its start, and new settings while it runs."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from infra.local.certificate import Certificate
from infra.local.errors import LocalError, ProgramDiedError
from infra.local.health import wait_until
from infra.local.java import ROOT
from infra.local.ports import LOOPBACK, Port
from infra.local.process import Program, Stage, Started, last_words, members, set_aside

FOLDER = ROOT / "infra" / "nginx"
TEMPLATE = FOLDER / "nginx.conf.template"
# Included as they are.
SHARED = ("edge.conf", "server.conf", "kept.conf", "tls.conf")
STRATEGIES = ("round_robin", "least_conn", "ip_hash", "sticky")
# What is held costs a gateway nothing while it waits, so the number of requests is what has to be
# spread, and a gateway that comes back gets no more than its share.
STRATEGY = "round_robin"
# A gateway that refuses is asked three times within 2 s, each time at the cost of a refused
# connection, and then left alone for 2 s: no longer than another start of it takes.
PASSIVE_CHECK = "max_fails=3 fail_timeout=2s"
# `http2` as a directive of its own; before, it was a word of `listen`.
HTTP2_DIRECTIVE = (1, 25, 1)
START_SECONDS = 15.0
# It reads some files and starts one process.
RELOAD_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Tls:
    """Where nginx speaks TLS, and with which certificate."""

    port: Port
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Front:
    """What nginx is to do: where it listens, how it balances, and whether it also speaks TLS."""

    port: Port
    strategy: str = STRATEGY
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise LocalError(f"NGINX_STRATEGY={self.strategy}: give one of {', '.join(STRATEGIES)}")

    def ports(self) -> tuple[Port, ...]:
        """Its ports, that of plain HTTP first."""
        return (self.port,) if self.tls is None else (self.port, self.tls.port)


def nginx(data: Path, log: Path, front: Front, gateways: Sequence[str]) -> Program:
    """nginx in front of the gateways, each as `host:port`, all its files under `data`."""
    data.mkdir(parents=True, exist_ok=True)
    # -e: before it has read its settings nginx would write to the system's own error log.
    command = (
        *(program(), "-e", "stderr", "-p", str(data)),
        *("-c", str(data / "nginx.conf")),
    )

    def prepare() -> None:
        set_aside(data / "access.log")
        if front.tls is not None:
            front.tls.certificate.ensure()
        for name, text in settings(data, front, gateways).items():
            (data / name).write_text(text)
        test = subprocess.run((*command, "-t"), capture_output=True, text=True, check=False)
        if test.returncode != 0:
            raise LocalError(f"nginx refuses its settings:\n{test.stderr.strip()}")

    def shape() -> str:
        certificate = front.tls.certificate.fingerprint() if front.tls is not None else ""
        return repr((settings(data, front, gateways), certificate))

    url = f"http://{LOOPBACK}:{front.port.number}"
    return Program(
        name="nginx",
        command=command,
        log=log,
        cwd=data,
        # Its log's times, as those of all the others.
        environment={"TZ": "UTC"},
        check=f"{url}/readyz",
        address=url,
        stage=Stage.FRONT,
        ports=front.ports(),
        prepare=prepare,
        settings=shape,
        start_seconds=START_SECONDS,
    )


def settings(data: Path, front: Front, gateways: Sequence[str]) -> Mapping[str, str]:
    """Render every file that nginx reads, by name."""
    # A master that runs as root would hand its work to `nobody`, who can't enter our folders.
    account = pwd.getpwuid(os.geteuid()).pw_name
    user = f"user {account};" if os.geteuid() == 0 else ""
    main = TEMPLATE.read_text().replace("@USER@", user).replace("@DATA@", str(data))
    servers = [f"server {gateway} {PASSIVE_CHECK};\n" for gateway in gateways]
    return {
        "nginx.conf": main,
        **{name: (FOLDER / name).read_text() for name in SHARED},
        "strategy.conf": (FOLDER / "strategies" / f"{front.strategy}.conf").read_text(),
        "gateways.conf": "".join([*servers, "include kept.conf;\n"]),
        "listen.conf": "".join(f"{line}\n" for line in _listening(front)),
    }


def _listening(front: Front) -> list[str]:
    plain = [f"listen {LOOPBACK}:{front.port.number};"]
    if front.tls is None:
        return plain
    version, has_http2 = abilities()
    directive = has_http2 and version >= HTTP2_DIRECTIVE
    word = " http2" if has_http2 and not directive else ""
    return [
        *plain,
        f"listen {LOOPBACK}:{front.tls.port.number} ssl{word};",
        *(["http2 on;"] if directive else []),
        f'ssl_certificate "{front.tls.certificate.path.absolute()}";',
        f'ssl_certificate_key "{front.tls.certificate.key.absolute()}";',
        "include tls.conf;",
    ]


def program() -> str:
    """Return where nginx is; Debian keeps it in sbin, which a user's PATH may not have."""
    return shutil.which("nginx") or "/usr/sbin/nginx"


@cache
def abilities() -> tuple[tuple[int, ...], bool]:
    """Return nginx's version, and whether it was built with HTTP/2."""
    done = subprocess.run((program(), "-V"), capture_output=True, text=True, check=False)
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", done.stderr)
    version = tuple(int(part) for part in found.groups()) if found else ()
    return version, "--with-http_v2_module" in done.stderr


def reload(wanted: Program, started: Started) -> Started:
    """Have a running nginx take new settings, without a request lost.

    It starts new processes with them and lets the old ones finish what they have.

    Raises:
        ProgramDiedError: it goes on with the old ones; with the end of its log.
    """
    if wanted.prepare is not None:
        wanted.prepare()
    old = _workers(started)
    os.kill(started.pid, signal.SIGHUP)

    def taken() -> bool:
        now = _workers(started)
        return bool(now - old) and all(_leaving(pid) for pid in old & now)

    if not wait_until(taken, RELOAD_SECONDS):
        raise ProgramDiedError(
            f"nginx did not take its new settings.\n{last_words(Path(started.log))}"
        )
    return replace(started, shape=wanted.shape())


def _workers(started: Started) -> set[int]:
    return set(members(started)) - {started.pid}


def _leaving(pid: int) -> bool:
    """Say whether a process of nginx takes no more requests; one that has ended does not."""
    try:
        return b"shutting down" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
