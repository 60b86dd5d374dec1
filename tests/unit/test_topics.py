"""The registry of topics."""

from app.events import EVENT_TYPES
from app.settings import Settings
from app.topics import BY_EVENT, SPECS, TABLES, plans


def test_every_event_has_exactly_one_topic() -> None:
    named = [event.__name__ for spec in SPECS for event in spec.events]

    assert sorted(EVENT_TYPES) == sorted(named)
    assert set(EVENT_TYPES) == set(BY_EVENT)


def test_a_topic_is_registered_once_so_it_has_one_writer() -> None:
    assert len(SPECS) == len({spec.name for spec in SPECS})
    assert all(spec.owner for spec in SPECS)


def test_every_topic_has_dead_letters_with_as_many_partitions() -> None:
    made = plans(Settings(topic_partitions=7, topic_replication=3))

    assert {7} == {plan.partitions for plan in made}
    assert {3} == {plan.replication for plan in made}
    names = [plan.name for plan in made if not plan.compacted]
    assert sorted(names) == sorted(n for s in SPECS for n in (s.name, f"{s.name}.dlq"))


def test_every_table_has_a_changelog_that_keeps_the_newest_of_each_key() -> None:
    changelogs = {plan.name: plan for plan in plans(Settings()) if plan.compacted}

    assert {f"orders-{t.service}-{t.name}-changelog" for t in TABLES} == set(changelogs)
    for plan in changelogs.values():
        assert "compact" == plan.config["cleanup.policy"]
        assert "-1" == plan.config["retention.ms"]


def test_what_was_acknowledged_outlives_a_broker_where_there_are_three() -> None:
    for replicas, in_sync in {1: None, 2: None, 3: "2", 5: "2"}.items():
        for plan in plans(Settings(topic_replication=replicas)):
            assert in_sync == plan.made_with.get("min.insync.replicas")
            assert plan.config.items() <= plan.made_with.items()


def test_topics_are_kept_for_the_hours_that_the_settings_say() -> None:
    made = {
        plan.name: plan.retention_ms
        for plan in plans(Settings(topic_retention_hours=1, dead_letter_retention_hours=2))
    }

    assert 3_600_000 == made["order.events.v1"]
    assert 7_200_000 == made["order.events.v1.dlq"]
