"""The documents as tests read them: their fenced blocks, and the edits that a page announces.

A block is announced by the line before it: ``**New file** `path`:`` above a file's whole text,
``**In** `path`:`` above a `diff` of it. A diff has no line numbers: its kept and removed lines must
stand in the file exactly once. `@@` alone on a line parts two places of one file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
BLOCK = re.compile(
    r"(?:^\*\*(?P<what>New file|In)\*\* `(?P<path>[^`]+)`:\n\n)?"
    r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PLACES = re.compile(r"^@@\n", re.MULTILINE)
# A command goes on in the next line where this one ends so, or where a loop is not done.
GOES_ON = ("\\", "|", "&&")


def page_name(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(ROOT))


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `path` where it announces what becomes of a file, `new` if it makes it."""

    language: str
    text: str
    path: str | None = None
    new: bool = False

    def apply(self, root: Path) -> None:
        """Make the file, or change it."""
        assert self.path is not None
        file = root / self.path
        if self.new:
            assert not file.exists(), f"{self.path} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.text)
            return
        text = file.read_text()
        for place in PLACES.split(self.text):
            lines = place.splitlines()
            assert {line[:1] for line in lines} <= {" ", "+", "-", ""}, place
            old = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
            new = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
            found = text.count(old)
            assert 1 == found, f"{self.path} has this {found} times:\n{old}"
            text = text.replace(old, new)
        file.write_text(text)


def blocks(page: Path) -> Iterator[Block]:
    """The page's fenced blocks, in their order."""
    for found in BLOCK.finditer(page.read_text()):
        yield Block(found["language"], found["text"], found["path"], found["what"] == "New file")


def commands(page: Path) -> Iterator[str]:
    """The commands of the page's console blocks; a command over several lines is one."""
    for block in blocks(page):
        if block.language != "console":
            continue
        command = ""
        for line in block.text.splitlines():
            if command and unfinished(command):
                command += f"\n{line}"
                continue
            if command:
                yield command
            command = line.removeprefix("$ ") if line.startswith("$ ") else ""
        if command:
            yield command


def unfinished(command: str) -> bool:
    """Whether the shell would ask for another line."""
    words = re.findall(r"[^\s;]+", command)
    loops = sum(word == "do" for word in words) - sum(word == "done" for word in words)
    quotes = command.count("'") % 2
    return bool(loops or quotes or command.rstrip().endswith(GOES_ON))
