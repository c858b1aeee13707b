"""A PostgreSQL server of the tests' own: a new cluster, on a unix socket, as a user who is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest


def _programs() -> Path | None:
    """The newest installed server's directory."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    if candidates:
        return candidates[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _user() -> str | None:
    """Whom to run it as: PostgreSQL refuses to be root. None: ourselves."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), "")


@contextmanager
def server() -> Iterator[str]:
    """The URL of a fresh database; skips the test, and says why, when there can be none."""
    programs, user = _programs(), _user()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    if user == "":
        pytest.skip("PostgreSQL does not run as root, and there is no other user to run it as")
    folder = Path(tempfile.mkdtemp(prefix="att-pg-"))  # short: a socket's path may have 107 characters
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        call([programs / "initdb", "-D", data, "-U", "att", "-A", "trust", "--no-sync", "-E", "UTF8"], user)
        begin(programs, folder, user)
        try:
            call([programs / "createdb", "-h", folder, "-U", "att", "att"], user)
            yield f"postgresql://att@/att?host={folder}"
        finally:
            call([programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def begin(programs: Path, folder: Path, user: str | None) -> None:
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    words = [programs / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", options, "start"]
    call(words, user)


@contextmanager
def away(url: str) -> Iterator[None]:
    """The server is not there, as after a crash; afterwards it is again."""
    programs, folder, user = _programs(), Path(url.rpartition("host=")[2]), _user()
    assert programs is not None
    call([programs / "pg_ctl", "-D", folder / "data", "-w", "-m", "immediate", "stop"], user)
    try:
        yield
    finally:
        begin(programs, folder, user)


@contextmanager
def frozen(url: str) -> Iterator[None]:
    """The server is there and answers nothing, as behind a network that loses everything."""
    folder = Path(url.rpartition("host=")[2])
    first = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))
    processes = [first, *first.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def call(command: list[str | Path], user: str | None) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        user=user,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def database(url: str, name: str) -> str:
    """A fresh database on the same server."""
    folder = url.rpartition("host=")[2]
    programs = _programs()
    assert programs is not None
    call([programs / "createdb", "-h", folder, "-U", "att", name], None)
    return url.replace("/att?", f"/{name}?")
