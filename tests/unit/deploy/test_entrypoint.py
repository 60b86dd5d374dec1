"""What the image does before the command: names that no other replica has."""

import os
import subprocess
from pathlib import Path

import pytest

from app.settings import Settings
from tests.unit.deploy.compose import ROOT

ENTRYPOINT = ROOT / "infra" / "compose" / "entrypoint.sh"


def environment(tmp_path: Path, host: str, **given: str) -> dict[str, str]:
    hostname = tmp_path / "hostname"
    hostname.write_text(f"#!/bin/sh\necho {host}\n")
    hostname.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", **given}


def names(tmp_path: Path, host: str, **given: str) -> dict[str, str]:
    done = subprocess.run(
        [ENTRYPOINT, "env"],
        env=environment(tmp_path, host, **given),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", maxsplit=1) for line in done.stdout.splitlines())


def test_two_replicas_of_one_service_have_different_names(tmp_path: Path) -> None:
    one = names(tmp_path, "3f2a91c4b7de", WORKER_NAME="payment")
    other = names(tmp_path, "90b1c3d4e5f6", WORKER_NAME="payment")

    assert one["WORKER_NAME"] == "payment-3f2a91c4b7de"
    assert other["WORKER_NAME"] == "payment-90b1c3d4e5f6"
    assert one["NODE_CANONICAL_URL"] == "http://3f2a91c4b7de:6066"
    assert one["NODE_CANONICAL_URL"] != other["NODE_CANONICAL_URL"]


def test_a_container_that_starts_again_is_called_as_before(tmp_path: Path) -> None:
    first = names(tmp_path, "3f2a91c4b7de", GATEWAY_NAME="gateway")

    assert first["GATEWAY_NAME"] == "gateway-3f2a91c4b7de"
    assert names(tmp_path, "3f2a91c4b7de", GATEWAY_NAME="gateway") == first


def test_a_container_without_a_name_has_one_all_the_same(tmp_path: Path) -> None:
    given = names(tmp_path, "box")

    assert given["WORKER_NAME"] == "worker-box"
    assert given["GATEWAY_NAME"] == "gateway-box"


def test_a_long_name_keeps_what_differs_and_the_settings_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = f"{'orderflow-notification-' * 3}7d9c5b6f4-x2x9k"

    given = names(tmp_path, pod, WORKER_NAME="notification")["WORKER_NAME"]

    assert given.endswith("7d9c5b6f4-x2x9k")
    monkeypatch.setenv("WORKER_NAME", given)
    assert Settings().worker_name == given


def test_faust_takes_the_address_that_tells_members_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import faust

    given = names(tmp_path, "3f2a91c4b7de", WORKER_PORT="6070")["NODE_CANONICAL_URL"]
    monkeypatch.setenv("NODE_CANONICAL_URL", given)

    app = faust.App("group", web_host="0.0.0.0", web_port=6070)

    assert str(app.conf.canonical_url) == "http://3f2a91c4b7de:6070"


def test_the_command_takes_the_place_of_the_script_and_keeps_its_exit_status(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [ENTRYPOINT, "sh", "-c", "echo $$; exit 78"],
        env=environment(tmp_path, "box"),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        output, _ = process.communicate(timeout=60)

    assert int(output) == process.pid
    assert process.returncode == 78
