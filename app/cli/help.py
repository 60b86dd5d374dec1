"""How `faust -A app --help` reads: our commands by what they are for, Faust's own apart.

Faust keeps all commands in one click group and prints them in one list, before which come eleven
options of its own. The group is the library's, so what it prints is changed on the very object.
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import click
from faust.cli.base import cli

WORDS = """\
Orderflow: an e-commerce order saga on Kafka, and what looks after it.

\b
  make up                          servers, workers, gateway and nginx
  faust -A app doctor              is everything as it should be?
  faust -A app stock               fill the shelves
  faust -A app replay --orders 50  send orders, and see what comes of them
  faust -A app watch               the same, live
  faust -A app verify              do the books balance?

`faust -A app COMMAND --help` says more of each, with examples. Settings come from the environment:
docs/operations.md lists them."""

# A command's first sentence, which goes on in the next line where it is long.
SHORT_MOST = 120
# Of a terminal, without what click indents.
WIDTH = 78
# Of what no section names.
OTHERS = "Others"
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Look": ("doctor", "watch", "verify", "analytics", "groups"),
    "Do": ("worker", "topics", "stock", "replay", "dlq"),
}
THEIRS = "Faust's own"
FAUST = "faust."

STATUSES: Mapping[int, str] = {
    0: "done",
    1: "not so, or not all of it",
    2: "a server or a file is not to be had, or an option is wrong",
}
Example = tuple[str, str]
"""What follows `faust -A app`, and what it does."""


def described(
    *examples: Example, statuses: Mapping[int, str] | None = None
) -> Callable[[Any], Any]:
    """Give a command, as `app.command` returns it, examples and exit statuses to its `--help`.

    Args:
        statuses: those that mean something of their own here.
    """

    def describe(command: Any) -> Any:
        lines = ["\b", "Examples:", *_shown(examples), ""]
        numbers = {**STATUSES, **(statuses or {})}
        lines += ["\b", "Exit status:", *(f"  {n}  {words}" for n, words in numbers.items())]
        command._click.epilog = "\n".join(lines)  # noqa: SLF001 (Faust has no way to it)
        return command

    return describe


def _shown(examples: Iterable[Example]) -> Iterable[str]:
    """The examples, each in a line if all fit so, else in two."""
    lines = [(f"  faust -A app {line}", words) for line, words in examples]
    width = max((len(line) for line, _ in lines), default=0)
    if all(width + 2 + len(words) <= WIDTH for _, words in lines):
        return [f"{line:<{width}}  {words}" for line, words in lines]
    return [each for line, words in lines for each in (line, f"      {words}")]


def arrange(group: click.Group = cli) -> None:
    """Make the group's help ours, and its words for a command that is not there."""
    group.help = WORDS
    group.epilog = None
    resolve, invoke = type(group).resolve_command, type(group).invoke

    def format_options(ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_commands(group, ctx, formatter)
        click.Command.format_options(group, ctx, formatter)

    def resolve_command(ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if not name.startswith("-") and group.get_command(ctx, name) is None:
            raise UnknownCommandError(unknown(name, group.list_commands(ctx)), ctx)
        return resolve(group, ctx, args)

    def invoked(ctx: click.Context) -> Any:
        try:
            return invoke(group, ctx)
        except UnknownCommandError:
            raise
        except click.UsageError as error:
            if error.ctx is ctx and ctx.invoked_subcommand is None:
                raise click.exceptions.NoArgsIsHelpError(ctx) from None
            raise

    patched: Any = group
    patched.format_options = format_options
    patched.resolve_command = resolve_command
    patched.invoke = invoked


class UnknownCommandError(click.UsageError):
    """There is no such command."""


def unknown(name: str, known: Iterable[str]) -> str:
    """Words for a command that is not there, with the one that was probably meant."""
    close = get_close_matches(name, list(known), n=1)
    return f"No such command {name!r}." + (f" Did you mean {close[0]!r}?" if close else "")


def sections(group: click.Group, ctx: click.Context) -> Mapping[str, list[str]]:
    """The group's commands by section, ours first."""
    ours = [name for section in SECTIONS.values() for name in section]
    found: dict[str, list[str]] = {
        title: [name for name in names if name in group.commands]
        for title, names in SECTIONS.items()
    }
    for name in group.list_commands(ctx):
        if name not in ours:
            title = THEIRS if _is_fausts(group.commands[name]) else OTHERS
            found.setdefault(title, []).append(name)
    # Faust's own come last, whatever else there is.
    if THEIRS in found:
        found[THEIRS] = found.pop(THEIRS)
    return {title: names for title, names in found.items() if names}


def _is_fausts(command: click.Command) -> bool:
    return str(getattr(command.callback, "__module__", "")).startswith(FAUST)


def _write_commands(group: click.Group, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    found = sections(group, ctx)
    width = max(len(name) for names in found.values() for name in names)
    for title, names in found.items():
        with formatter.section(title):
            formatter.write_dl(
                [
                    (name.ljust(width), group.commands[name].get_short_help_str(SHORT_MOST))
                    for name in names
                ]
            )
