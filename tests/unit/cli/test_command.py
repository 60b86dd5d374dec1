"""The commands as a user meets them: help, exit statuses, one line for what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.console import UNREACHABLE
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
        "verify          Check that stock, orders and money balance.",
        "worker          Start worker instance for given app.",
    ):
        assert line in result.stdout


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
    assert "" == result.stdout


def test_a_wrong_option_is_explained(tmp_path: Path) -> None:
    result = faust(tmp_path, "replay", "--orders", "many")

    assert UNREACHABLE == result.returncode
    assert "'many' is not a valid integer" in result.stderr
