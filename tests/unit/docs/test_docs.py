"""The documents say what is so: links lead somewhere, names are in the code, defaults are right."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from app.events import EVENT_TYPES
from app.parts import SERVICE_NAMES
from app.saga import SAGAS
from app.settings import Settings
from app.topics import GROUP_PREFIX, SPECS
from benchmarks.results import BEGIN, END
from infra.docs.links import EXTERNAL, LINK, anchors, prose
from tests.pages import PAGES, ROOT, blocks, page_name

ARCHITECTURE = ROOT / "docs" / "architecture.md"
OPERATIONS = ROOT / "docs" / "operations.md"
PERFORMANCE = ROOT / "docs" / "performance.md"

# `app/saga.py:Saga.trigger`
CODE_NAME = re.compile(r"`([\w./-]+\.py):(\w+(?:\.\w+)*)`")
PYTHON_FILE = re.compile(r"`((?:app|gateway|infra|tests|benchmarks)/[\w/]+\.py)")
MAKE = re.compile(r"\bmake ([a-z]+(?: (?!and\b)[a-z]+)*)")
SETTING_ROW = re.compile(r"^\| `([A-Z_]+)` \| `([^`]*)` \| .+ \|$", re.MULTILINE)
SETTING_LINE = re.compile(r"^#([A-Z_]+)=(.*)$", re.MULTILINE)


@cache
def names_in(module: Path) -> frozenset[str]:
    """The module's functions, classes and constants, and `Class.member` for each class."""
    names: set[str] = set()

    def note(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            match node:
                case ast.ClassDef():
                    names.add(prefix + node.name)
                    note(node.body, f"{prefix}{node.name}.")
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    names.add(prefix + node.name)
                case ast.Assign():
                    names.update(prefix + t.id for t in node.targets if isinstance(t, ast.Name))
                case ast.AnnAssign(target=ast.Name(id=name)):
                    names.add(prefix + name)
                case _:
                    pass

    note(ast.parse(module.read_text()).body, "")
    return frozenset(names)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_relative_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page.read_text())):
        if EXTERNAL.match(target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(target)
    assert [] == broken


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_name_of_code_is_in_its_file(page: Path) -> None:
    missing = [
        f"{path}:{name}"
        for path, name in CODE_NAME.findall(page.read_text())
        if not (ROOT / path).is_file() or name not in names_in(ROOT / path)
    ]
    assert [] == missing


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_python_file_named_is_there(page: Path) -> None:
    named = PYTHON_FILE.findall(page.read_text())
    made = {block.path for block in blocks(page) if block.new}
    assert [] == [path for path in named if not (ROOT / path).is_file() and path not in made]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_make_target_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = re.findall(r"`([^`\n]+)`|^\$ (.*)$", page.read_text(), re.MULTILINE)
    named = {
        target
        for inline, shell in commands
        for found in MAKE.findall(inline or shell.partition("#")[0])
        for target in found.split()
    }
    assert set() == named - targets


def test_the_architecture_names_every_event_topic_group_and_reason() -> None:
    text = ARCHITECTURE.read_text()
    expected = {
        *EVENT_TYPES,
        *(spec.name for spec in SPECS),
        *(GROUP_PREFIX + name for name in SERVICE_NAMES),
    }
    assert set() == {name for name in expected if f"`{name}`" not in text}


def test_the_table_of_the_saga_is_the_saga() -> None:
    text = ARCHITECTURE.read_text()
    for saga in SAGAS.values():
        for step in saga.steps:
            undone_by = ", ".join(f"`{event}`" for event in saga.undo_triggers(step.name))
            row = (
                f"| {step.name} | `{saga.trigger(step.name)}` | `{step.done}` | `{step.failed}` "
                f"| {undone_by} | `{step.undone}` |"
            )
            assert row in text


def test_the_operations_page_has_every_setting_with_its_default() -> None:
    defaults = dict(SETTING_ROW.findall(OPERATIONS.read_text()))
    assert {} == differences(defaults)


def test_the_example_environment_has_every_setting_with_its_default() -> None:
    lines = SETTING_LINE.findall((ROOT / ".env.example").read_text())
    assert {} == differences({name: text.strip("'") for name, text in lines})


def differences(written: dict[str, str]) -> dict[str, Any]:
    """What is missing, what is too much, and what has another default than the code."""
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    found: dict[str, Any] = dict.fromkeys(
        fields.keys() ^ written.keys(), "written only in one place"
    )
    for name in fields.keys() & written.keys():
        if fields[name].default_factory is not None:
            assert written[name].startswith("<"), "made anew in each process"
            continue
        kind = TypeAdapter[Any](fields[name].annotation)
        if kind.validate_python(written[name]) != fields[name].default:
            found[name] = written[name]
    return found


def test_the_figures_of_the_performance_page_have_their_place() -> None:
    lines = PERFORMANCE.read_text().splitlines()
    assert (1, 1) == (lines.count(BEGIN), lines.count(END))
    assert lines.index(BEGIN) < lines.index(END)


def test_the_figures_of_the_readme_are_those_of_the_performance_page() -> None:
    figures = re.findall(r"\| ([\d,]+) \| `make bench` \|", (ROOT / "README.md").read_text())
    measured = PERFORMANCE.read_text()
    assert figures
    assert [] == [figure for figure in figures if f"| {figure} |" not in measured]


def test_every_decision_record_is_in_the_index() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text()
    records = [record.name for record in sorted(folder.glob("0*.md"))]
    assert [] == [name for name in records if f"({name})" not in index]
    for record in records:
        number = int(record[:4])
        assert (folder / record).read_text().startswith(f"# {number}. "), record


def test_the_hooks_need_nothing_from_elsewhere() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert ["local"] == [repo["repo"] for repo in config["repos"]]
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {"system", "pygrep"} == {hook["language"] for hook in hooks}
    assert {"ruff", "ruff-format", "mypy"} <= {hook["id"] for hook in hooks}
