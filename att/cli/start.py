"""`att serve` and `att up`: starting the daemon, with a flag for each setting.

`att up` is the launcher with the daemon below it, in the foreground; this process becomes the launcher. `att serve
--standalone` is the daemon alone. Wrong settings are told before anything is started, and end with 78.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from att import config
from att.fields import shape


def serve_command() -> click.Command:
    standalone = click.Option(
        ["--standalone"], is_flag=True, help="Without a launcher: the daemon keeps the app itself."
    )
    return click.Command(
        "serve",
        params=[standalone, *_settings_options()],
        callback=_serve,
        help="Run the daemon in the foreground.",
    )


def up_command() -> click.Command:
    return click.Command(
        "up",
        params=list(_settings_options()),
        callback=_up,
        help="Run launcher and daemon in the foreground.",
    )


def _settings_options() -> list[click.Option]:
    """One for each setting; the values are read by `att.config`, which says what is wrong with them."""
    found = []
    for name, info in config.Settings.model_fields.items():
        if name == "release":
            continue
        flag = f"--{name.replace('_', '-')}"
        if info.annotation is bool:
            found.append(click.Option([f"{flag}/--no-{flag[2:]}"], default=None, help=info.description))
            continue
        many = shape(info.annotation).many and name != "listen"
        found.append(
            click.Option([flag, name], metavar="VALUE", default=None, multiple=many, help=info.description)
        )
    return found


def settings_of(given: Mapping[str, Any]) -> config.Settings:
    """The settings of these flags; what the user should know is told on the way."""
    flags = {name: value for name, value in given.items() if value not in (None, ())}
    settings = config.load(flags, os.environ)
    for text in (*config.warnings(settings), *config.hints(os.environ)):
        click.echo(f"Warning: {text}", err=True)
    return settings


@click.pass_context
def _serve(ctx: click.Context, /, standalone: bool, **given: Any) -> None:
    given["home"] = given.get("home") or ctx.find_root().params.get("home")
    settings = settings_of(given)
    from att.daemon import serve

    sys.exit(serve(settings, standalone=standalone))


@click.pass_context
def _up(ctx: click.Context, /, **given: Any) -> None:
    given["home"] = given.get("home") or ctx.find_root().params.get("home")
    settings = settings_of(given)
    environ = {**os.environ, **_variables(given, settings)}
    command = [
        sys.executable,
        *_launcher(settings.home),
        "--home",
        str(settings.home),
        "--listen",
        str(settings.listen),
    ]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, environ)  # noqa: S606  becomes the launcher


def _launcher(home: Path) -> list[str]:
    """How the launcher is started: as its one file in the home, out of reach of any release; else from its package.

    The file of a home that somebody else keeps is left alone; the launcher itself then says who that is.
    """
    from att.release.disk import Disk
    from att.release.zipapp import write_launcher
    from supervisor.parent import HomeBusy, take_home

    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(take_home(home)):
            return [str(write_launcher(Disk(), home))]
    except HomeBusy:
        return ["-m", "launcher"]
    except OSError as fault:
        click.echo(f"Warning: the launcher is not started from its own file: {fault}", err=True)
        return ["-m", "launcher"]


def _variables(given: Mapping[str, Any], settings: config.Settings) -> dict[str, str]:
    """The flags as the variables that the daemon below the launcher reads."""
    told = {"ATT_HOME": str(settings.home), "ATT_LISTEN": str(settings.listen)}
    for name, value in given.items():
        if value in (None, ()) or name in ("home", "listen"):
            continue
        if isinstance(value, tuple):
            told[f"ATT_{name.upper()}"] = (os.pathsep if name == "roots" else ",").join(map(str, value))
        else:
            told[f"ATT_{name.upper()}"] = str(value).lower() if isinstance(value, bool) else str(value)
    return told
