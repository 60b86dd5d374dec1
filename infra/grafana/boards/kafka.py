"""Records through the consumer groups."""

from infra.grafana.describing import (
    RED,
    WORKERS,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
    Threshold,
    now,
    of,
    or_none,
    quantile,
    rate,
)

SIZE = "participant_batch_records"

KAFKA = Dashboard(
    uid="orderflow-kafka",
    title="Orderflow / Kafka",
    description="What is written and read, how far each group is behind, and what is put aside.",
    rows=(
        Row(
            "Lag",
            (
                Panel(
                    "Lag by group",
                    "Records that are not finished yet. ConsumerLagGrowing fires above 1,000 that "
                    "do not become fewer.",
                    [Query("group:kafka_consumer_lag:sum", "{{group}}")],
                    unit="short",
                    thresholds=(Threshold(1000, YELLOW),),
                    width=6,
                ),
                Panel(
                    "Lag by group and topic",
                    "Where a group is behind.",
                    [Query("group_topic:kafka_consumer_lag:sum", "{{group}} {{topic}}")],
                    unit="short",
                    thresholds=(Threshold(1000, YELLOW),),
                    width=6,
                ),
                Panel(
                    "Stuck partitions",
                    "For how long partitions of a topic have been behind without moving. Held "
                    "ones, whose store is away, are among them. ConsumerStuck fires at two "
                    "minutes; the worker's log names the partitions.",
                    [
                        Query(
                            now("consumer_stuck_seconds", "group", "topic", "instance", how="max"),
                            "{{group}} {{topic}} {{instance}}",
                        )
                    ],
                    unit="s",
                    thresholds=(Threshold(120, RED),),
                    width=6,
                ),
                Panel(
                    "Partitions owned",
                    "Partitions of each group that some worker holds: all of them, or orders wait.",
                    [Query("group:kafka_partitions_owned:count", "{{group}}")],
                    unit="short",
                    width=6,
                ),
            ),
        ),
        Row(
            "Flow",
            (
                Panel(
                    "Records written, by topic",
                    "Records that brokers acknowledged to workers.",
                    [Query(rate("kafka_messages_produced_total", "topic"), "{{topic}}")],
                    unit="cps",
                ),
                Panel(
                    "Records finished, by group",
                    "Records whose batch was finished; one that is delivered again counts again.",
                    [Query(rate("kafka_messages_consumed_total", "group"), "{{group}}")],
                    unit="cps",
                ),
                Panel(
                    "Records finished, by worker",
                    "How evenly the partitions share the work.",
                    [Query(rate("kafka_messages_consumed_total", "instance"), "{{instance}}")],
                    unit="cps",
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Batches",
            (
                Panel(
                    "Batches",
                    "Batches that each group finished.",
                    [Query(rate("participant_batches_total", "group"), "{{group}}")],
                    unit="ops",
                ),
                Panel(
                    "Records of a batch",
                    "On average: batches grow with the load by themselves.",
                    [
                        Query(
                            f"sum by (group) (rate({SIZE}_sum{of(WORKERS)}[$__rate_interval])) / "
                            f"sum by (group) (rate({SIZE}_count{of(WORKERS)}[$__rate_interval]))",
                            "{{group}}",
                        )
                    ],
                    unit="short",
                ),
                Panel(
                    "Large batches",
                    "19 of 20 batches had no more records.",
                    [Query(quantile(0.95, SIZE, "group"), "{{group}}")],
                    unit="short",
                    thresholds=(Threshold(1000, YELLOW),),
                ),
            ),
        ),
        Row(
            "Faults",
            (
                Panel(
                    "Tries that failed",
                    "Tries at a batch that are made again: a store or a broker is away, a lock is "
                    "taken, or a record can't be processed.",
                    [Query(rate("participant_retries_total", "group"), "{{group}}")],
                    unit="ops",
                    thresholds=(Threshold(1, YELLOW),),
                ),
                Panel(
                    "Dead letters",
                    "Records put aside, by topic and reason. DeadLetters fires at the first.",
                    [Query(rate("dead_letters_total", "topic", "reason"), "{{topic}} {{reason}}")],
                    unit="ops",
                    thresholds=(Threshold(0.001, RED),),
                ),
                Panel(
                    "Late events",
                    "Events that came after the grace of some window they belong to.",
                    [Query(or_none(rate("late_events_total", "topic"), "topic"), "{{topic}}")],
                    unit="ops",
                    thresholds=(Threshold(1, YELLOW),),
                ),
            ),
        ),
    ),
)
