"""Making a release with the real uv and git. Nothing is fetched: the source is the tests' own, its build backend too."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
from pathlib import Path

import psutil
import pytest

from att.release import source
from att.release.disk import Disk
from att.release.shelf import MARK, Shelf
from att.release.staging import Staging, StagingState
from launcher.disk import Disk as LauncherDisk
from launcher.home import Home, Program
from tests.att.release.house import committed, make_source
from tests.support import eventually

ENVIRON = {
    "PATH": os.environ["PATH"],
    "HOME": os.environ.get("HOME", "/"),
    "UV_OFFLINE": "1",
    "PYTHONPATH": "/nowhere",
}


async def staging(tmp_path: Path, folder: Path, disk: Disk | None = None) -> Staging:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return Staging(Shelf(home, disk or Disk()), "r1", await source.find(str(folder), None), ENVIRON)


def make(tmp_path: Path, folder: Path, disk: Disk | None = None) -> Staging:
    async def whole() -> Staging:
        made = await staging(tmp_path, folder, disk)
        made.start()
        await made.done()
        return made

    return asyncio.run(whole())


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "home" / "releases").iterdir())


def test_a_release_is_made_that_the_launcher_can_start(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "src")
    commit = committed(folder)
    made = make(tmp_path, folder)
    assert made.state is StagingState.READY, made.lines
    home = tmp_path / "home"
    launcher = Home(str(home), LauncherDisk())
    assert launcher.releases() == ["r1"]
    program = launcher.program("r1", Program("none", "none"))
    done = subprocess.run(
        [program.python, "-P", "-m", program.module], capture_output=True, text=True, check=False, env={}
    )
    assert done.stdout == "checked []\n"
    body = json.loads((home / "releases" / "r1" / "release.json").read_text())
    assert (body["id"], body["version"], body["commit"]) == ("r1", "9.9", commit)
    assert body["repository"] == str(folder)
    assert sorted(path.name for path in (home / "releases" / "r1").iterdir()) == sorted(
        ["build.log", "env", "release.json", "source"]
    )
    assert "checked ['--self-check']" in (home / "releases" / "r1" / "build.log").read_text()


def test_the_digest_tells_a_file_that_was_changed(tmp_path: Path) -> None:
    made = make(tmp_path, make_source(tmp_path / "src"))
    shelf = Shelf(tmp_path / "home", Disk())
    body = shelf.description("r1")
    assert body is not None
    assert shelf.digest("r1") == body["digest"]
    subprocess.run([made.place / "env" / "bin" / "python", "-c", "import att.daemon"], check=False, env={})
    assert shelf.digest("r1") == body["digest"], "running it changes nothing that counts"
    next(made.place.glob("env/lib/python3*/site-packages/att/daemon.py")).write_text("changed")
    assert shelf.digest("r1") != body["digest"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"code": 3}, "release_self_check_failed"),
        ({"act": "raise SystemExit('the build says no')"}, "release_build_failed"),
        ({"act": "import sys; sys.stderr.write('No space left on device'); sys.exit(1)"}, "disk_full"),
    ],
)
def test_what_fails_says_why_and_leaves_nothing(tmp_path: Path, more: dict[str, object], code: str) -> None:
    made = make(tmp_path, make_source(tmp_path / "src", **more))  # type: ignore[arg-type]
    assert made.state is StagingState.FAILED
    assert made.problem is not None
    assert made.problem.code == code, made.lines
    assert left(tmp_path) == []


def test_a_lock_that_cannot_be_installed_says_which_package(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "src")
    (folder / "requirements.lock").write_text("no-such-package-of-ours==1\n")
    made = make(tmp_path, folder)
    assert made.problem is not None
    assert "no-such-package-of-ours" in made.problem.detail
    assert left(tmp_path) == []


class Full(Disk):
    def write(self, fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    made = make(tmp_path, make_source(tmp_path / "src"), Full())
    assert made.problem is not None
    assert made.problem.code == "disk_full"
    assert left(tmp_path) == []


def test_a_cancelled_making_ends_all_that_it_started_and_leaves_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    act = f"open({str(mark)!r}, 'w').write(str(os.getpid())); import time; time.sleep(600)"

    async def whole() -> Staging:
        made = await staging(tmp_path, make_source(tmp_path / "src", act=act))
        made.start()
        await eventually(lambda: mark.exists() and mark.read_text(), 30)
        assert (made.place / MARK).exists()
        assert not Home(str(tmp_path / "home"), LauncherDisk()).releases()
        await made.cancel()
        return made

    made = asyncio.run(whole())
    assert made.state is StagingState.CANCELLED
    pid = int(mark.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert left(tmp_path) == []


def test_its_lines_are_followed_from_the_start_and_from_anywhere(tmp_path: Path) -> None:
    async def whole() -> None:
        made = await staging(tmp_path, make_source(tmp_path / "src"))
        made.start()
        live = [line async for _, block in made.follow() for line in block]
        assert live == made.lines
        assert "checked ['--self-check']" in live
        late = [line async for _, block in made.follow(len(live) - 2) for line in block]
        assert late == live[-2:]

    asyncio.run(whole())
