"""The `fluxrun` command: which subcommands there are and how an error ends them. Each is loaded only when it is called.

Never imports pytest.
"""

from __future__ import annotations

import errno
from importlib import import_module
from typing import Final

import click

from pytest_fluxrun import __version__
from pytest_fluxrun.errors import FluxRunError

__all__ = ["fluxrun", "main"]

_COMMANDS: Final = {
    "init": ("setup", "Make the key, the token and the trust file, and set the project up."),
    "check": ("check", "Look for what stands in the way of recording and replaying."),
    "list": ("listing", "List the runs that a directory or a store holds."),
    "show": ("show", "Show a run as a timeline."),
    "why": ("why", "Say why a run can't be replayed, or how its replay differs."),
    "replay": ("replay", "Replay one run and judge it."),
    "expect": ("expect", "Write what is expected of a run: its guard."),
    "accept": ("accept", "Allow drift that a replay shows, in the guard."),
    "extend": ("extend", "Ask a development environment for the reads that a run lacks."),
    "gate": ("gate", "Judge a session's report, or compare it with another one's, for CI."),
    "require": ("require", "Write down which guards the gate requires."),
    "guards": ("guards", "Check guard files and the guard list, for pre-commit."),
    "export": ("export", "Write a run as a plain test, a curl command or HAR."),
    "minimize": ("minimize", "Keep one run of each issue: the smallest that still shows the failure."),
    "push": ("transfer:push_command", "Copy runs to a store."),
    "pull": ("transfer:pull_command", "Fetch runs from a store."),
    "keys": ("keys", "List the project's keys, show a public one, make a new one."),
    "token": ("keys:token_command", "Print the token that production signs with."),
}


class _Refused(click.ClickException):
    """A FluxRunError on its way to standard error, and exit code 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        """Print the error's own text, and nothing about where in the code it came from."""
        del file
        click.echo(f"fluxrun: {self.message}", err=True)


class _Commands(click.Group):
    """The table above as a click group."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the table's order."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command's module."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute or "command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without loading a single command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error of FluxRun, or of the file system, becomes its message."""
        try:
            return super().invoke(ctx)
        except FluxRunError as error:
            raise _Refused(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            place = error.filename or "a file"
            step = "check the path, its permissions and the free space there, then run the command again"
            raise _Refused(f"{place} can't be used: {error.strerror or error}\n  next:    {step}") from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
)
@click.version_option(__version__, prog_name="fluxrun")
def fluxrun() -> None:
    """Record failing production runs, replay them offline, guard their fix.

    Exit codes: 0 done, 1 a problem was found, 2 the command couldn't be carried out.
    """


def main() -> None:
    """Run the command line of this process and exit."""
    fluxrun.main(prog_name="fluxrun")
