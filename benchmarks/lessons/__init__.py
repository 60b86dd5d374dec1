"""The lessons of docs/handbook/ in figures: what one instance does, and what three do."""

from collections.abc import Mapping

from benchmarks.lessons import loops, waiting
from benchmarks.results import ROOT, Result, machine, replaced

HANDBOOK = ROOT / "docs" / "handbook"
FIGURES = (
    "<!-- figures: written by `python -m benchmarks.lessons --write` -->",
    "<!-- end of figures -->",
)
# Each lesson, and the page that has its figures.
LESSONS = {
    "cpu-bound.md": loops.cpu_bound,
    "event-loop.md": loops.beside,
    "sync-and-async.md": waiting.run,
}


async def measure(*, quick: bool) -> tuple[list[Result], dict[str, str]]:
    """All lessons; their results, and of each page its figures under a heading."""
    found, sections = [], {}
    for page, lesson in LESSONS.items():
        results, sections[page] = await lesson(quick=quick)
        found += results
    return found, sections


async def run(*, quick: bool) -> tuple[list[Result], str]:
    """All lessons, as the other jobs of `make bench` have it."""
    found, sections = await measure(quick=quick)
    return found, "\n\n".join(sections.values())


def write(sections: Mapping[str, str]) -> None:
    """Write each page's figures; its own headings lead to them."""
    for page, section in sections.items():
        _, _, body = section.partition("\n\n")
        file = HANDBOOK / page
        file.write_text(replaced(file.read_text(), FIGURES, f"\n{body}\n\nMachine: {machine()}.\n"))
