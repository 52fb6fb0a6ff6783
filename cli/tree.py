"""The tree of commands, of which a run imports what it needs: a command's start is most of the time that it takes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import click

from cli.command import take_global_options, take_hidden_options

if TYPE_CHECKING:
    from collections.abc import Mapping


class CommandTree(click.Group):
    """A group whose commands are imported when they are asked for."""

    def __init__(self, name: str, *, help: str, places: Mapping[str, tuple[str, str]]) -> None:  # noqa: A002  click's word
        """Know where each command is.

        Args:
            name: Of the group.
            help: For people.
            places: Module and attribute by the name that a user types, in the order of the help page.
        """
        super().__init__(name, help=help)
        self._places = dict(places)
        take_global_options(self)

    def list_commands(self, ctx: click.Context) -> list[str]:  # type: ignore[explicit-override]  # Python 3.12 has @override
        """Return the names of all commands; of none of them is anything imported."""
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # type: ignore[explicit-override]
        """Return a command, imported now, or None if there is none of that name."""
        if cmd_name not in self.commands and cmd_name in self._places:
            module, attribute = self._places[cmd_name]
            command: click.Command = getattr(importlib.import_module(module), attribute)
            take_hidden_options(command)
            self.add_command(command, cmd_name)
        return self.commands.get(cmd_name)
