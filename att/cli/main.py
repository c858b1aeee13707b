"""`att`: where the command line begins and ends.

The rooms stand here by name only, and are loaded when one of their commands is asked for; so `att --help` is quick. It
ends with 0 when all went well, 1 when the daemon refused or something failed, 2 when the command was not understood,
4 when the daemon cannot be reached, and 78 when a setting is wrong.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from att.rooms import ROOMS, room

if TYPE_CHECKING:
    from att.problems import Problem

OK, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 4, 130

# Commands that are no operations: what is said of them in the list.
OWN = {
    "status": "The daemon and all projects on one screen.",
    "doctor": "Check what may be wrong with this machine, and say the remedy.",
    "up": "Run launcher and daemon in the foreground.",
    "serve": "Run the daemon in the foreground.",
    "service": "Make ATT a service of systemd or launchd.",
    "mcp": "Speak MCP over stdin and stdout; tell agents' programs of ATT.",
}


class House(click.Group):
    """All commands, each loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*OWN, *(name for name in ROOMS if name not in OWN)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "mcp":  # has commands of its own beside those of the room
            from att.cli.mcp import group as mcp_group

            return mcp_group()
        if cmd_name in ROOMS:
            from att.cli.commands import room_group

            return room_group(cmd_name, ROOMS[cmd_name][1], room(cmd_name).operations)
        if cmd_name == "status":
            from att.cli.overview import command

            return command()
        if cmd_name == "serve":
            from att.cli.start import serve_command

            return serve_command()
        if cmd_name == "up":
            from att.cli.start import up_command

            return up_command()
        if cmd_name == "service":
            from att.cli.service import group

            return group()
        if cmd_name == "doctor":
            from att.cli.checkup import command as doctor_command

            return doctor_command()
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(OWN.items()))
        with formatter.section("Rooms"):
            formatter.write_dl([(name, about) for name, (_, about) in ROOMS.items() if name not in OWN])


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"att {version('agent-toolkit-toolkit')}")
        except PackageNotFoundError:
            click.echo("att 0+source")
        ctx.exit()


def build() -> click.Group:
    """The whole command line."""
    return House(
        "att",
        params=[
            click.Option(["--json", "as_json"], is_flag=True, help="Print the API's JSON unchanged."),
            click.Option(["--url"], metavar="URL", help="Address of the daemon (ATT_URL)."),
            click.Option(["--token"], metavar="TOKEN", help="Token (ATT_TOKEN); else that of ATT_HOME."),
            click.Option(["--home"], metavar="DIR", help="Folder of all state (ATT_HOME)."),
            click.Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_version,
                help="Show the version.",
            ),
        ],
        help="ATT keeps one NVIDIA NeMo Agent Toolkit app running, and lets you see, change and test it.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )


def main(argv: list[str] | None = None) -> int:
    """Run a command line; its exit code. Called with nothing, it ends the process."""
    from att.problems import Problem

    house = build()
    context: click.Context | None = None
    try:
        with house.make_context("att", list(sys.argv[1:] if argv is None else argv)) as context:
            house.invoke(context)
        code = OK
    except click.exceptions.Exit as leave:
        code = leave.exit_code
    except click.Abort:
        click.echo("Aborted.", err=True)
        code = INTERRUPTED
    except click.ClickException as wrong:
        wrong.show()
        code = wrong.exit_code
    except Problem as problem:
        code = _failed(problem, bool(context and context.params.get("as_json")))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        code = OK
    except Exception as other:
        from att.cli.commands import Done

        if not isinstance(other, Done):
            raise
        code = other.code
    try:
        sys.stdout.flush()  # what is still in the buffer: nobody may be there any more to take it
    except BrokenPipeError:
        _drop_output()
    if argv is None:
        sys.exit(code)
    return code


def _drop_output() -> None:
    """What is left in the buffer has nowhere to go, which is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _failed(problem: Problem, as_json: bool) -> int:
    from att.cli.client import Unreachable
    from att.cli.commands import report
    from att.config import EXIT_CONFIG, BadSettings

    report(problem, as_json)
    if isinstance(problem, BadSettings):
        return EXIT_CONFIG
    return UNREACHABLE if isinstance(problem, Unreachable) else FAILED
