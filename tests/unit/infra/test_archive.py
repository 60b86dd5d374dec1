"""The archive of Kafka's classes where it cannot be made."""

from pathlib import Path

from infra.local import archive


def test_where_no_archive_can_be_made_an_empty_one_says_so(tmp_path: Path) -> None:
    empty_kafka = tmp_path / "empty-kafka"
    empty_kafka.mkdir()
    kept = tmp_path / "kafka.jsa"

    archive.make(kept, empty_kafka, ("false",), "kafka.Kafka")

    assert b"" == kept.read_bytes()
    assert {empty_kafka, kept} == set(tmp_path.iterdir())
