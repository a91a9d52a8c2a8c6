"""docs/command-line.md lists every command, and shows the help that each prints."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from click.testing import CliRunner

from asgi_realtime.cli.commands import main
from tests.support.paths import DOCS

PAGE = (DOCS / "command-line.md").read_text(encoding="utf-8")


def leaves(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    """The commands that do something, by their names."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield " ".join((*above, name)), command
            yield from leaves(command, *above, name)
        else:
            yield " ".join((*above, name)), command


COMMANDS = dict(leaves(main))


def help_of(name: str) -> str:
    arguments = [*name.split(), "--help"]
    return CliRunner().invoke(main, arguments, prog_name="asgi-realtime", terminal_width=80).output


def test_the_page_shows_the_help_of_every_command() -> None:
    shown = re.findall(r"^```text\n\$ asgi-realtime ([\w ]+) --help\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert dict(shown) == {name: help_of(name) for name in COMMANDS}


def test_the_table_lists_every_command_in_the_order_of_the_page() -> None:
    listed = re.findall(r"^\| \[`([\w ]+)`\]\(#", PAGE, re.MULTILINE)
    assert listed == re.findall(r"^## `([\w ]+)`$", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def test_every_command_has_an_example_of_itself_and_explains_its_options() -> None:
    for name, command in COMMANDS.items():
        assert f"  asgi-realtime {name} " in str(command.epilog), name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{name}: {parameter.name}"
