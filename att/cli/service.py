"""`att service install|remove|status`: ATT as a service of systemd or launchd, of this user or of the system.

What is done stands in `att.service`; here it is asked for, and said what was done and what to type next.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from att import config
from att.cli.client import Client, Refused, Unreachable, Where
from att.cli.commands import Done
from att.service import here, manage, plan
from att.service.description import LABEL, NAME, WRONG, Kind, Scope, Service
from att.service.managers import BOOTED, State, manager
from att.service.plan import Places
from att.service.run import Runner


def group() -> click.Group:
    made = click.Group("service", help="ATT as a service of systemd or launchd: install, remove, status.")
    for command in (_install_command(), _remove_command(), _status_command()):
        made.add_command(command)
    return made


def _common() -> list[click.Parameter]:
    return [
        click.Option(
            ["--scope"],
            type=click.Choice([scope.value for scope in Scope]),
            default=Scope.USER.value,
            help="Of this user, or of the whole system (as root). [default: user]",
        ),
        click.Option(
            ["--kind"],
            type=click.Choice([kind.value for kind in Kind]),
            default=None,
            help="For which service manager; else that of this system.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print what was done or found as JSON."),
    ]


_WRITE_ONLY = "--write-only"


def _install_command() -> click.Command:
    return click.Command(
        "install",
        params=[
            *_common(),
            click.Option(["--home"], metavar="DIR", help="Folder of all state (ATT_HOME)."),
            click.Option(["--listen"], metavar="HOST:PORT", help="Where to listen (ATT_LISTEN)."),
            click.Option(
                ["--account"], metavar="NAME", help="With --scope system: who it runs as. [default: att]"
            ),
            click.Option(
                ["--env", "variables"],
                metavar="NAME[=VALUE]",
                multiple=True,
                help="A variable that the service gets; others can read it. May be given more than once.",
            ),
            click.Option(
                ["--socket"],
                is_flag=True,
                help="systemd holds the socket: a connection starts the service again, also after a stop.",
            ),
            click.Option(["--start/--no-start"], default=True, help="Start it now. [default: start]"),
            click.Option([_WRITE_ONLY], is_flag=True, help="Write the files, and ask no service manager."),
            click.Option(["--dry-run"], is_flag=True, help="Print the files, and change nothing."),
            click.Option(["--force"], is_flag=True, help="Also replace our files that were changed by hand."),
        ],
        callback=_install,
        help="Write the files of the service, start it now and with the machine or the login. May be repeated.",
        short_help="Write the files of the service, and start it.",
    )


def _remove_command() -> click.Command:
    return click.Command(
        "remove",
        params=[
            *_common(),
            click.Option([_WRITE_ONLY], is_flag=True, help="Remove the files, and ask no service manager."),
            click.Option(["--force"], is_flag=True, help="Also remove our files that were changed by hand."),
        ],
        callback=_remove,
        help="Stop the service, and remove what install made. The home and all in it stay.",
    )


def _status_command() -> click.Command:
    return click.Command(
        "status",
        params=_common(),
        callback=_status,
        help="Whether it is installed, starts by itself, runs, and is well. Ends with 1 when it is not.",
    )


def _where(scope: str, kind: str | None) -> Places:
    config_home = os.environ.get("XDG_CONFIG_HOME")
    chosen = Kind(kind) if kind else here.usual_kind()
    return plan.places(chosen, Scope(scope), Path.home(), Path(config_home) if config_home else None)


def _runner(scope: str) -> Runner:
    environ = dict(os.environ)
    if scope == Scope.USER.value and sys.platform != "darwin":  # not set after su or cron
        usual = Path(f"/run/user/{os.getuid()}")
        if "XDG_RUNTIME_DIR" not in environ and usual.is_dir():
            environ["XDG_RUNTIME_DIR"] = str(usual)
    return Runner(environ)


@click.pass_context
def _install(ctx: click.Context, /, scope: str, kind: str | None, as_json: bool, **given: Any) -> None:
    above = ctx.find_root().params
    where = _where(scope, kind)
    wish = here.Wish(
        scope=where.scope,
        kind=where.kind,
        home=given["home"] or above.get("home"),
        listen=given["listen"],
        account=given["account"],
        socket=given["socket"],
        variables=given["variables"],
    )
    service, warned = here.describe(wish, os.environ, sys.executable)
    for text in warned:
        click.echo(f"Warning: {text}", err=True)
    if given["dry_run"]:
        _dry_run(service, where, as_json or bool(above.get("as_json")))
        return
    run = _runner(scope)
    chosen = None if given["write_only"] else manager(where, run, BOOTED)
    done = manage.install(service, where, chosen, run, start=given["start"], force=given["force"])
    if as_json or above.get("as_json"):
        click.echo(
            json.dumps(
                {
                    "written": [str(path) for path in done.written],
                    "unchanged": [str(path) for path in done.kept],
                    "removed": [str(path) for path in done.removed],
                    "restart_needed": done.restart,
                    "up": done.up,
                }
            )
        )
    else:
        for word, paths in (("wrote", done.written), ("unchanged", done.kept), ("removed", done.removed)):
            for path in paths:
                click.echo(f"{word} {path}")
        for line in _next(service, where, done, given["write_only"]):
            click.echo(line)
    if done.up is False:
        raise Done(1)


def _dry_run(service: Service, where: Places, as_json: bool) -> None:
    made = plan.files(service, where)
    if as_json:
        click.echo(json.dumps({str(file.path): file.text for file in made}))
        return
    for file in made:
        click.echo(f"# ---- {file.path}\n{file.text}")


def _words(where: Places) -> dict[str, str]:
    """What to type, by what it is for."""
    if where.kind is Kind.LAUNCHD:
        domain = f"gui/{os.getuid()}" if where.scope is Scope.USER else "system"
        root = "" if where.scope is Scope.USER else "sudo "
        target = f"{domain}/{LABEL}"
        return {
            "load": f"{root}launchctl bootstrap {domain} {where.paths[0]}",
            "start": f"{root}launchctl kickstart {target}",
            "restart": f"{root}launchctl bootout {target}; {root}launchctl bootstrap {domain} {where.paths[0]}",
            "state": f"{root}launchctl print {target}",
        }
    ctl = "systemctl --user" if where.scope is Scope.USER else "sudo systemctl"
    log = "journalctl --user -u" if where.scope is Scope.USER else "sudo journalctl -u"
    names = " ".join(reversed([path.name for path in where.paths if path.exists()]))
    return {
        "load": f"{ctl} daemon-reload && {ctl} enable --now {names}",
        "start": f"{ctl} start {names}",
        "restart": f"{ctl} restart {names}",
        "state": f"{ctl} status {NAME}",
        "log": f"{log} {NAME} -f",
    }


def _next(service: Service, where: Places, done: manage.Installed, write_only: bool) -> Iterator[str]:
    words = _words(where)
    log = words.get("log", f"tail -f {service.home}/service.log")
    if write_only:
        yield f"To start it: {words['load']}"
    elif done.restart:
        yield f"It runs with the old file. To take the new one, which restarts the app too: {words['restart']}"
    elif done.up:
        yield f"It runs, at http://{service.listen}"
    elif done.up is False:
        yield f"It has not come up. What it said: {log}"
    else:
        yield f"To start it: {words['start']}"
    yield f"State: att service status --scope {where.scope.value}   Log: {log}"
    if where.kind is Kind.SYSTEMD:
        yield f"Secrets and other variables for the apps: {service.variables_file} (lines NAME=VALUE, chmod 600)"
        user = pwd.getpwuid(os.getuid()).pw_name
        if where.scope is Scope.USER and not here.lingers(user):
            yield f"It ends when you log out. To keep it, and to start it with the machine: loginctl enable-linger {user}"


@click.pass_context
def _remove(
    ctx: click.Context, /, scope: str, kind: str | None, as_json: bool, write_only: bool, force: bool
) -> None:
    where = _where(scope, kind)
    chosen = None if write_only else manager(where, _runner(scope), BOOTED)
    removed = manage.remove(where, chosen, force=force)
    if as_json or ctx.find_root().params.get("as_json"):
        click.echo(json.dumps({"removed": [str(path) for path in removed]}))
        return
    for path in removed:
        click.echo(f"removed {path}")
    if not removed:
        click.echo("There is nothing to remove.")
    for path in removed:
        if (extra := path.with_name(f"{path.name}.d")).is_dir():
            click.echo(f"Your own settings were left: {extra}")


@click.pass_context
def _status(ctx: click.Context, /, scope: str, kind: str | None, as_json: bool) -> None:
    where = _where(scope, kind)
    found = manage.status(where, manager(where, _runner(scope), BOOTED))
    health, said = _health(found.facts)
    if as_json or ctx.find_root().params.get("as_json"):
        state = found.state
        told = {
            "installed": bool(found.files),
            "files": {str(path): standing.value for path, standing in found.files.items()},
            "home": found.facts.get("home"),
            "listen": found.facts.get("listen"),
            "enabled": state and state.enabled,
            "active": state and state.active,
            "pid": state and state.pid,
            "exit_code": state and state.exit_code,
            "restarts": state and state.restarts,
            "says": (state and state.said) or found.why or None,
            "health": health,
        }
        click.echo(json.dumps(told))
    else:
        for line in _lines(found, where, said):
            click.echo(line)
    if health != "ok" or (found.state is not None and not found.state.up):
        raise Done(1)


def _lines(found: manage.Report, where: Places, health: str) -> Iterator[str]:
    for path, standing in found.files.items():
        yield f"installed: {path}{'' if standing.value == 'ours' else f' ({standing.value})'}"
    if not found.files:
        yield f"installed: no, nothing at {where.paths[0]}"
    if found.state is None:
        yield f"manager:   {found.why}"
    else:
        yield f"enabled:   {'yes' if found.state.enabled else 'no'}"
        yield f"active:    {_active(found.state)}"
    if health:
        yield f"health:    {health}"


def _active(state: State) -> str:
    parts = [state.active]
    if state.pid:
        parts.append(f"pid {state.pid}")
    if state.said:
        parts.append(state.said)
    if state.restarts:
        parts.append(f"started again {state.restarts} times")
    if state.exit_code:
        wrong = ", not started again" if state.exit_code in WRONG else ""
        parts.append(f"last exit code {state.exit_code}{wrong}")
    return ", ".join(parts)


def _health(facts: Any) -> tuple[str | None, str]:
    """One word, and a sentence: what answers at the address that the service was installed for."""
    if "listen" not in facts:
        return None, ""
    address = config.parse_address(facts["listen"])
    settings = config.Settings(home=Path(facts["home"]), listen=address, allow_remote=True)
    host, port = config.parse_address(settings.url.removeprefix("http://"))
    try:
        told = Client(Where(host, port, tls=False, token=None)).get("/health")
    except Unreachable as problem:
        return "unreachable", problem.detail
    except Refused as problem:
        return "refused", f"{problem.detail} ({problem.answer_status})"
    except ValueError:
        return "foreign", f"What answers at {settings.url} is not ATT."
    word = str(told.get("status"))
    release = f", release {told['release']}" if told.get("release") else ""
    return word, f"{word}, ATT {told.get('version')}{release} at {settings.url}"
