"""The tables of the streaming analytics, in RocksDB."""

from infra.grafana.describing import (
    RED,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
    Threshold,
    now,
    or_none,
    rate,
)

CHANGELOGS = 'topic=~".+-changelog"'

TABLES = Dashboard(
    uid="orderflow-tables",
    title="Orderflow / Tables",
    description="Size, growth and recovery of the tables that windows are kept in.",
    rows=(
        Row(
            "Size",
            (
                Panel(
                    "On the disk",
                    "Size of each table's files, all workers together.",
                    [Query(now("rocksdb_bytes", "table"), "{{table}}")],
                    unit="bytes",
                    thresholds=(Threshold(5 * 2**30, YELLOW),),
                ),
                Panel(
                    "Not yet on the disk",
                    "What is in memory until RocksDB writes it out; Kafka has it already.",
                    [Query(now("rocksdb_memtable_bytes", "table"), "{{table}}")],
                    unit="bytes",
                    thresholds=(Threshold(256 * 2**20, YELLOW),),
                ),
                Panel(
                    "Keys",
                    "Windows and pages of known events, as RocksDB estimates them.",
                    [Query(now("rocksdb_keys", "table"), "{{table}}")],
                    unit="short",
                ),
                Panel(
                    "Size by worker",
                    "How evenly the partitions share the tables.",
                    [Query(now("rocksdb_bytes", "instance"), "{{instance}}")],
                    unit="bytes",
                    stacked=True,
                ),
                Panel(
                    "Written to changelogs",
                    "Changes of the tables that Kafka keeps, from which they are recovered.",
                    [
                        Query(
                            rate("kafka_messages_produced_total", "topic", where=CHANGELOGS),
                            "{{topic}}",
                        )
                    ],
                    unit="cps",
                ),
                Panel(
                    "Late events",
                    "Events that came after the grace of some window they belong to, and are in "
                    "none.",
                    [Query(or_none(rate("late_events_total", "topic"), "topic"), "{{topic}}")],
                    unit="ops",
                    thresholds=(Threshold(1, YELLOW),),
                ),
            ),
        ),
        Row(
            "Recovery",
            (
                Panel(
                    "Recovering",
                    "1 while a service of a worker reads its tables back. RecoveryRunning fires "
                    "after five minutes.",
                    [
                        Query(
                            now("worker_recovering", "instance", "service", how="max"),
                            "{{instance}} {{service}}",
                        )
                    ],
                    unit="bool_yes_no",
                    thresholds=(Threshold(1, YELLOW),),
                    top=1,
                ),
                Panel(
                    "Records read back",
                    "Changelog records a second, by table.",
                    [Query(rate("table_recovered_records_total", "table"), "{{table}}")],
                    unit="cps",
                ),
                Panel(
                    "Analytics ready",
                    "Workers whose analytics answer; the others' parts are missing from answers.",
                    [
                        Query(
                            now("service_ready", "instance", where='service="analytics"'),
                            "{{instance}}",
                        )
                    ],
                    unit="bool_yes_no",
                    base=RED,
                    thresholds=(Threshold(1, "green"),),
                    top=1,
                ),
            ),
        ),
    ),
)
