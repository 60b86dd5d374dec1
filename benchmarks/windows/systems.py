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
        group: its consumer group, which must be forgotten before another run of that group.
    """

    name: str
    command: Callable[[Sequence[str]], Sequence[str]]
    group: str

    @property
    def ours(self) -> bool:
        """Whether it is a worker's service, which needs nothing but the project itself."""
        return self.group == GROUP


def _python(module: str, python: Path = Path(sys.executable)) -> Callable[..., Sequence[str]]:
    program = f"benchmarks.windows.peers.{module}"
    return lambda arguments: (str(python), "-W", "ignore", "-m", program, *arguments)


def _java(store: str) -> Callable[..., Sequence[str]]:
    return lambda arguments: build.command(store, *arguments)


SYSTEMS = (
    System(OURS, _python("orderflow"), GROUP),
    System(UNMETERED, _python("orderflow_unmetered"), GROUP),
    System(OURS + "-all-windows", _python("orderflow_all"), GROUP),
    System(LIMIT, _python("aiokafka_limit"), "bench-aiokafka"),
    System("kafka-streams-memory", _java("memory"), "bench-streams-kafka-streams-memory.json"),
    System("kafka-streams", _java("rocksdb"), "bench-streams-kafka-streams.json"),
    System("faststream-batch", _python("faststream_batch", PEERS_PYTHON), "bench-faststream-True"),
    System("faststream", _python("faststream", PEERS_PYTHON), "bench-faststream-False"),
    System("quixstreams", _python("quixstreams", PEERS_PYTHON), "bench-quix"),
    System("faust", _python("faust"), "bench-faust"),
)


def named(name: str) -> System:
    """The system of this name."""
    return next(system for system in SYSTEMS if system.name == name)
