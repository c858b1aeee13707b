"""A write leaves either the file or nothing, however its process ends, and what was left before is taken away."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from att import confine_put
from att.confine import TEMPORARY, Inside, PathTaken

DIES = """
import os, signal, sys
from pathlib import Path
from att import confine_put
from att.confine import Inside
if sys.argv[2] == "named":
    confine_put._NAMELESS = 0
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
Inside(Path(sys.argv[1])).write("file", b"half")
"""


@pytest.fixture(params=["nameless", "named", "never named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What file systems can do: files without a name; none; and such that never get one."""
    if request.param == "named":
        monkeypatch.setattr(confine_put, "_NAMELESS", 0)
    if request.param == "never named":
        monkeypatch.setattr(confine_put, "_link", _refused)
    return request.param


def _refused(folder: int, descriptor: int, name: str) -> None:
    raise confine_put._NoName


def swept(folder: Path, now: float | None = None) -> list[str]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return confine_put.sweep(descriptor, time.time() if now is None else now)
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("way")
def test_files_are_made_and_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    inside = Inside(tmp_path)
    assert inside.write("file", b"one").created
    (tmp_path / "file").chmod(0o640)
    assert not inside.write("file", b"two").created
    with pytest.raises(PathTaken):
        inside.write("file", b"three", exclusive=True)
    assert inside.write("other", b"four", exclusive=True).created
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"two", "other": b"four"}
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("way", ["nameless", "named"])
def test_nothing_is_left_of_a_writer_that_is_killed(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confine_put, "_swept", set())
    ended = subprocess.run([sys.executable, "-c", DIES, str(tmp_path), way], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == (1 if way == "named" or not confine_put._NAMELESS else 0)
    Inside(tmp_path).write("next", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["next"]


def test_what_somebody_writes_at_the_moment_is_left_alone(tmp_path: Path) -> None:
    draft = tmp_path / f"{TEMPORARY}locked-0123456789abcdef"
    with draft.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert swept(tmp_path, time.time() + 1e6) == []
    assert swept(tmp_path) == [draft.name]


def test_a_file_that_is_swept_before_it_is_locked_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confine_put, "_NAMELESS", 0)
    lock, draft, sweeping = confine_put._lock, confine_put._draft, []
    taken, drafted = threading.Event(), threading.Event()
    unlink = os.unlink

    def slow(name: str, *, dir_fd: int) -> None:
        if threading.current_thread() in sweeping:
            taken.set()
            drafted.wait(0.3)
        unlink(name, dir_fd=dir_fd)

    def late(descriptor: int) -> bool:
        if not sweeping:
            sweeping.append(threading.Thread(target=swept, args=(tmp_path,)))
            sweeping[0].start()
            taken.wait(10)
        return lock(descriptor)

    def watched(folder: int, mode: int) -> tuple[int, str | None]:
        found = draft(folder, mode)
        drafted.set()
        sweeping[0].join(10)
        return found

    monkeypatch.setattr(os, "unlink", slow)
    monkeypatch.setattr(confine_put, "_lock", late)
    monkeypatch.setattr(confine_put, "_draft", watched)
    Inside(tmp_path).write("file", b"whole")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_what_carries_no_lock_is_taken_away_when_it_is_old_and_what_is_not_ours_never(tmp_path: Path) -> None:
    ours = [f"{TEMPORARY}0123456789abcdef", f"{TEMPORARY}0123456789abcdee"]
    (tmp_path / ours[0]).write_bytes(b"")
    (tmp_path / ours[1]).symlink_to("nowhere")
    for name in (f"{TEMPORARY}notes.txt", f"{TEMPORARY}locked-", "x.att-writing-0123456789abcdef"):
        (tmp_path / name).write_bytes(b"theirs")
    (tmp_path / f"{TEMPORARY}locked-0123456789abcdef").mkdir()
    assert swept(tmp_path) == []
    assert sorted(swept(tmp_path, time.time() + 4000)) == sorted(ours)
    assert len(list(tmp_path.iterdir())) == 4
