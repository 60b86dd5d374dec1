"""Code in the documents: Python runs, and commands name what there is."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from infra.local.java import TOOLS
from tests.pages import PAGES, ROOT, Block, blocks, commands, page_name

RUN_SECONDS = 60
# An app's own command, where it is called as one.
FAUST = re.compile(r"\bfaust -A app (?:-\S+ )*([a-z-]+)")
TOOL = re.compile(r"\bkafka-tool ([a-z-]+)|(?:^|[|$(] *)k ([a-z-]+)", re.MULTILINE)
MODULE = re.compile(r"\bpython -m ((?:infra|benchmarks|gateway)[\w.]*)")
DEMO = re.compile(r"\binfra/demo/([a-z-]+)")
CURL = re.compile(r"\bcurl [^|;]*?(?:127\.0\.0\.1|localhost):(\d+)(/[^\s'\"|)>;]*)", re.DOTALL)
# Of a request whose arguments come later.
ANY = "any method"
METHOD = re.compile(r"-X ([A-Z]+)")
# What stands for a value on a page, or is one of the shell's.
VALUE = re.compile(r"^(\$.*|[A-Z][A-Z-]*|\{\w+\}|[0-9a-f-]{36}|\d+)$")
# Who listens where, by the ports of `make up`.
GATEWAYS = frozenset({"3000", "3001", "3002", "8000", "8443"})
# Who listens beside them is not ours to describe.
FOREIGN = frozenset({"9090", "3030", "8080", "8100", "7070"})
# They are served by nginx or the process itself, and are no part of the API.
OTHERS = re.compile(r"^/($|console/|docs$|openapi\.json$|asyncapi\.json$)")


def codes() -> Iterator[tuple[Path, Block]]:
    """The Python of the pages, but for the files of a worked example, which has its own test."""
    for page in PAGES:
        for block in blocks(page):
            if block.language == "python" and block.path is None:
                yield page, block


CODES = list(codes())
COMMANDS = [(page, command) for page in PAGES for command in commands(page)]


def test_there_is_code_to_be_run() -> None:
    assert CODES
    assert COMMANDS


@pytest.mark.parametrize(("page", "block"), CODES, ids=[page_name(page) for page, _ in CODES])
def test_python_on_a_page_runs(page: Path, block: Block) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )

    assert 0 == done.returncode, f"{page_name(page)}:\n{block.text}\n{done.stderr}"


@cache
def known_commands() -> frozenset[str]:
    """The first word of each line that `faust -A app --help` indents."""
    done = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=True,
    )
    return frozenset(re.findall(r"^\s+([a-z-]+)\b", done.stdout, re.MULTILINE))


def test_every_command_of_the_app_exists() -> None:
    named = {name for _, command in COMMANDS for name in FAUST.findall(command)}
    inline = {
        name
        for page in PAGES
        for code in re.findall(r"`([^`\n]+)`", page.read_text())
        for name in FAUST.findall(code)
    }
    assert set() == (named | inline) - known_commands()


def test_every_kafka_tool_exists() -> None:
    named = {tool or short for _, command in COMMANDS for tool, short in TOOL.findall(command)}
    assert set() == named - TOOLS.keys()


def test_every_module_and_demonstration_that_is_run_is_there() -> None:
    modules = {name for _, command in COMMANDS for name in MODULE.findall(command)}
    demos = {name for _, command in COMMANDS for name in DEMO.findall(command)}
    missing = [
        name
        for name in modules
        if not any(
            (ROOT / f"{name.replace('.', '/')}{end}").is_file() for end in (".py", "/__main__.py")
        )
    ]
    assert [] == missing + [name for name in demos if not (ROOT / "infra/demo" / name).is_file()]


@cache
def paths(of: str) -> Mapping[str, Mapping[str, frozenset[str]]]:
    """What an API takes: by path and method, the names of its query's parameters."""
    document = json.loads((ROOT / f"docs/api/openapi-{of}.json").read_text())
    shared = document["components"].get("parameters", {})

    def parameters(operation: Mapping[str, Any]) -> frozenset[str]:
        listed = (
            shared[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
            for one in operation.get("parameters", [])
        )
        return frozenset(one["name"] for one in listed if one["in"] == "query")

    return {
        path: {method.upper(): parameters(operation) for method, operation in methods.items()}
        for path, methods in document["paths"].items()
    }


def fault(port: str, target: str, command: str) -> str | None:
    """What is wrong with a request on a page, if anything."""
    if port in FOREIGN:
        return None
    url = urlsplit(target)
    of = "gateway" if port in GATEWAYS else "worker"
    path = url.path.removeprefix("/api") if of == "gateway" else url.path
    if OTHERS.match(path):
        return None
    asked = path.split("/")
    method = METHOD.search(command)
    wanted = method[1] if method else "POST" if re.search(r" (-d|--data)\b", command) else "GET"
    if '"$@"' in command:
        wanted = ANY
    wrong = f"{wanted} {target}: no such path of a {of}"
    for template, methods in paths(of).items():
        parts = template.removeprefix("/api").split("/")
        if len(parts) != len(asked) or not all(map(fits, parts, asked)):
            continue
        if wanted not in (*methods, ANY):
            wrong = f"{wanted} {target}: only {', '.join(methods)}"
            continue
        names = {name for name, _ in parse_qsl(url.query, keep_blank_values=True)}
        unknown = names - frozenset().union(*(methods[m] for m in methods if wanted in (m, ANY)))
        if not unknown:
            return None
        wrong = f"{target}: no parameter {', '.join(unknown)}"
    return wrong


def fits(part: str, asked: str) -> bool:
    """Whether a segment of a request is one of the template's."""
    return part == asked or (part.startswith("{") and bool(asked)) or bool(VALUE.match(asked))


def test_every_request_is_one_that_is_served() -> None:
    faults = [
        f"{page_name(page)}: {wrong}"
        for page, command in COMMANDS
        for port, target in CURL.findall(command)
        if (wrong := fault(port, target, command))
    ]
    assert [] == faults
