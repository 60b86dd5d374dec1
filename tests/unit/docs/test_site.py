"""The site: every page is in its navigation, links lead on, and nothing comes from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.docs.links import on_site, rewritten, slug
from tests.pages import ROOT

DOCS = ROOT / "docs"
BUILD_SECONDS = 120
# What a browser would fetch by itself when it shows a page: not a link that is clicked.
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=[\"']?([^\"'\s>]+)"
    r"|<link\b[^>]*?\bhref=[\"']?([^\"'\s>]+)"
)
STYLED = re.compile(r"url\([\"']?([^\"')]+)")
# `rel=canonical` and the like name the site itself, which has no address.
ELSEWHERE = re.compile(r"^(https?:)?//")


class Loader(yaml.SafeLoader):
    """Reads MkDocs' settings; what names Python stays a text."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def pages_of(nav: Any) -> list[str]:
    match nav:
        case str():
            return [nav]
        case dict():
            return [page for part in nav.values() for page in pages_of(part)]
        case _:
            return [page for part in nav for page in pages_of(part)]


def test_the_navigation_has_every_page_once() -> None:
    config = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    made = ("project/", "api/gateway.html", "api/worker.html")
    pages = [page for page in pages_of(config["nav"]) if not page.startswith(made)]

    assert sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")) == sorted(pages)


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("docs/architecture.md", "[a](../app/saga.py)", "[a](source/app/saga.py.md)"),
        ("docs/handbook/cqrs.md", "[a](../../app/)", "[a](../source/app.md)"),
        ("docs/handbook/cqrs.md", "[a](../architecture.md#b)", "[a](../architecture.md#b)"),
        ("docs/operations.md", "[a](../README.md)", "[a](index.md)"),
        ("docs/performance.md", "[a](handbook/)", "[a](handbook/README.md)"),
        ("docs/index.md", "[a](../CONTRIBUTING.md)", "[a](project/contributing.md)"),
        ("CONTRIBUTING.md", "[a](docs/adr/README.md)", "[a](../adr/README.md)"),
        ("CONTRIBUTING.md", "[a](app/saga.py)", "[a](../source/app/saga.py.md)"),
        ("docs/index.md", "![a](images/saga.svg)", "![a](images/saga.svg)"),
        ("docs/index.md", "[a](#b) [c](https://d)", "[a](#b) [c](https://d)"),
        ("docs/index.md", "```text\n[a](../app/)\n```\n", "```text\n[a](../app/)\n```\n"),
    ],
)
def test_a_link_leads_to_what_the_site_has(page: str, text: str, expected: str) -> None:
    assert expected == rewritten(text, page)


def test_what_lies_outside_of_the_documents_has_a_page_of_its_own() -> None:
    assert "source/Makefile.md" == on_site("Makefile")


def test_anchors_are_those_of_code_hosts() -> None:
    assert "what-must-not-wait--and-why" == slug("What must not wait & and why")


def test_the_site_builds_without_a_warning_and_fetches_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        # Without it the theme prints news of itself.
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert "WARNING" not in done.stderr

    pages = list(tmp_path.rglob("*.html"))
    assert tmp_path / "index.html" in pages
    fetched = {
        address for page in pages for pair in FETCHED.findall(page.read_text()) for address in pair
    }
    styles = (style.read_text() for style in tmp_path.rglob("*.css"))
    fetched.update(address for style in styles for address in STYLED.findall(style))
    assert set() == {address for address in fetched if ELSEWHERE.match(address)}
