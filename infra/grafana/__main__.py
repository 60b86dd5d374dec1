"""Writes the dashboards anew: `python -m infra.grafana`. A test fails where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infra.grafana.boards import DASHBOARDS
from infra.grafana.rendering import rendered

FOLDER = Path(__file__).parent / "dashboards"


def files() -> Mapping[Path, str]:
    """What the files hold."""
    return {FOLDER / f"{one.uid}.json": rendered(one) for one in DASHBOARDS}


def main() -> None:
    """Write them; a dashboard that is described no more goes."""
    FOLDER.mkdir(exist_ok=True)
    wanted = files()
    for path in set(FOLDER.glob("*.json")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text)
        print(path.relative_to(FOLDER.parents[2]))


if __name__ == "__main__":
    main()
