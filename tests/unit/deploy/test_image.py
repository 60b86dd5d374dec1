"""The Dockerfile, and what is let into its build."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.unit.deploy.compose import ROOT

DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HADOLINT, path], capture_output=True, text=True, check=False)


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    parts = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, rest in parts]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions():
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


def last(name: str) -> str:
    return [rest for one, rest in stages()[-1] if one == name][-1]


def copied() -> list[str]:
    """Files and folders of this repository that the image takes."""
    return [
        source
        for name, rest in instructions()
        if name == "COPY" and "--from=" not in rest
        for source in [word for word in rest.split() if not word.startswith("--")][:-1]
    ]


def test_hadolint_has_nothing_to_say() -> None:
    done = hadolint(DOCKERFILE)

    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_refuses_an_account_with_all_rights(tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text(DOCKERFILE.read_text().replace("USER 10001:10001", "USER root"))

    done = hadolint(wrong)

    assert done.returncode == 1
    assert "DL3002" in done.stdout


def test_the_process_runs_under_a_number_of_its_own() -> None:
    made = " ".join(rest for name, rest in stages()[-1] if name == "RUN")

    assert last("USER") == "10001:10001"
    assert "--uid 10001" in made
    assert "--gid 10001" in made


def test_it_gets_signals_itself() -> None:
    """A shell in between would keep them."""
    assert isinstance(json.loads(last("ENTRYPOINT")), list)
    assert isinstance(json.loads(last("CMD")), list)
    assert last("STOPSIGNAL") == "SIGTERM"
    assert 'exec "$@"' in (ROOT / "infra/compose/entrypoint.sh").read_text()


def test_it_is_asked_whether_it_is_ready() -> None:
    assert "/readyz" in last("HEALTHCHECK")


def test_nothing_is_installed_where_it_runs() -> None:
    made = " ".join(rest for name, rest in stages()[-1] if name == "RUN")

    assert len(stages()) == 2
    assert "pip" not in made
    assert "apt" not in made
    assert "--without-pip" in DOCKERFILE.read_text()


def test_its_python_is_one_that_the_project_supports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = next(rest for name, rest in instructions() if name == "ARG").removeprefix("PYTHON=")

    assert project["requires-python"] == ">=3.11"
    assert re.fullmatch(r"3\.1[123]\.\d+", version)
    assert {f"python:${{PYTHON}}-slim-bookworm{tail}" for tail in ("", " AS builder")} == {
        rest for name, rest in instructions() if name == "FROM"
    }


def test_the_build_gets_what_it_copies_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    let_in = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]

    assert rules[0] == "*"
    assert sorted(let_in) == sorted(path.removeprefix("./") for path in copied())
    assert [] == [path for path in let_in if not (ROOT / path).exists()]


def test_the_packages_that_run_need_nothing_that_is_left_out() -> None:
    sources = [path for part in ("app", "gateway") for path in (ROOT / part).rglob("*.py")]

    assert sources
    for path in sources:
        for package in ("infra", "tests", "benchmarks"):
            text = path.read_text()
            assert f"import {package}" not in text, path
            assert f"from {package}" not in text, path


def test_the_image_has_every_file_that_the_packages_read() -> None:
    """What is no module is in a wheel only where it is named."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packed = {
        path
        for package, patterns in project["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    read = {
        path
        for part in ("app", "gateway")
        for path in (ROOT / part).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }

    assert read
    assert set() == read - packed
