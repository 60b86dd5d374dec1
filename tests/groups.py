"""What Kafka's own tool says of consumer groups."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.shop import ROOT, Shop

TOOL_SECONDS = 60


def description(shop: Shop, group: str) -> list[dict[str, str]]:
    """What Kafka's own tool says of a group: a row a partition, without the changelogs of its
    tables, of which nothing is committed."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "infra.local", "kafka-tool", "consumer-groups"),
            *("--bootstrap-server", shop.servers.kafka, "--describe", "--group", group),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=TOOL_SECONDS,
        check=True,
    )
    header, *rows = (line.split() for line in done.stdout.splitlines() if line.strip())
    told = [dict(zip(header, row, strict=True)) for row in rows]
    return [row for row in told if not row["TOPIC"].endswith("-changelog")]


def shares(rows: Iterable[dict[str, str]]) -> dict[str, Counter[str]]:
    """Of each topic, how many partitions each process has."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        found[row["TOPIC"]][row["CLIENT-ID"]] += 1
    return found
