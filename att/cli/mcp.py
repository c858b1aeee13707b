"""`att mcp`: the stdio bridge; `att mcp config`: the entry of a client; and beside them what the room `mcp` offers.

Nothing of the room is loaded for the bridge, since a client waits for its first answer.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from att.problems import Problem

if TYPE_CHECKING:
    from att.cli.client import Where
    from att.mcp.clients import Client

_NAMES = ("claude", "claude-desktop", "cursor", "vscode", "codex")


class NotWritten(Problem):
    """The file of a client was left as it is."""

    code, status, title = "client_not_configured", 409, "The client's file was not changed"
    hint = "Add the entry by hand; without --write it is printed."


class House(click.Group):
    """`config`, and the operations of the room, which are loaded when one is asked for."""

    def _room(self) -> click.Group | None:
        from att.rooms import ROOMS, room

        if "mcp" not in ROOMS:
            return None
        from att.cli.commands import Room, room_group

        found = room_group("mcp", ROOMS["mcp"][1], room("mcp").operations)
        return found if isinstance(found, Room) else None

    def list_commands(self, ctx: click.Context) -> list[str]:
        operations = self._room()
        return ["config", *(operations.list_commands(ctx) if operations else [])]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "config":
            return config_command()
        operations = self._room()
        return operations.get_command(ctx, cmd_name) if operations else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        operations = None if args[0] == "config" else self._room()
        return operations.resolve_command(ctx, args) if operations else super().resolve_command(ctx, args)


def group() -> click.Group:
    return House(
        "mcp",
        params=[_rooms_option("Offer the tools of these rooms only; else all."), *_where_options()],
        invoke_without_command=True,
        callback=_bridge,
        help="Speak MCP over stdin and stdout, for clients that want a command. `config` tells them so.",
    )


def _where_options() -> list[click.Parameter]:
    return [
        click.Option(["--url"], metavar="URL", help="Address of the daemon (ATT_URL)."),
        click.Option(["--token"], metavar="TOKEN", help="Token (ATT_TOKEN); else that of ATT_HOME."),
        click.Option(["--home"], metavar="DIR", help="Folder of all state (ATT_HOME)."),
    ]


def _rooms_option(about: str) -> click.Parameter:
    return click.Option(["--rooms"], metavar="ROOM,…", callback=_rooms, help=about)


def _rooms(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str]:
    """The names of rooms; not those that there are not."""
    if value is None:
        return []
    from att.mcp.chosen import checked, split
    from att.mcp.errors import UnknownRoom
    from att.rooms import ROOMS

    names = list(dict.fromkeys(split(value)))
    try:
        checked(names, ROOMS)
    except UnknownRoom as problem:
        raise click.BadParameter(str(problem), ctx, param) from None
    return names


def _picked(ctx: click.Context, given: dict[str, Any]) -> dict[str, Any]:
    """The options of the command, else those before it."""
    found = dict(given)
    above = ctx.parent
    while above is not None:
        found = {name: found[name] or above.params.get(name) for name in found}
        above = above.parent
    return found


@click.pass_context
def _bridge(
    ctx: click.Context, /, rooms: list[str], url: str | None, token: str | None, home: str | None
) -> None:
    if ctx.invoked_subcommand is not None:
        return
    from att.cli.client import find
    from att.cli.commands import Done
    from att.mcp.chosen import query
    from att.mcp.stdio import Bridge
    from att.mcp.wire import Wire

    picked = _picked(ctx, {"url": url, "token": token, "home": home})

    def locate() -> Where:
        return find(picked["url"], picked["token"], picked["home"])

    signal.signal(signal.SIGTERM, _leave)
    if sys.stdin.isatty():
        _say("speaks MCP over stdin and stdout and is meant for a client; `att mcp config --help` tells how")
    code = Bridge(Wire(locate, query(rooms)), sys.stdin.buffer, sys.stdout.fileno(), _say).run()
    if code:
        raise Done(code)


def _leave(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


def _say(text: str) -> None:
    print(f"att mcp: {text}", file=sys.stderr, flush=True)


# ---- config


def config_command() -> click.Command:
    return click.Command(
        "config",
        params=[
            click.Argument(["client"], type=click.Choice(_NAMES)),
            click.Option(
                ["--write"], is_flag=True, help="Write it into the client's file; all else there stays."
            ),
            click.Option(
                ["--http/--stdio"],
                default=False,
                help="By address, with the token in ATT_TOKEN; or by the command `att mcp`. [default: stdio]",
            ),
            click.Option(
                ["--project"], is_flag=True, help="For the project in this folder, not for the user."
            ),
            click.Option(["--file"], metavar="PATH", help="Another file of that client."),
            _rooms_option("The tools of these rooms only; else all."),
            *_where_options(),
        ],
        callback=_config,
        help="Print the entry that tells a client of ATT, or write it into its file.",
        short_help="Tell Claude Code, Cursor, VS Code or Codex of ATT.",
    )


@click.pass_context
def _config(ctx: click.Context, /, **given: Any) -> None:
    from att.mcp import clients
    from att.mcp.textedit import NotEditable

    picked = _picked(ctx, {name: given[name] for name in ("rooms", "url", "token", "home")})
    client = clients.CLIENTS[given["client"]]
    project = Path.cwd() if given["project"] else None
    try:
        entry = _entry(client, picked, given["http"], project)
        file = Path(given["file"] or clients.file_of(client, Path.home(), project, sys.platform, os.environ))
    except NotEditable as error:
        raise NotWritten(f"{error}.", hint="Leave the option out.") from None
    if not given["write"]:
        _show(client, entry, file, project)
        return
    try:
        changed = _write(client, file, entry)
    except (NotEditable, UnicodeDecodeError) as error:
        raise NotWritten(f"{file} was left as it is: {error}.") from None
    except OSError as error:
        raise NotWritten(f"{file} cannot be written: {error.strerror}.") from None
    click.echo(f"{'wrote' if changed else 'unchanged'} {file}")
    if given["http"]:
        click.echo(f"{client.title} takes the token from the variable {clients.VARIABLE} of its environment.")


def _entry(client: Client, picked: dict[str, Any], http: bool, project: Path | None) -> dict[str, Any]:
    from att.cli.client import find
    from att.config import find_home
    from att.mcp import clients
    from att.mcp.chosen import query

    rooms: list[str] = picked["rooms"]
    if http:
        at = find(picked["url"], "none", picked["home"]).url
        return clients.by_http(client, f"{at}/mcp{query(rooms)}")
    home = find_home(picked["home"], os.environ)
    arguments = [] if home == find_home(None, {}) else ["--home", str(home)]
    if picked["url"]:
        arguments += ["--url", picked["url"]]
    return clients.by_command(
        client, _command(home, project is not None), [*arguments, "mcp", *_named(rooms)]
    )


def _named(rooms: list[str]) -> list[str]:
    return ["--rooms", ",".join(rooms)] if rooms else []


def _command(home: Path, shared: bool) -> str:
    """How `att` is called: by the name in what others may read, else by a path that outlives updates."""
    from att.release.shim import FOLDER, NAME

    stable = home / FOLDER / NAME
    if shared:
        return "att"
    if stable.exists():
        return str(stable)
    beside = Path(sys.executable).parent / "att"
    return str(beside) if beside.exists() else shutil.which("att") or "att"


def _show(client: Client, entry: dict[str, Any], file: Path, project: Path | None) -> None:
    """The entry on stdout, what to do with it on stderr."""
    from att.mcp import clients

    click.echo(clients.put(client, "", entry), nl=False)
    click.echo(f"This belongs into {file}; --write puts it there.", err=True)
    if client.name == "claude":
        scope = "project" if project else "user"
        told = shlex.quote(json.dumps(entry))
        click.echo(f"Or: claude mcp add-json --scope {scope} {clients.NAME} {told}", err=True)


def _write(client: Client, file: Path, entry: dict[str, Any]) -> bool:
    """Whether there was anything to change. The file is replaced whole, or not at all."""
    from att.mcp import clients

    target = file.resolve()  # a link stays one
    try:
        old, mode = target.read_bytes(), target.stat().st_mode & 0o777
    except FileNotFoundError:
        old, mode = b"", 0o600
    new = clients.put(client, old.decode(), entry).encode()
    if new == old:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    fd, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(fd, "wb") as opened:
            opened.write(new)
            opened.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        Path(beside).replace(target)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return True
