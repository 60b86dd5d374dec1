"""Results: one record a job and system, the table of them, and the file others read."""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from pydantic.alias_generators import to_camel

ROOT = Path(__file__).parents[1]
LATEST = ROOT / "benchmarks" / "results" / "latest.json"
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = FIGURES = ("<!-- figures: written by `make bench` -->", "<!-- end of figures -->")


@dataclass(frozen=True, slots=True)
class Apart:
    """Where a job's results go that is run apart from the others: a file, and a part of the page
    between two marks."""

    file: Path
    figures: tuple[str, str]


GROWTH = Apart(
    LATEST.with_name("growth.json"),
    ("<!-- growth: written by `make bench GROWTH=1` -->", "<!-- end of growth -->"),
)
TAKEOVER = Apart(
    LATEST.with_name("takeover.json"),
    ("<!-- takeover: written by `make bench TAKEOVER=1` -->", "<!-- end of takeover -->"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One system's run of one job.

    Attributes:
        events: so many were processed: orders, or events.
        equal: its result is what it must be.
        changelog_bytes: what it made the broker keep, where that is of interest.
        note: why it is not equal.
        stopped: it ran out of time, and `events` is what it had done by then.
    """

    job: str
    system: str
    events: int
    seconds: float
    cpu_seconds: float
    peak_memory_mb: float
    equal: bool
    changelog_bytes: int | None = None
    note: str = ""
    stopped: bool = False

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0

    def record(self) -> dict[str, object]:
        """As `latest.json` holds it."""
        fields = {**asdict(self), "events_per_second": self.events_per_second}
        return {
            to_camel(name): round(value, 3) if isinstance(value, float) else value
            for name, value in fields.items()
            if value is not None and value != "" and name != "stopped"
        }


def machine() -> str:
    """Processor, cores, memory and versions, in a line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def acceptable(results: list[Result]) -> bool:
    """Whether every result is right; a peer that only ran out of time has shown none."""
    return all(result.equal or result.stopped for result in results)


def write(results: list[Result], sections: list[str]) -> None:
    """Write `latest.json`, and the figures' part of the performance page."""
    _write_records(LATEST, results)
    body = "\n\n".join([f"Machine: {machine()}.", table(results), *sections])
    PAGE.write_text(replaced(PAGE.read_text(), FIGURES, body))


def write_apart(apart: Apart, results: list[Result], section: str) -> None:
    """Write the file and the part of the performance page of such a job."""
    _write_records(apart.file, results)
    body = f"Machine: {machine()}.\n\n{section}"
    PAGE.write_text(replaced(PAGE.read_text(), apart.figures, body))


def _write_records(path: Path, results: list[Result]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        orjson.dumps([result.record() for result in results], option=orjson.OPT_INDENT_2)
    )


def replaced(page: str, marks: tuple[str, str], body: str) -> str:
    """The page with what is between the marks replaced.

    Raises:
        ValueError: a mark is missing, so nothing would be written.
    """
    begin, end = marks
    before, found, rest = page.partition(begin)
    _, also_found, after = rest.partition(end)
    if not found or not also_found:
        raise ValueError(f"the page has no {begin} ... {end}")
    return f"{before}{begin}\n{body}\n{end}{after}"


def table(results: list[Result]) -> str:
    """The results as Markdown."""
    rows = [
        "| job | system | events | seconds | events/s | CPU s | peak MB | changelog MB | equal |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    rows += [
        f"| {r.job} | {r.system} | {r.events:,} | {r.seconds:.1f} | {r.events_per_second:,.0f} "
        f"| {r.cpu_seconds:.1f} | {r.peak_memory_mb:,.0f} | {_megabytes(r.changelog_bytes)} "
        f"| {'yes' if r.equal else 'NO'} |"
        for r in results
    ]
    return "\n".join(rows)


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:,.1f}"
