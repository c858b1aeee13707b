"""Installing, removing and looking at the service: the files on disk, and the service manager that reads them.

Nothing is written before everything has been looked at: a foreign file, an account or an interpreter that is not there ends
the install with nothing changed. A service that runs is never restarted, since that would restart the managed app.
"""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from att.service import marking
from att.service.description import Service
from att.service.errors import (
    CommandFailed,
    EditedFile,
    ForeignFile,
    NoServiceManager,
    NoSuchAccount,
    NotAllowed,
    NotInstalled,
)
from att.service.managers import Manager, State
from att.service.marking import Found, Standing
from att.service.plan import File, Places, files
from att.service.run import Runner

_CHECK = (
    "import sys, importlib.util as u; sys.exit(not (u.find_spec('launcher') and u.find_spec('att.daemon')))"
)


@dataclass(frozen=True, slots=True)
class Installed:
    """What an install did. `restart`: it runs, and does not know the new file yet. `up`: None when not started."""

    written: list[Path]
    kept: list[Path]
    removed: list[Path]
    restart: bool = False
    up: bool | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What there is. `state` is None when no service manager can be asked, and `why` says why."""

    files: Mapping[Path, Standing]
    facts: Mapping[str, str] = field(default_factory=dict)
    state: State | None = None
    why: str = ""


def look(path: Path) -> Found | None:
    """What stands at this path; None for nothing. A link is foreign, since it is how a unit is masked."""
    if path.is_symlink():
        return Found(Standing.FOREIGN, {})
    try:
        return marking.examine(path.read_text("utf-8", "surrogateescape"))
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        return Found(Standing.FOREIGN, {})
    except OSError as error:
        raise _refused(path, error) from None


def install(
    service: Service, where: Places, manager: Manager | None, run: Runner, *, start: bool, force: bool
) -> Installed:
    """Without a manager the files are written, and nothing else is done."""
    wanted = files(service, where)
    own = {path: found for path in where.paths if (found := look(path)) is not None}
    stale = [path for path in own if path not in {file.path for file in wanted}]
    _check_ours({path: own[path] for path in own if path not in stale or _is_ours(own[path])}, force)
    stale = [path for path in stale if _is_ours(own[path])]
    check(service, run)
    if manager is not None:
        manager.require()
    if manager is not None and stale:
        manager.stop([path.name for path in stale])
    _make_home(service)
    written = [file.path for file in wanted if _write(file)]
    for path in stale:
        _unlink(path)
    kept = [file.path for file in wanted if file.path not in written]
    if manager is None:
        return Installed(written, kept, stale)
    names = [file.path.name for file in wanted]
    if written or stale:
        manager.look_again()
    manager.enable(names)
    before = manager.state()
    if before.up or not start:
        return Installed(written, kept, stale, restart=before.up and bool(written), up=before.up or None)
    return Installed(written, kept, stale, up=manager.start(names))


def _is_ours(found: Found) -> bool:
    return found.standing is not Standing.FOREIGN


def _check_ours(own: Mapping[Path, Found], force: bool) -> None:
    for path, found in own.items():
        if found.standing is Standing.FOREIGN:
            raise ForeignFile(f"{path} was not made by `att service install`.", path=str(path))
        if found.standing is Standing.EDITED and not force:
            raise EditedFile(f"{path} was changed after `att service install` made it.", path=str(path))


def check(service: Service, run: Runner) -> None:
    """The account is there, and ATT is installed for the interpreter, as that account sees it."""
    account = None
    if service.account is not None:
        try:
            entry = pwd.getpwnam(service.account)
        except KeyError:
            raise NoSuchAccount(
                f"There is no account {service.account!r}.", account=service.account
            ) from None
        account = service.account if os.geteuid() == 0 and entry.pw_uid != 0 else None
    try:
        done = run.ask(str(service.python), "-I", "-c", _CHECK, account=account)
    except CommandFailed as problem:
        raise _not_installed(service, account, str(problem.extra["output"])) from None
    if done.code != 0:
        raise _not_installed(service, account, done.said)


def _not_installed(service: Service, account: str | None, said: str) -> NotInstalled:
    whose = f" as {account} sees it" if account else ""
    python = str(service.python)
    return NotInstalled(f"ATT is not installed for {python}{whose}: {said}.", python=python)


def _make_home(service: Service) -> None:
    """systemd's sandbox and launchd's log need it before the launcher could make it."""
    home = Path(service.home)
    try:
        if home.is_dir():
            return
        home.mkdir(mode=0o700, parents=True)
        if service.account is not None and os.geteuid() == 0:
            entry = pwd.getpwnam(service.account)
            os.chown(home, entry.pw_uid, entry.pw_gid)
    except OSError as error:
        raise _refused(home, error) from None


def _write(file: File) -> bool:
    """Whether it had to be written. It is replaced as a whole, so nobody reads half of it."""
    aside = file.path.with_name(f".{file.path.name}.{secrets.token_hex(4)}")
    try:
        if file.path.exists() and file.path.read_text("utf-8", "surrogateescape") == file.text:
            return False
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as out:
            out.write(file.text)
            out.flush()
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
        aside.rename(file.path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise _refused(file.path, error) from None
    return True


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _refused(path, error) from None


def remove(where: Places, manager: Manager | None, *, force: bool) -> list[Path]:
    """Stop the service and take away what install made; what was removed. A foreign file is left and told."""
    own = {path: found for path in where.paths if (found := look(path)) is not None}
    if not own:
        return []
    _check_ours(own, force)
    if manager is not None:
        manager.require()
        manager.look_again()  # it may not know the files yet
        manager.stop([path.name for path in own])
    for path in own:
        _unlink(path)
    if manager is not None:
        manager.look_again()
    return list(own)


def status(where: Places, manager: Manager) -> Report:
    own = {path: found for path in where.paths if (found := look(path)) is not None}
    standings = {path: found.standing for path, found in own.items()}
    facts = next((found.facts for found in own.values() if found.facts), {})
    try:
        manager.require()
        return Report(standings, facts, manager.state())
    except NoServiceManager as problem:
        return Report(standings, facts, None, problem.detail)


def _refused(path: Path, error: OSError) -> NotAllowed:
    return NotAllowed(f"{path}: {error.strerror or error}.", path=str(path))
