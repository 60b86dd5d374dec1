"""The commands as a user meets them: help, exit statuses, one line for what is wrong."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.cli.command import _refused, connected, explained
from app.cli.console import UNREACHABLE, CommandError
from app.settings import Settings
from app.stores import mongo
from app.stores.errors import TransientStoreError
from app.topic_admin import BrokerUnreachableError
from infra.local.ports import free_ports

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 60


def faust(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command where no server is to be had."""
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    return subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DATA_DIR": str(tmp_path),
            "KAFKA_BOOTSTRAP_SERVERS": nowhere,
            "MONGODB_URL": f"mongodb://{nowhere}/orderflow?retryWrites=false",
            "MONGO_TIMEOUT_SECONDS": "0.5",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_the_help_names_our_commands_beside_fausts_own(tmp_path: Path) -> None:
    result = faust(tmp_path, "--help")

    assert 0 == result.returncode
    for line in (
        "replay          Send orders over HTTP, wait for them, sum up.",
        "stock           Stock the shelves; products that exist are left.",
        "topics          Create missing Kafka topics, check the others.",
        "verify          Check that stock, orders, money and events balance.",
        "worker          Start worker instance for given app.",
    ):
        assert line in result.stdout


async def until_refused(database: mongo.Database) -> float:
    """Seconds until the driver gives up."""
    began = time.monotonic()
    with pytest.raises(TransientStoreError, match="refused"):
        await mongo.ping(database)
    return time.monotonic() - began


async def test_a_database_where_nothing_listens_is_given_up_soon() -> None:
    port = free_ports(1)[0]
    settings = Settings(mongodb_url=f"mongodb://127.0.0.1:{port}/x")

    async with connected(settings) as database:
        assert await until_refused(database) < settings.mongo_timeout_seconds / 2


async def test_a_server_that_listens_gets_the_time_that_the_settings_say() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    listening = server.sockets[0].getsockname()[1]
    refusing = free_ports(1)[0]
    async with server:
        assert not await _refused(f"mongodb://127.0.0.1:{listening}/x")
        assert not await _refused(f"mongodb://127.0.0.1:{refusing},127.0.0.1:{listening}/x")
        assert await _refused(f"mongodb://127.0.0.1:{refusing},localhost:{refusing}/x")
        assert not await _refused("mongodb+srv://cluster.invalid/x")
        assert not await _refused("nonsense")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify"], "MongoDB: "),
        (["stock", "--csv", "-"], "MongoDB: "),
        (["replay", "--csv", "-"], "MongoDB: "),
        (["replay", "--csv", "-", "--no-wait", "--url", "nowhere"], "nowhere is no address"),
        (["replay", "--csv", "/nowhere.csv"], "there is no file /nowhere.csv"),
        (["replay", "--csv", "-", "--orders", "0"], "generated orders have no end"),
    ],
)
def test_what_is_not_to_be_had_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = faust(tmp_path, *arguments)

    assert UNREACHABLE == result.returncode
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {message}")
    assert ("(MONGODB_URL; is the system up? make status)" in line) == (message == "MongoDB: ")
    assert "" == result.stdout


def test_no_broker_is_told_with_the_variable_that_names_it() -> None:
    error = CommandError("no Kafka broker answers at 127.0.0.1:1")
    error.__cause__ = BrokerUnreachableError()

    expected = f"{error} (KAFKA_BOOTSTRAP_SERVERS; is the system up? make status)"
    assert expected == explained(error)
    assert "there is no file" == explained(CommandError("there is no file"))


def test_a_wrong_setting_is_a_line_and_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYMENT_FAILURE_RATE", "3")

    result = faust(tmp_path, "verify")

    expected = "error: PAYMENT_FAILURE_RATE: must be less than or equal to 1 (got '3')\n"
    assert (2, expected) == (result.returncode, result.stderr)


def test_a_wrong_option_is_explained(tmp_path: Path) -> None:
    result = faust(tmp_path, "replay", "--orders", "many")

    assert UNREACHABLE == result.returncode
    assert "'many' is not a valid integer" in result.stderr
