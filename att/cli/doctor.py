"""`att doctor`: looks for what usually goes wrong and says the remedy. Changes nothing, and works without a daemon.

Each check is a small function over what it needs to know; it answers with findings. A finding that is `fail` stops ATT or an app
from working, one that is `warn` may do so later. `diagnose` puts them in the order in which they are worth mending; the
checks of the machine and the home stand here, the others in `att.cli.doctor_daemon`.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from att import config
from att.access import read_token
from att.cli.doctor_daemon import ask, check_daemon, check_port, check_project, check_store, known_projects
from att.cli.finding import Finding, Standing, fail, failed, ok, warn
from att.config import BadSettings, Settings

__all__ = ["Finding", "Standing", "diagnose", "failed"]

PYTHON = ((3, 11), (3, 14))  # from, below
UV = (0, 5)
GIT = (2, 30)
FULL = 64 << 20  # less free space than this: nothing can be written any more
BUILD = 3 << 30  # what building an environment with NAT may need
EPOCH = 1_735_689_600.0  # 2025-01-01: a clock before it was never set


def diagnose(
    flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> list[Finding]:
    """Everything that can be looked at, in the order in which it is worth mending."""
    environ = os.environ if environ is None else environ
    return list(_all({**(flags or {})}, environ))


def _all(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[Finding]:
    yield check_python(sys.version_info[:3])
    yield check_uv()
    yield check_git(shutil.which("git", path=environ.get("PATH")))
    yield check_clock(time.time())
    home = config.find_home(flags.get("home"), environ)
    yield check_home(home)
    yield check_disk(home)
    try:
        settings = config.load(flags, environ)
    except BadSettings as problem:
        yield fail("settings", problem.detail, problem.advice)
        return
    yield from check_settings(settings, environ)
    yield check_token(settings.token_file)
    there = config.where_it_runs(settings)
    answer = ask(there)
    if (
        there.listen != settings.listen and answer.health is None
    ):  # not there any more: what the next start would take
        there, answer = settings, ask(settings)
    yield check_daemon(there, answer)
    yield check_port(there, answer)
    yield from check_store(settings)
    for id_, folder in known_projects(settings):
        yield from check_project(id_, folder, environ)


# ---- the machine


def check_python(version: tuple[int, ...]) -> Finding:
    said = ".".join(map(str, version[:3]))
    low, high = PYTHON
    if low <= tuple(version[:2]) < high:
        return ok("python", f"Python {said}.")
    span = f"{low[0]}.{low[1]} to {high[0]}.{high[1] - 1}"
    return fail("python", f"Python {said} is not one that ATT runs on.", f"Use Python {span}.")


def check_uv() -> Finding:
    """uv comes with ATT; it builds the projects' environments."""
    try:
        from uv import find_uv_bin

        program = find_uv_bin()
    except (ImportError, FileNotFoundError):
        return fail(
            "uv", "uv is missing: no environment can be built.", "Install it beside ATT: pip install uv"
        )
    return _program("uv", program, UV)


def check_git(program: str | None) -> Finding:
    if program is None:
        return warn(
            "git", "git is not on PATH: projects cannot be cloned.", "Install git (Debian: apt install git)."
        )
    return _program("git", program, GIT)


def _program(name: str, program: str, least: tuple[int, int]) -> Finding:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return fail(
            name, f"{program} does not run: {type(error).__name__}.", f"Install {name} anew, or mend PATH."
        )
    said = next((word for word in done.stdout.split() if word[0].isdigit()), "")
    number = tuple(int(part) for part in said.split(".")[:2] if part.isdigit())
    if number < least:
        return warn(
            name, f"{name} {said} is old.", f"Use {name} {'.'.join(map(str, least))} or newer ({program})."
        )
    return ok(name, f"{name} {said} ({program}).")


def check_clock(now: float) -> Finding:
    if now >= EPOCH:
        return ok("clock", f"The clock says {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(now))}.")
    said = time.strftime("%Y-%m-%d", time.gmtime(now))
    return fail(
        "clock",
        f"The clock says {said}: it was not set.",
        "Set it (timedatectl set-ntp true), then restart ATT.",
    )


# ---- the home


def check_home(home: Path) -> Finding:
    try:
        about = home.stat()
    except FileNotFoundError:
        return _can_be_made(home)
    except OSError as error:
        return fail("home", f"{home} cannot be read: {error.strerror}.", "Check its owner and its rights.")
    if not stat.S_ISDIR(about.st_mode):
        return fail("home", f"{home} is no folder.", "Move it away, or set another home by ATT_HOME.")
    if about.st_uid != os.getuid():
        return fail(
            "home",
            f"{home} belongs to another user.",
            "Run ATT as that user, or set another home by ATT_HOME.",
        )
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return fail("home", f"{home} cannot be written.", f"chmod 700 {home}")
    if stat.S_IMODE(about.st_mode) & 0o077:
        return warn("home", f"Other users can look into {home}.", f"chmod 700 {home}")
    return ok("home", f"{home}.")


def _can_be_made(home: Path) -> Finding:
    above = next(parent for parent in home.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return fail(
            "home",
            f"{home} is not there and cannot be made: {above} cannot be written.",
            "Set another home by ATT_HOME.",
        )
    return ok("home", f"{home} is made when ATT first starts.")


def check_disk(home: Path, free: int | None = None) -> Finding:
    """`free` in bytes; None: looked up."""
    place = next(path for path in (home, *home.parents) if path.exists())
    if free is None:
        free = shutil.disk_usage(place).free
    said = f"{free / (1 << 30):.1f} GiB free at {place}."
    if free < FULL:
        return fail(
            "disk",
            f"The disk is full: {said}",
            "Make space; `att runtime logs-delete PROJECT` frees old logs.",
        )
    if free < BUILD:
        return warn("disk", said, "Building an environment with NAT may need up to 3 GiB; make space before.")
    return ok("disk", said)


def check_settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    file = settings.home / config.FILE
    said = [*config.hints(environ), *config.warnings(settings)]
    for sentence in said:
        yield warn("settings", sentence, "See the table of settings in README.md.")
    if not said:
        yield ok("settings", f"{file} is valid." if file.exists() else "The defaults and the environment.")


def check_token(file: Path) -> Finding:
    if not os.path.lexists(file):
        return ok("token", f"{file} is made when ATT first starts.")
    try:
        read_token(file)
    except BadSettings as problem:
        return fail("token", problem.detail, problem.advice)
    return ok("token", f"{file}, readable by you only.")
