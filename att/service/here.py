"""What of this machine, this user and these settings goes into the description of the service."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import att
from att import config
from att.service.description import Kind, Scope, Service
from att.service.errors import UnfitService

SYSTEM_HOMES = {Kind.SYSTEMD: Path("/var/lib/att"), Kind.LAUNCHD: Path("/usr/local/var/att")}
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
LINGERING = Path("/var/lib/systemd/linger")

# Settings that are told by the files themselves, or must not stand where others can read them.
TOLD_ELSEWHERE = ("home", "listen", "release")
SECRET = ("database",)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed."""

    scope: Scope
    kind: Kind
    home: str | None = None
    listen: str | None = None
    account: str | None = None
    socket: bool = False
    variables: tuple[str, ...] = ()  # NAME, or NAME=VALUE


def usual_kind() -> Kind:
    return Kind.LAUNCHD if sys.platform == "darwin" else Kind.SYSTEMD


def describe(wish: Wish, environ: Mapping[str, str], python: str) -> tuple[Service, list[str]]:
    """The service for this wish, and sentences that its user should read."""
    system = wish.scope is Scope.SYSTEM
    if wish.account and not system:
        raise UnfitService("--account is for --scope system; a service of the user runs as that user.")
    account = (wish.account or "att") if system else None
    home = wish.home or environ.get("ATT_HOME") or (str(SYSTEM_HOMES[wish.kind]) if system else None)
    settings = config.load({"home": home, "listen": wish.listen}, environ)
    variables, warned = _variables(wish, environ)
    if account == "root":
        warned.append("As root, whoever holds the token can do anything to this machine: better an account.")
    own = Path(python).parent
    path = search_path(SYSTEM_PATH if system else environ.get("PATH", SYSTEM_PATH), [own])
    return (
        Service(
            scope=wish.scope,
            python=PurePosixPath(python),
            home=PurePosixPath(settings.home),
            listen=settings.listen,
            path=tuple(map(PurePosixPath, path)),
            account=account,
            account_home=None if account is None else _account_home(account),
            roots=tuple(map(PurePosixPath, settings.roots)),
            reads=_reads(python),
            variables=variables,
            after=("postgresql.service",) if system and settings.database.startswith("postgresql:") else (),
            socket=wish.socket,
        ),
        [*warned, *config.warnings(settings)],
    )


def _variables(wish: Wish, environ: Mapping[str, str]) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    """The settings given as variables now, and what --env names; for the secret ones a sentence instead."""
    found: dict[str, str] = {}
    warned = []
    for key in config.Settings.model_fields:
        name = f"ATT_{key.upper()}"
        if key in TOLD_ELSEWHERE or not environ.get(name):
            continue
        if key in SECRET:
            warned.append(
                f"{name} is not written, since others can read the file: put `{key}` into att.toml."
            )
        else:
            found[name] = environ[name]
    for given in wish.variables:
        name, told, value = given.partition("=")
        if not told and name not in environ:
            raise UnfitService(f"--env {name}: there is no such variable now.", hint=f"--env {name}=VALUE")
        found[name] = value if told else environ[name]
    return tuple(found.items()), warned


def _reads(python: str) -> tuple[PurePosixPath, ...]:
    """The environment, the interpreter that it was made from, and ATT itself, which may be installed in place."""
    places = (Path(python).parents[1], Path(sys.base_prefix), Path(att.__file__).parents[1])
    return tuple(dict.fromkeys(map(PurePosixPath, places)))


def _account_home(name: str) -> PurePosixPath | None:
    """The home of an account, if it is a folder that is there."""
    try:
        home = Path(pwd.getpwnam(name).pw_dir)
    except KeyError:
        return None
    return PurePosixPath(home) if home.is_absolute() and home.is_dir() else None


def search_path(text: str, first: Iterable[Path]) -> list[Path]:
    """The folders of a PATH that are there, after those of `first`."""
    found = [Path(part) for part in text.split(os.pathsep) if part.startswith("/")]
    return list(dict.fromkeys([*first, *(part for part in found if part.is_dir())]))


def lingers(user: str) -> bool:
    """Whether systemd keeps this user's services while nobody is logged in."""
    return (LINGERING / user).exists()
