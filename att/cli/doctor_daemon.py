"""The checks of `att doctor` beyond the machine and the home: the daemon, its address, the store, the projects.

What is looked at of a project is read from disk, so that it can be told while the daemon is down; nothing of it is run.
"""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from att.access import read_token
from att.cli.finding import Finding, fail, ok, warn
from att.config import Settings
from att.problems import Problem


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands at the daemon's address: nothing, something else, or an ATT with what it says of itself."""

    reached: bool
    health: Mapping[str, Any] | None = None
    accepts_token: bool | None = None


def ask(settings: Settings) -> Answer:
    """Who answers at the daemon's address."""
    url = urlsplit(settings.url)
    with closing(http.client.HTTPConnection(url.hostname or "", url.port, timeout=2)) as line:
        try:
            line.request("GET", "/api/v1/health")
            reply = line.getresponse()
            told = json.loads(reply.read(1 << 16))
        except (http.client.HTTPException, ValueError):
            return Answer(reached=True)
        except OSError as error:
            return Answer(reached=not isinstance(error, ConnectionRefusedError))
        if not isinstance(told, dict) or "status" not in told:
            return Answer(reached=True)
        with suppress(OSError, http.client.HTTPException, Problem):
            token = read_token(settings.token_file)
            line.request("GET", "/api/v1/projects?limit=1", headers={"Authorization": f"Bearer {token}"})
            reply = line.getresponse()
            reply.read()
            return Answer(True, told, reply.status != http.client.UNAUTHORIZED)
        return Answer(True, told)


def check_daemon(settings: Settings, answer: Answer) -> Finding:
    if not answer.reached:
        return warn("daemon", f"ATT does not run at {settings.url}.", "Start it: att up")
    if answer.health is None:
        return warn("daemon", f"What answers at {settings.url} is not ATT.", "See the finding on the port.")
    if answer.accepts_token is False:
        return fail(
            "daemon",
            f"The ATT at {settings.url} does not accept the token of {settings.home}: it has another home.",
            "Use its ATT_HOME, or give this one another address by ATT_LISTEN.",
        )
    version, release = answer.health.get("version", "?"), answer.health.get("release", "")
    said = f"ATT {version}{f', release {release}' if release else ''} at {settings.url}"
    if answer.health["status"] == "ok":
        return ok("daemon", f"{said} is well.")
    return warn("daemon", f"{said} is {answer.health['status']}.", "`att health` tells what is missing.")


def check_port(settings: Settings, answer: Answer) -> Finding:
    host, port = settings.listen
    if port == 0:
        return ok("port", "A free one is taken at each start.")
    if answer.health is not None:
        return ok("port", f"{settings.listen} is ATT's.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        from att.runtime import ports

        pid, name, _ = ports.owner(port)
        whose = f" by {name} (pid {pid})" if pid else ""
        return fail(
            "port",
            f"{settings.listen} cannot be listened on: {(error.strerror or str(error)).lower()}{whose}.",
            "End that program, or choose another address by ATT_LISTEN.",
        )
    return ok("port", f"{settings.listen} is free.")


def _open(settings: Settings) -> sqlite3.Connection | None:
    file = settings.home / "att.db"
    if settings.database or not file.exists():
        return None
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=2)


def check_store(settings: Settings) -> Iterator[Finding]:
    try:
        opened = _open(settings)
        if opened is None:
            return
        with closing(opened):
            opened.execute("SELECT count(*) FROM projects").fetchone()
    except sqlite3.Error as error:
        yield fail(
            "store",
            f"{settings.home / 'att.db'} cannot be read: {error}.",
            "Stop ATT and put a copy back, or move the file away to begin anew.",
        )
        return
    yield ok("store", f"{settings.home / 'att.db'}.")


def known_projects(settings: Settings) -> list[tuple[str, Path]]:
    """Id and folder of every project, from the store on disk; nothing when it cannot be read."""
    with suppress(sqlite3.Error):
        opened = _open(settings)
        if opened is not None:
            with closing(opened):
                rows = opened.execute("SELECT id, path FROM projects ORDER BY id").fetchall()
            return [(str(id_), Path(path)) for id_, path in rows]
    return []


def check_project(id_: str, folder: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Folder, settings, NAT config, environment and NAT version of one project."""
    from att.runtime import config as nat_config
    from att.runtime import preflight

    name = f"project {id_}"
    if not folder.is_dir():
        yield fail(name, f"{folder} is gone.", f"Put it back, or `att project delete {id_}`.")
        return
    try:
        settings = preflight.read_settings(folder)
        if not settings.command or any("{config}" in word for word in settings.command):
            found = nat_config.read(nat_config.find(folder, settings.config), {**environ, **settings.env})
            yield ok(name, f"NAT config {found.path}.")
            if found.unset:
                yield warn(
                    name,
                    f"The NAT config names variables that are not set: {', '.join(found.unset)}.",
                    "Set them where ATT is started, or in the table runtime.env of the project's att.toml.",
                )
        yield from _environment(id_, folder)
    except Problem as problem:
        yield fail(name, problem.detail, problem.advice)


def _environment(id_: str, folder: Path) -> Iterator[Finding]:
    from att.runtime import nat, preflight
    from att.runtime.environment import Standing as Built

    name = f"project {id_}"
    _, environment = preflight.plan_environment(folder)
    remedy = f"att runtime environment-build {id_}"
    if environment.standing is not Built.READY:
        grave = environment.standing is Built.BROKEN
        said = f"Its environment is {environment.standing.value}: {environment.reason}."
        yield fail(name, said, remedy) if grave else warn(name, said, remedy)
    if not environment.usable:
        return
    version = environment.nat_version
    if version and nat.line_of(version) is None:
        known = ", ".join(line.release for line in nat.LINES)
        yield warn(
            name,
            f"NAT {version} was not tried with this release of ATT.",
            f"It may well work; tried are {known}.",
        )
    elif environment.standing is Built.READY:
        with_nat = f", NAT {version}" if version else ", without NAT"
        yield ok(name, f"Python {environment.python_version}{with_nat} in {environment.folder}.")
