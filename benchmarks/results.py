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
BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Result:
    """One system's run of one job; `equal`: its result is what it must be."""

    job: str
    system: str
    events: int
    seconds: float
    cpu_seconds: float
    peak_memory_mb: float
    equal: bool

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds

    def record(self) -> dict[str, object]:
        """As `latest.json` holds it."""
        fields = {**asdict(self), "events_per_second": self.events_per_second}
        return {
            to_camel(name): round(value, 3) if isinstance(value, float) else value
            for name, value in fields.items()
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


def write(results: list[Result], sections: list[str]) -> None:
    """Write `latest.json`, and the figures' part of the performance page."""
    LATEST.parent.mkdir(parents=True, exist_ok=True)
    LATEST.write_bytes(
        orjson.dumps([result.record() for result in results], option=orjson.OPT_INDENT_2)
    )
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    body = "\n\n".join([f"Machine: {machine()}.", table(results), *sections])
    PAGE.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}")


def table(results: list[Result]) -> str:
    """The results as Markdown."""
    rows = [
        "| job | system | orders | seconds | orders/s | CPU s | peak MB | equal |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    rows += [
        f"| {r.job} | {r.system} | {r.events:,} | {r.seconds:.1f} | {r.events_per_second:,.0f} "
        f"| {r.cpu_seconds:.1f} | {r.peak_memory_mb:,.0f} | {'yes' if r.equal else 'NO'} |"
        for r in results
    ]
    return "\n".join(rows)
