"""What a dashboard is made of, and how its queries are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

# In columns and lines of Grafana's grid, which has 24 columns.
COLUMNS = 24
LINE = 8

# The jobs of infra/prometheus: of which one a metric is asked.
WORKERS, GATEWAYS = "workers", "gateways"
HEALTH = "(/api)?/(livez|readyz|metrics)"

GREEN, YELLOW, RED = "green", "yellow", "red"
# The dashboard's own palette, where a value is neither good nor bad.
PLAIN = "text"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and how its series are named."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """From `value` on the figure is shown in `colour`."""

    value: float
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart or figure.

    Attributes:
        unit: as Grafana names it, such as `reqps`, `percentunit`, `s`, `short`.
        base: the colour below the first threshold.
        height: in lines of the grid; width in columns.
        top: the upper end of the axis, where there is one.
    """

    title: str
    description: str
    queries: Sequence[Query]
    unit: str
    kind: Literal["timeseries", "stat"] = "timeseries"
    thresholds: Sequence[Threshold] = ()
    base: str = GREEN
    width: int = 8
    height: int = LINE
    stacked: bool = False
    top: float | None = None
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels below it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page.

    Attributes:
        uid: part of its address; never changed, so that links last.
        jobs: whose instances its variable `instance` offers.
    """

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    jobs: Sequence[str] = (WORKERS,)
    span: str = "now-30m"
    tags: Sequence[str] = field(default=("orderflow",))


def of(job: str, where: str = "") -> str:
    """The selector of a metric of this job, in the chosen instances."""
    more = f",{where}" if where else ""
    return f'{{job="{job}",instance=~"$instance"{more}}}'


def rate(metric: str, *by: str, job: str = WORKERS, where: str = "") -> str:
    """How often a second a counter went up, by these labels."""
    return f"sum{_by(by)}(rate({metric}{of(job, where)}[$__rate_interval]))"


def now(metric: str, *by: str, job: str = WORKERS, where: str = "", how: str = "sum") -> str:
    """A gauge as it is, put together by `how` over all else than these labels."""
    return f"{how}{_by(by)}({metric}{of(job, where)})"


def quantile(part: float, histogram: str, *by: str, job: str = WORKERS, where: str = "") -> str:
    """A quantile of a histogram, estimated from its buckets."""
    labels = ", ".join([*by, "le"])
    buckets = f"rate({histogram}_bucket{of(job, where)}[$__rate_interval])"
    return f"histogram_quantile({part}, sum by ({labels}) ({buckets}))"


def quantiles(
    histogram: str, *parts: float, job: str = WORKERS, where: str = ""
) -> tuple[Query, ...]:
    """Several quantiles of all together."""
    return tuple(
        Query(quantile(part, histogram, job=job, where=where), f"p{part * 100:g}") for part in parts
    )


def or_none(expr: str, label: str) -> str:
    """`expr`, and while it has no series at all a zero that says so: a counter with labels has none
    before it has counted."""
    return f'{expr} or label_replace(vector(0), "{label}", "none", "", "")'


def or_zero(expr: str) -> str:
    """`expr`, or 0 while it has no series."""
    return f"{expr} or vector(0)"


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)}) " if labels else " "
