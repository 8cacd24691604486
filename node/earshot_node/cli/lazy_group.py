"""A click group that imports a command only when it is called, and the one place where errors become exit codes."""

import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import click

from earshot_node.errors import EarshotError

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_PARTLY: Final = 3
EXIT_INTERRUPTED: Final = 130

HELP_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command lives (`module:attribute`) and its line in the group's help."""

    target: str
    summary: str

    def load(self) -> click.Command:
        """Import the module and return the command."""
        module, _, attribute = self.target.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.target} is not a click command")
        command.context_settings = {**HELP_SETTINGS, **command.context_settings}
        return command


class LazyGroup(click.Group):
    """A group whose help lists its commands without importing one of them."""

    def __init__(self, *, lazy: Mapping[str, LazyCommand], **arguments: Any) -> None:
        arguments.setdefault("context_settings", HELP_SETTINGS)
        super().__init__(**arguments)
        self._lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were given."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, None when there is no such name."""
        if cmd_name in self._lazy:
            return self._lazy[cmd_name].load()
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands from their summaries."""
        eager = [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        rows = [(name, command.summary) for name, command in self._lazy.items()] + eager
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def run_program(group: click.Group, prog_name: str, args: Sequence[str] | None = None) -> int:
    """Run `group` and return the exit code: 0 done, 1 failed, 2 usage, 3 partly done, 130 interrupted.

    A command returns its exit code as an int (None is 0). An `EarshotError` becomes one line on stderr; so does any
    other exception, unless `--debug` stands before the command.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in arguments
    try:
        result = group.main(args=arguments, prog_name=prog_name, standalone_mode=False)
    except click.ClickException as error:
        return _refuse(error, prog_name)
    except EarshotError as error:
        return _fail(str(error), debug=debug)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone; nothing is left to say
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the top of the program
        text = str(error) or "no details"
        return _fail(f"unexpected {type(error).__name__}: {text}; `{prog_name} --debug ...` shows where", debug=debug)
    return result if isinstance(result, int) else EXIT_DONE


def _refuse(error: click.ClickException, prog_name: str) -> int:
    """Tell a usage error in one line, with the help that would have prevented it; nothing said gets the help itself."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    context = getattr(error, "ctx", None)
    command = context.command_path if context else prog_name
    click.echo(f"error: {' '.join(error.format_message().split()).rstrip('.')}; see `{command} -h`", err=True)
    return error.exit_code


def _fail(message: str, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return EXIT_FAILED
