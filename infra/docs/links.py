"""Links of the documents: where they lead in the repository, and where on the site.

A page links to files of the repository by relative paths, so that its links work on any code host
and in an editor. On the site, `docs/` is the top; what lies outside of it has a page under
`source/`, made of the file itself, so that the site needs no code host.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = "docs"
SOURCE = "source"
# Pages of the repository's root, and what they are on the site.
AT_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
}
INDEXES = ("README.md", "index.md")

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:")
FENCE = re.compile(r"^(?P<fence>`{3,}).*?^(?P=fence)$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def slug(heading: str, separator: str = "-") -> str:
    """The anchor that code hosts make of a heading; the site is told to make the same."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def prose(text: str) -> str:
    """The page without its code blocks, where brackets mean something else."""
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors of the page's headings."""
    return {slug(heading) for heading in HEADING.findall(prose(text))}


def targets(text: str) -> Iterator[str]:
    """Where the page's links lead that stay in the repository."""
    return (found for found in LINK.findall(prose(text)) if not EXTERNAL.match(found))


def in_repository(page: str, target: str) -> str:
    """The path in the repository that a page's link leads to, without its anchor."""
    path = target.partition("#")[0]
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page


def on_site(path: str) -> str:
    """The site's page or file for a path of the repository."""
    if path in AT_ROOT:
        return AT_ROOT[path]
    if path == DOCS or path.startswith(f"{DOCS}/"):
        within = path.removeprefix(DOCS).removeprefix("/")
        folder = ROOT / path
        if not folder.is_dir():
            return within
        index = next((name for name in INDEXES if (folder / name).is_file()), INDEXES[0])
        return posixpath.join(within, index)
    return f"{SOURCE}/{path}.md"


def rewritten(text: str, page: str) -> str:
    """The page's text with its links as the site has them.

    Args:
        page: its path in the repository.
    """
    here = posixpath.dirname(on_site(page))

    def lead(found: re.Match[str]) -> str:
        target = found[1]
        if EXTERNAL.match(target) or target.startswith("#"):
            return found[0]
        there = posixpath.relpath(on_site(in_repository(page, target)), here or ".")
        anchor = target.partition("#")[2]
        if there.startswith("index.md") and page != "README.md":
            anchor = ""
        whole = there + (f"#{anchor}" if anchor else "")
        return found[0][: found.start(1) - found.start()] + whole + ")"

    pieces, at = [], 0
    for fence in FENCE.finditer(text):
        pieces += [LINK.sub(lead, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*pieces, LINK.sub(lead, text[at:])])
