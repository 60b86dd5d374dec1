"""The systems of the job, and how each is started."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.topics import GROUP_PREFIX
from benchmarks.windows.kafka_streams import build
from benchmarks.windows.running import ROOT

# What does not go together with the project's own packages has an environment of its own.
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
OURS = "orderflow"
UNMETERED = "orderflow-unmetered"
LIMIT = "aiokafka-limit"
GROUP = f"{GROUP_PREFIX}analytics"


@dataclass(frozen=True, slots=True)
class System:
    """A system, by its name in the results.

    Attributes:
        command: takes BOOTSTRAP TOPIC EVENTS OUT.
        group: the consumer group that another system has, too, so that it must be forgotten.
    """

    name: str
    command: Callable[[Sequence[str]], Sequence[str]]
    group: str | None = None

    @property
    def ours(self) -> bool:
        """Whether it is a worker's service, which needs nothing but the project itself."""
        return self.group is not None


def _python(module: str, python: Path = Path(sys.executable)) -> Callable[..., Sequence[str]]:
    program = f"benchmarks.windows.peers.{module}"
    return lambda arguments: (str(python), "-W", "ignore", "-m", program, *arguments)


def _java(store: str) -> Callable[..., Sequence[str]]:
    return lambda arguments: build.command(store, *arguments)


SYSTEMS = (
    System(OURS, _python("orderflow"), GROUP),
    System(UNMETERED, _python("orderflow_unmetered"), GROUP),
    System(OURS + "-all-windows", _python("orderflow_all"), GROUP),
    System(LIMIT, _python("aiokafka_limit")),
    System("kafka-streams-memory", _java("memory")),
    System("kafka-streams", _java("rocksdb")),
    System("faststream-batch", _python("faststream_batch", PEERS_PYTHON)),
    System("faststream", _python("faststream", PEERS_PYTHON)),
    System("quixstreams", _python("quixstreams", PEERS_PYTHON)),
    System("faust", _python("faust")),
)
