"""Put in place what the servers need: programs of the system, and the Java build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.local import java
from infra.local.errors import LocalError

# Program -> Debian package.
PACKAGES = {
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "mvn": "maven",
    "redis-server": "redis-server",
    "nginx": "nginx-light",
    "kcat": "kcat",
    "xz": "xz-utils",
}
# All else works without these.
OPTIONAL = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
}
# What the tests of the console are run in, and letters for it to draw.
BROWSER = {"chromium": "chromium", "fc-list": "fontconfig"}
BROWSER_FONTS = "fonts-liberation"
# Kafka 4.1's brokers, and our own classes.
OLDEST_JAVA = 17
# 350 MB of packages over a slow line.
APT_SECONDS = 1800
# Somebody else's installation may take as long.
LOCK_SECONDS = 600
COMPOSE = java.ROOT / "docker-compose.yml"
# Debian's package scripts ask this file before they start a service; 101 means "don't".
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Orderflow's installer, while it runs: start no service.\nexit 101\n"

Say = Callable[[str], None]


def install(say: Say = print, *, optional: bool = True) -> None:
    """Install what is missing; raise `LocalError` with the command to type where we may not.

    What is `OPTIONAL` stops nothing: where it can't be had, that is said.
    """
    absent, wished = missing(), missing(OPTIONAL) if optional else []
    if absent or wished:
        if os.geteuid() == 0 and shutil.which("apt-get") is not None:
            say(f"Installing {' '.join(_packages([*absent, *wished]))} ...")
            _provide(absent, wished)
        elif absent:
            raise LocalError(advice([*absent, *wished]))
        if absent := missing():
            raise LocalError(f"still missing after the installation: {', '.join(absent)}")
        if optional and (wished := missing(OPTIONAL)):
            say(f"Going on without {', '.join(wished)}. {advice(wished)}")
    _require_java()
    if not java.is_built():
        say("Building the Java servers (Kafka and the MongoDB wire server) ...")
    java.build()


def install_browser(say: Say = print) -> None:
    """Install Chromium, if it is missing; raise `LocalError` as `install` does."""
    if not (absent := missing(BROWSER)):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LocalError(advice(absent))
    packages = [*_packages(absent), BROWSER_FONTS]
    say(f"Installing {' '.join(packages)} ...")
    _apt(packages)
    if absent := missing(BROWSER):
        raise LocalError(f"still missing after the installation: {', '.join(absent)}")


def missing(
    programs: Mapping[str, str] = PACKAGES, which: Callable[[str], str | None] | None = None
) -> list[str]:
    """Return the programs that are not there."""
    find = which or _which
    return [program for program in programs if find(program) is None]


def advice(absent: list[str]) -> str:
    """Say what is missing and what to type."""
    packages = " ".join(_packages(absent))
    containers = ", or use docker-compose.yml" if COMPOSE.exists() else ""
    return (
        f"missing: {', '.join(absent)}. On Debian or Ubuntu:\n"
        f"  sudo apt-get install -y {packages}\n"
        f"Elsewhere install them by the system's own means (Java {OLDEST_JAVA} or newer)"
        f"{containers}."
    )


def _packages(programs: Iterable[str]) -> list[str]:
    return sorted({{**PACKAGES, **OPTIONAL, **BROWSER}[program] for program in programs})


def _provide(absent: Sequence[str], wished: Sequence[str]) -> None:
    """Install all in one go; where that fails, what is needed alone."""
    try:
        _apt(_packages([*absent, *wished]))
    except LocalError:
        if not wished:
            raise
        if absent:
            _apt(_packages(absent))


def _which(program: str) -> str | None:
    # Debian keeps servers in sbin, which a user's PATH may not have.
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")


def _apt(packages: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        for command in (
            ("apt-get", "update", "-qq"),
            (
                *("apt-get", "install", "-y", "-qq", "--no-install-recommends"),
                # Another installation may be under way, as on a machine that was just started.
                *("-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}", *packages),
            ),
        ):
            try:
                done = subprocess.run(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=APT_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise LocalError(f"`{' '.join(command)}` took over {APT_SECONDS} s") from None
            # A mirror that is away matters only if a package is then not found.
            if done.returncode != 0 and command[1] != "update":
                output = (done.stdout + done.stderr)[-3000:]
                raise LocalError(f"`{' '.join(command)}` failed:\n{output}")


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting their services on the default ports."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _require_java() -> None:
    done = subprocess.run(
        ("java", "-version"), capture_output=True, text=True, timeout=60, check=False
    )
    version = java_version(done.stderr + done.stdout)
    if version < OLDEST_JAVA:
        raise LocalError(
            f"Java {OLDEST_JAVA} or newer is needed; `java -version` says {version or 'nothing'}. "
            "Install default-jdk-headless and put it first in PATH."
        )


def java_version(text: str) -> int:
    """Read the major version out of `java -version`; 0 where there is none."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found[1]) if found else 0
