"""`faust -A app topics`: create the topics that are missing, check those that exist."""

from rich.console import Console
from rich.table import Table

from app.cli.console import UNREACHABLE, CommandError
from app.settings import Settings
from app.topic_admin import (
    Action,
    BrokerRefusedError,
    BrokerUnreachableError,
    Report,
    TopicError,
    TopicState,
    ensure_topics,
)
from app.topics import MS_PER_HOUR

# Someone waits at the terminal: shorter than a worker's patience, and still a broker's start.
BROKER_WAIT_SECONDS = 15.0


async def topics(settings: Settings, console: Console) -> int:
    """Make the topics what the settings say, and print them.

    Raises:
        CommandError: no broker answers, or a topic can't be made so.
    """
    try:
        report = await ensure_topics(settings, wait_seconds=BROKER_WAIT_SECONDS)
    except (BrokerUnreachableError, BrokerRefusedError) as error:
        raise CommandError(str(error), UNREACHABLE) from error
    except TopicError as error:
        raise CommandError(str(error)) from error
    console.print(_table(report))
    return 0


def _table(report: Report) -> Table:
    created = len(report.of(Action.CREATED))
    table = Table(title=f"{len(report.topics)} topics, {created} created", title_justify="left")
    table.add_column("topic", no_wrap=True)
    table.add_column("partitions", justify="right")
    table.add_column("replicas", justify="right")
    table.add_column("retention", justify="right")
    table.add_column("")
    for topic in report.topics:
        plan = topic.plan
        table.add_row(
            plan.name,
            str(plan.partitions),
            str(plan.replication),
            "compacted" if plan.compacted else f"{plan.retention_ms / MS_PER_HOUR:g} h",
            _words(topic),
        )
    return table


def _words(topic: TopicState) -> str:
    if topic.before is None:
        return topic.action.value
    before = "unlimited" if topic.before < 0 else f"{topic.before / MS_PER_HOUR:g} h"
    return f"retention was {before}"
