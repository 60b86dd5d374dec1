"""The help of the commands, and the page that has each of them."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from faust.cli import faust as _fausts  # noqa: F401 (its commands are there as on the command line)
from faust.cli.base import cli

from app import cli as commands
from app.cli.help import OTHERS, SECTIONS, THEIRS, UnknownCommandError, sections, unknown
from app.services import make_app
from app.settings import Settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "commands.md"
HEADING = re.compile(r"^## `([a-z-]+)`", re.MULTILINE)
# Said on the page once, for all commands.
SHARED = {"--help", "--json", "--token"}


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    commands.register(make_app("order", settings, main=False), settings)


def context() -> click.Context:
    return click.Context(cli, info_name="faust")


def ours() -> list[str]:
    """Our commands, by name."""
    found = sections(cli, context())
    return [name for title, names in found.items() if title != THEIRS for name in names]


def test_our_commands_stand_before_fausts_own() -> None:
    found = sections(cli, context())

    assert [*SECTIONS, THEIRS] == list(found)
    assert OTHERS not in found
    assert {"agents", "reset", "send", "tables"} <= set(found[THEIRS])


def test_the_help_fits_a_terminal_and_cuts_no_words() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output

    assert max(map(len, shown.splitlines())) <= 80
    assert 1 == shown.count("...")  # `COMMAND [ARGS]...`
    assert shown.index("Look:") < shown.index("Faust's own:") < shown.index("Options:")


@pytest.mark.parametrize("name", [name for names in SECTIONS.values() for name in names])
def test_each_command_of_ours_has_examples_and_exit_statuses(name: str) -> None:
    command = cli.commands[name]
    if name == "worker":
        return  # Faust's: only its place is ours

    shown = command.get_help(click.Context(command, info_name=name, parent=context()))

    assert max(map(len, shown.splitlines())) <= 80
    assert f"faust -A app {name}" in shown
    assert "Exit status:\n    0  " in shown
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_a_command_that_is_not_there_names_the_one_that_was_meant() -> None:
    assert "No such command 'verfy'. Did you mean 'verify'?" == unknown("verfy", ["verify"])
    assert "No such command 'x'." == unknown("x", ["verify"])
    with pytest.raises(UnknownCommandError, match="Did you mean 'watch'"):
        cli.resolve_command(context(), ["wach"])


def test_no_command_at_all_is_answered_with_the_help() -> None:
    result = CliRunner().invoke(cli, ["--quiet"])

    assert 2 == result.exit_code
    assert "Faust's own:" in result.output


def test_the_page_has_every_command_and_no_other() -> None:
    assert sorted({*ours()} - {"worker"}) == sorted(HEADING.findall(PAGE.read_text()))


@pytest.mark.parametrize("name", [name for names in SECTIONS.values() for name in names])
def test_the_page_has_every_option_of_a_command_and_no_other(name: str) -> None:
    if name == "worker":
        return
    parts = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (part,) = [each for each in parts if each.startswith(f"`{name}`")]
    cells = re.findall(r"^\| (`--.*?) \|", part, re.MULTILINE)
    documented = {flag for cell in cells for flag in re.findall(r"--[a-z-]+", cell)}
    options = {
        flag
        for option in cli.commands[name].params
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
    }
    assert options - SHARED == documented - SHARED
