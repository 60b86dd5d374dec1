"""The worked example of the how-to is done as its page says, on a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import java
from tests.pages import ROOT, blocks, commands

pytestmark = pytest.mark.timeout(400)

PAGE = ROOT / "docs" / "how-to" / "add-a-saga-step.md"
# What a reader has after `git clone`, but for what no step of the page needs.
LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "benchmarks", "site", "images", "node_modules"
)
RUN_SECONDS = 300
TESTS = re.compile(r"make test ARGS='([^']+)'")
# Of the unit tests, which the page runs all: those that a forgotten part of a step would fail.
OF_THE_WHOLE = (
    "tests/unit/domain/test_imports.py",
    "tests/unit/test_events.py",
    "tests/unit/test_saga.py",
    "tests/unit/test_topics.py",
    "tests/unit/reference/test_documents.py",
    "tests/unit/docs/test_docs.py::test_the_architecture_names_every_event_topic_group_and_reason",
    "tests/unit/docs/test_docs.py::test_the_table_of_the_saga_is_the_saga",
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project, with the page's blocks applied in their order."""
    root = tmp_path_factory.mktemp("how-to") / "project"
    shutil.copytree(ROOT, root, ignore=LEFT_OUT, symlinks=True)
    for name in (".env.example", ".pre-commit-config.yaml"):
        shutil.copy(ROOT / name, root)
    # The built servers are the same.
    (root / ".local").mkdir()
    (root / ".local" / "java").symlink_to(java.folder().parent)
    (root / "benchmarks").symlink_to(ROOT / "benchmarks")
    for block in blocks(PAGE):
        if block.path:
            block.apply(root)
    yield root
    shutil.rmtree(root)


def run(root: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTEST_ADDOPTS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert 0 == done.returncode, done.stdout


def test_the_page_makes_a_step_of_a_few_files_and_small_edits(copy: Path) -> None:
    edits = [block for block in blocks(PAGE) if block.path]
    made = {str(block.path) for block in edits if block.new}
    changed = {str(block.path) for block in edits if not block.new}
    tests = [path for path in made if path.startswith("tests/")]
    said = "five new files, two of them tests, and a few lines in seven others"
    assert said in " ".join(PAGE.read_text().split())
    assert (5, 2, 7) == (len(made), len(tests), len(changed))
    code = [path for path in sorted(made | changed) if path.endswith(".py")]
    run(copy, "ruff", "check", *code)
    run(copy, "ruff", "format", "--check", *code)


def test_its_commands_run_the_tests_it_makes(copy: Path) -> None:
    named = [found[1] for command in commands(PAGE) if (found := TESTS.search(command))]
    assert ["tests/unit/domain/test_shipping.py", "tests/e2e/test_shipping.py"] == named[:2]
    run(copy, "infra.reference")
    run(copy, "pytest", "-q", "-p", "no:cacheprovider", named[0], *OF_THE_WHOLE)


def test_orders_go_through_the_new_step_and_its_failure_compensates_the_others(
    copy: Path,
) -> None:
    run(copy, "pytest", "-q", "-p", "no:cacheprovider", "tests/e2e/test_shipping.py")
