"""The domain stands on its own."""

import ast
from pathlib import Path

import pytest

DOMAIN = Path(__file__).parents[3] / "app" / "domain"
ALLOWED = ("app.domain", "app.events", "app.saga", "app.money")
PURE = {"collections", "dataclasses", "enum", "hashlib", "typing", "math", "bisect", "datetime"}
MODULES = sorted(DOMAIN.glob("*.py"))


def imported(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_domain_imports_no_store_no_stream_no_clock_and_no_network(module: Path) -> None:
    foreign = {
        name
        for name in imported(module)
        if not name.startswith(ALLOWED) and name.split(".")[0] not in PURE
    }

    assert set() == foreign


def test_the_domain_is_there_to_be_checked() -> None:
    assert {"inventory.py", "order.py", "payment.py"} <= {module.name for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_domain_asks_no_clock_and_rolls_no_dice(module: Path) -> None:
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert not called & {"now", "utcnow", "time", "monotonic", "random", "uuid4"}
