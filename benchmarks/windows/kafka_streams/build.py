"""Build the Kafka Streams program with Maven, once for each change of its sources."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[2] / ".local" / "java-bench"
MAIN = "orderflow.benchmarks.RevenueByCountry"
# The collector for throughput took the least time of the three on two cores; more heap gained none.
HEAP = ("-Xms512m", "-Xmx1g", "-XX:+UseParallelGC")
# 90 MB of jars over a slow line.
BUILD_SECONDS = 900


def build() -> Path:
    """The folder of `classes/` and `jars/`, built if it is not there."""
    digest = hashlib.sha256()
    for source in [HERE / "pom.xml", *sorted((HERE / "src").rglob("*.java"))]:
        digest.update(str(source.relative_to(HERE)).encode() + b"\0" + source.read_bytes())
    folder = HOME / digest.hexdigest()[:12]
    if not folder.exists():
        shutil.rmtree(HOME, ignore_errors=True)
        draft = HOME / "draft"
        done = subprocess.run(
            [
                *("mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), f"-Djava.out={draft}"),
                *("compiler:compile", "dependency:copy-dependencies"),
            ],
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            env={**os.environ, "TERM": "dumb"},
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"Maven failed:\n{done.stdout}{done.stderr}")
        draft.rename(folder)
    return folder


def command(store: str, *arguments: str) -> tuple[str, ...]:
    """The command line; `store` is `rocksdb` or `memory`."""
    folder = build()
    return (
        shutil.which("java") or "java",
        *HEAP,
        # No file in /tmp for each run; nothing here reads it.
        "-XX:-UsePerfData",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        *("-cp", f"{folder / 'classes'}:{folder / 'jars'}/*", MAIN),
        *arguments,
        store,
    )
