"""This machine: Python, packages, disk."""

import asyncio
import shutil
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from app.cli.doctor.finding import Finding, failed, ok, warning

T = TypeVar("T")

PROJECT = "orderflow"
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
# What decides most about how the system behaves.
NAMED = ("faust-streaming", "aiokafka", "rocksdict", "motor", "redis")
INSTALL = "`make setup`, or pip install -c constraints.txt ."
# The tables of a year of windows take some gigabytes, and RocksDB needs as much again to compact.
FREE_FAILED_BYTES = 1 << 30
FREE_WARNING_BYTES = 5 << 30


async def versions() -> Sequence[Finding]:
    """Python and the packages, against what the project needs."""
    python, needed = needs()
    return judge_versions(python, needed, sys.version.split()[0])


async def disk(data_dir: Path) -> Sequence[Finding]:
    """The folder of the tables: room, and whether it can be written."""
    folder = nearest(data_dir)
    try:
        free = await aside(lambda: shutil.disk_usage(folder).free)
        await aside(lambda: _write(folder))
    except OSError as error:
        todo = "DATA_DIR must be a folder that this user may write"
        return [failed("disk", "DATA_DIR", f"{data_dir}: {error.strerror or error}", todo)]
    return [judge_free(data_dir, free)]


def needs() -> tuple[str, list[Requirement]]:
    """Which Python the project needs, and which packages: by its checkout, else as installed.

    Raises:
        metadata.PackageNotFoundError: it is neither.
    """
    if PYPROJECT.is_file():
        project = tomllib.loads(PYPROJECT.read_text())["project"]
        return project["requires-python"], [Requirement(each) for each in project["dependencies"]]
    about = metadata.metadata(PROJECT)
    required = (Requirement(each) for each in metadata.requires(PROJECT) or ())
    own = [each for each in required if each.marker is None or "extra" not in str(each.marker)]
    return about["Requires-Python"] or "", own


def judge_versions(python: str, needed: Iterable[Requirement], running: str) -> list[Finding]:
    """What is missing or too old or new; else what there is, in a line."""
    found, count, there = [], 0, []
    if running not in SpecifierSet(python):
        found.append(failed("versions", "Python", f"{running}, needed is {python}", INSTALL))
    for requirement in needed:
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        name, count = requirement.name, count + 1
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            found.append(failed("versions", name, f"missing, needed is {requirement}", INSTALL))
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            words = f"{version}, needed is {requirement.specifier}"
            found.append(failed("versions", name, words, INSTALL))
    for name in NAMED:
        try:
            there.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    if not found:
        found.append(ok("versions", "Python", running))
        found.append(ok("versions", "packages", f"{count} as needed: {', '.join(there)}"))
    return found


def judge_free(folder: Path, free: int) -> Finding:
    """How much room there is."""
    name, words = "DATA_DIR", f"{free / (1 << 30):,.1f} GiB free in {folder}, writable"
    if free < FREE_FAILED_BYTES:
        return failed("disk", name, words, "Make room: a worker ends when RocksDB can't write")
    if free < FREE_WARNING_BYTES:
        return warning("disk", name, words, "Make room: RocksDB needs twice its size to compact")
    return ok("disk", name, words)


def nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that there is already."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


async def aside(function: Callable[[], T]) -> T:
    """The function's result, from a thread that nobody waits for: a disk that hangs would hold up
    the end of the command too."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return  # its time was up
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, fault = None, None
        try:
            value = function()
        except Exception as error:  # it is raised where it is awaited
            fault = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, fault)

    threading.Thread(target=run, daemon=True).start()
    return await result


def _write(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"doctor")
        file.flush()
