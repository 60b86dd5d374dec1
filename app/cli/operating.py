"""The commands `topics`, `groups` and `dlq`: straight to Kafka and MongoDB, no worker needed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import faust
import orjson
from faust.cli import argument, option
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.agents.registry import heard
from app.cli import dead_letters
from app.cli.command import OrderflowCommand, connected
from app.cli.console import UNREACHABLE, CommandError
from app.cli.dead_letters import Wanted
from app.cli.help import described
from app.cli.topics import topics as check_topics
from app.operating import catalogue, documents, messages
from app.operating import groups as group_list
from app.operating.broker import Broker, BrokerAwayError
from app.operating.catalogue import Topic, UnknownTopicError
from app.operating.groups import Group
from app.operating.handled import State
from app.operating.messages import Message, UnknownPartitionError
from app.settings import Settings

LIMIT_DEFAULT = 20
LIMIT_MOST = 200
# Where the longest name and all that is said of a topic fit in a line.
WIDE = 120
json_option = option("--json", "as_json", is_flag=True, default=False, help="For programs.")
limit_option = option(
    "--limit",
    type=click.IntRange(min=1, max=LIMIT_MOST),
    default=LIMIT_DEFAULT,
    metavar="N",
    help="How many at most.",
)


def register(app: faust.App, settings: Settings) -> None:
    """Add the commands to the app."""

    @described(
        ("topics", "make those that are missing, set the retention of the others"),
        ("topics list", "what each holds"),
        ("topics show order.events.v1 --limit 5", "its newest messages"),
        statuses={1: "a topic is not as it must be, or there is no such topic"},
    )
    @app.command(
        argument("action", type=click.Choice(("check", "list", "show")), default="check"),
        argument("topic", required=False),
        option(
            "--partition",
            type=click.IntRange(min=0),
            default=None,
            show_default=False,
            help="Show messages of this one. Default: of all.",
        ),
        option(
            "--offset",
            type=click.IntRange(min=0),
            default=None,
            show_default=False,
            help="Show messages from here on. Default: the newest.",
        ),
        limit_option,
        json_option,
        base=OrderflowCommand,
    )
    async def topics(self: Any, action: str, topic: str | None, as_json: bool, **page: Any) -> int:
        """Create missing Kafka topics, check the others.

        `list` says what each holds, `show TOPIC` shows its messages; neither changes anything.
        """
        if action == "check":
            return await check_topics(settings, self.console)
        if action == "list":
            return await list_topics(settings, self.console, as_json=as_json or self.json)
        if topic is None:
            raise CommandError("say which: faust -A app topics show order.events.v1", UNREACHABLE)
        return await show_topic(settings, self.console, topic, as_json=as_json or self.json, **page)

    @described(
        ("groups", "each group, its members and its lag"),
        ("groups orders-payment", "its partitions, too, and who has them"),
    )
    @app.command(argument("group", required=False), json_option, base=OrderflowCommand)
    async def groups(self: Any, group: str | None, as_json: bool) -> int:
        """Show the consumer groups and how far behind each is; GROUP: its partitions, too."""
        return await show_groups(settings, self.console, group, as_json=as_json or self.json)

    @described(
        ("dlq", "what nobody has seen to yet"),
        ("dlq show order.events.v1.dlq-2-15", "one letter, with all that it says"),
        ("dlq replay order.events.v1 --all", "send all of a topic again"),
        ("dlq discard order.events.v1 --since 2h --why 'sent by hand'", "put them aside"),
        statuses={1: "not all of them could be sent or put aside"},
    )
    @app.command(
        argument("action", type=click.Choice(dead_letters.ACTIONS), default="list"),
        argument("topic", metavar="[TOPIC|ID]", required=False),
        option("--id", "ids", multiple=True, metavar="ID", help="This letter. May be repeated."),
        option("--all", "everything", is_flag=True, default=False, help="All open letters."),
        option("--reason", default=None, show_default=False, help="Those with this reason."),
        option("--group", default=None, show_default=False, help="Those this group gave up."),
        option(
            "--since",
            default=None,
            show_default=False,
            metavar="TIME|AGO",
            help="Those from then on: 2026-01-31T12:00:00Z, or 90s, 30m, 2h, 7d ago.",
        ),
        option(
            "--state",
            type=click.Choice((*(state.value for state in State), "all")),
            default=State.OPEN.value,
            help="List those that stand so.",
        ),
        option("--why", default=None, show_default=False, help="Noted with what is discarded."),
        option("--yes", is_flag=True, default=False, help="Don't ask."),
        limit_option,
        json_option,
        base=OrderflowCommand,
    )
    async def dlq(self: Any, action: str, as_json: bool, **wanted: Any) -> int:
        """List, show, replay or discard dead letters.

        `replay` sends the original records to their topics again; what was processed already stays
        as it is. Which: --id, --reason, --group, --since, or --all.
        """
        async with connected(settings) as database:
            return await dead_letters.dlq(
                settings,
                database,
                self.console,
                action,
                Wanted(**wanted, as_json=as_json or self.json),
            )


async def list_topics(settings: Settings, console: Console, *, as_json: bool = False) -> int:
    """Print what each topic holds.

    Raises:
        CommandError: no broker answers.
    """
    with asked():
        found = await catalogue.topics(Broker(settings), settings)
    if as_json:
        print_json(console, {"topics": [documents.topic_document(topic) for topic in found]})
    else:
        console.print(_topics(found, wide=console.width >= WIDE))
    return 0


async def show_topic(
    settings: Settings,
    console: Console,
    topic: str,
    *,
    partition: int | None = None,
    offset: int | None = None,
    limit: int = LIMIT_DEFAULT,
    as_json: bool = False,
) -> int:
    """Print messages of a topic.

    Raises:
        CommandError: no broker answers, or there is no such topic or partition.
    """
    if topic not in catalogue.registry(settings):
        raise CommandError(f"there is no topic {topic}")
    with asked():
        page = await messages.messages(
            Broker(settings),
            topic,
            partition=partition,
            offset=offset,
            limit=limit,
        )
    if as_json:
        print_json(console, documents.messages_document(topic, page))
        return 0
    for message in page.messages:
        print_message(console, message)
    console.print(f"{len(page.messages)} messages of {topic}", highlight=False)
    return 0


async def show_groups(
    settings: Settings, console: Console, name: str | None, *, as_json: bool = False
) -> int:
    """Print the groups, or one and its partitions.

    Raises:
        CommandError: no broker answers, or there is no such group.
    """
    known = heard(settings)
    if name is not None and name not in known:
        raise CommandError(f"there is no group {name}, there are {', '.join(known)}")
    with asked():
        found = await group_list.groups(
            Broker(settings),
            known if name is None else {name: known[name]},
        )
    if as_json:
        print_json(console, {"groups": [documents.group_document(group) for group in found]})
        return 0
    console.print(_groups(found))
    if name is not None:
        console.print(_partitions(found[0]))
    return 0


@contextmanager
def asked() -> Iterator[None]:
    """Turns what an operator's question may meet into errors of one line."""
    try:
        yield
    except BrokerAwayError as error:
        raise CommandError(str(error), UNREACHABLE) from error
    except UnknownTopicError as error:
        raise CommandError(f"there is no topic {error}") from error
    except UnknownPartitionError as error:
        raise CommandError(str(error)) from error


def print_json(console: Console, document: Any) -> None:
    """Print a document for programs."""
    console.out(orjson.dumps(document).decode(), highlight=False)


def print_message(console: Console, message: Message) -> None:
    """Print a message: where it is, what it is, and its value."""
    document = documents.message_document(message)
    console.print(
        f"[bold]{message.partition}:{message.offset}[/bold] {document['at'] or ''} "
        f"[cyan]{escape(message.type or '')}[/cyan] {escape(document['key'] or '')}",
        highlight=False,
        soft_wrap=True,
    )
    for header, content in document["headers"].items():
        console.print(
            f"  [dim]{escape(header)}: {escape(content)}[/dim]", highlight=False, soft_wrap=True
        )
    console.out("  " + words_of(document["value"], truncated=message.truncated), highlight=False)


def words_of(value: Any, *, truncated: bool) -> str:
    """A value as a line of text."""
    if isinstance(value, dict) and "text" in value:
        line = str(value["text"])
    else:
        line = orjson.dumps(value).decode()
    return line + (" …" if truncated else "")


def _topics(found: Sequence[Topic], *, wide: bool) -> Table:
    table = Table(title=f"{len(found)} topics", title_justify="left")
    table.add_column("topic", overflow="fold")
    for column in ("kind", *(("owner", "key") if wide else ())):
        table.add_column(column, no_wrap=True)
    for column in ("partitions", "messages", "kept"):
        table.add_column(column, justify="right", no_wrap=True)
    for topic in found:
        about = topic.about
        table.add_row(
            about.name,
            about.kind.value,
            *((about.owner, about.key) if wide else ()),
            str(len(topic.partitions)),
            f"{topic.messages:,}",
            "the newest" if about.retention_hours is None else f"{about.retention_hours} h",
        )
    return table


def _groups(found: Sequence[Group]) -> Table:
    table = Table(title=f"{len(found)} consumer groups", title_justify="left")
    for column in ("group", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("members", "partitions", "lag"):
        table.add_column(column, justify="right")
    for group in found:
        table.add_row(
            group.name,
            group.state,
            str(len(group.members)),
            str(len(group.partitions)),
            f"{group.lag:,}",
        )
    return table


def _partitions(group: Group) -> Table:
    owners = {tuple(tp): member.client_id for member in group.members for tp in member.partitions}
    table = Table(title=f"Partitions of {group.name}", title_justify="left")
    table.add_column("topic", no_wrap=True)
    for column in ("partition", "committed", "end", "lag"):
        table.add_column(column, justify="right")
    table.add_column("member")
    for each in group.partitions:
        table.add_row(
            each.topic,
            str(each.partition),
            "-" if each.committed is None else f"{each.committed:,}",
            f"{each.end:,}",
            f"{each.lag:,}",
            escape(owners.get((each.topic, each.partition), "-")),
        )
    return table
