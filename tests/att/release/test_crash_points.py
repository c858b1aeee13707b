"""Making a release and clearing one away, interrupted at every step on the disk; after each, the launcher starts a good
release, and the next life clears the rest and makes the release after all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from att.release import source
from att.release.disk import Disk
from att.release.shelf import GONE, Shelf
from att.release.shim import point_at, write_shim
from att.release.staging import Staging, StagingState
from launcher import events as ev
from launcher.boot import Boot
from launcher.disk import Disk as LauncherDisk
from launcher.home import Home
from launcher.record import Entry, Record, ReleaseState
from launcher.verdict import Kind
from tests.att.release.house import add_release, make_source


class PowerCut(BaseException):
    """Nothing after this moment has happened."""


class Faulty(Disk):
    """Fails at the `at`-th step: by an error once, or by doing nothing any more."""

    def __init__(self, at: int, fault: str) -> None:
        self.at, self.fault, self.steps, self.off = at, fault, 0, False

    def _step(self) -> None:
        self.steps += 1
        if self.off or self.steps == self.at:
            if self.fault == "cut":
                self.off = True
                raise PowerCut
            raise OSError(errno.ENOSPC if self.fault == "full" else errno.EIO, self.fault, "somewhere")

    def make_folder(self, path: Path) -> None:
        self._step()
        super().make_folder(path)

    def open(self, path: Path, mode: int) -> int:
        self._step()
        return super().open(path, mode)

    def write(self, fd: int, data: bytes) -> int:
        if self.steps + 1 == self.at and not self.off:
            super().write(fd, data[: len(data) // 2])  # what is there when it happens
        self._step()
        return super().write(fd, data)

    def fsync(self, fd: int) -> None:
        self._step()
        super().fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def symlink(self, target: str, path: Path) -> None:
        self._step()
        super().symlink(target, path)

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)

    def remove_tree(self, path: Path) -> None:
        first = next((one for one in path.rglob("*") if one.is_file()), None)
        if self.steps + 1 == self.at and not self.off and first is not None:
            first.unlink()  # half removed
        self._step()
        super().remove_tree(path)

    def sync_tree(self, path: Path) -> None:
        self._step()
        super().sync_tree(path)


class Commands:
    """Stands for uv and the check: what they would put on the disk, each as one step of it."""

    def __init__(self, disk: Faulty) -> None:
        self._disk = disk

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[str], None],
        timeout: float | None,
    ) -> int:
        self._disk._step()
        if argv[1] == "venv":
            (cwd / "env" / "bin").mkdir(parents=True)
            (cwd / "env" / "bin" / "python").symlink_to(sys.executable)
        elif argv[1] == "build":
            (cwd / "wheels").mkdir()
            (cwd / "wheels" / "a.whl").write_text("wheel")
        on_line(" ".join(argv[1:3]))
        return 0


def made_home(path: Path) -> Path:
    """One good release that runs."""
    add_release(path, "r1")
    good = Record("r1", {"installed": Entry(ReleaseState.GOOD), "r1": Entry(ReleaseState.GOOD)})
    (path / "boot.json").write_text(good.dump())
    return path


def stage(home: Path, folder: Path, disk: Faulty, release: str = "r2") -> Staging:
    async def whole() -> Staging:
        found = await source.find(str(folder), None)
        made = Staging(Shelf(home, disk), release, found, {}, run=Commands(disk))
        made.start()
        await made.done()
        return made

    return asyncio.run(whole())


def interrupted(home: Path, folder: Path, disk: Faulty) -> Staging | None:
    with contextlib.suppress(PowerCut):
        return stage(home, folder, disk)
    return None


def starts_a_good_one(path: Path) -> Boot:
    """What the launcher does at its next start, scanning what is there."""
    home = Home(str(path), LauncherDisk())
    record, rebuilt = home.load()
    assert not rebuilt
    boot = Boot(record)
    for name in home.releases():
        if name not in record.releases:
            boot.step(ev.Staged(name), 0.0)
    spawned = [action for action in boot.step(ev.Begin(), 0.0) if isinstance(action, ev.Spawn)]
    assert [action.release for action in spawned] == ["r1"]
    assert boot.record.state("r1") is ReleaseState.GOOD
    return boot


@pytest.mark.parametrize("fault", ["cut", "full", "broken"])
def test_a_making_that_is_cut_off_at_any_step_leaves_a_home_that_starts(tmp_path: Path, fault: str) -> None:
    folder = make_source(tmp_path / "src")
    (folder / "alias").symlink_to("backend.py")
    counting = Faulty(0, "")
    assert stage(made_home(tmp_path / "count"), folder, counting).state is StagingState.READY
    assert counting.steps > 35
    outcomes = set()
    for at in range(1, counting.steps + 1):
        home = made_home(tmp_path / str(at))
        disk = Faulty(at, fault)
        made = interrupted(home, folder, disk)
        boot = starts_a_good_one(home)
        whole = boot.record.staged == "r2"
        outcomes.add(whole)
        if fault != "cut":
            assert made is not None
            assert (made.state is StagingState.READY) == whole, "it says how it ended"
            assert whole or made.problem is not None
        if whole:  # complete, so it can be run
            assert Shelf(home, Disk()).runs("r2")
        cleared = Shelf(home, Disk()).clear()
        names = sorted(path.name for path in (home / "releases").iterdir())
        assert names == (["r1", "r2"] if whole else ["r1"]), (at, names, cleared)
        assert not any(path.name.startswith("att-") for path in (home / "releases").glob("*/*"))
        if not whole:
            assert stage(home, folder, Faulty(0, "")).state is StagingState.READY
    assert True in outcomes if fault == "cut" else outcomes
    assert False in outcomes


@pytest.mark.parametrize("fault", ["cut", "broken"])
def test_clearing_away_that_is_cut_off_at_any_step_is_done_at_the_next_start(
    tmp_path: Path, fault: str
) -> None:
    def clear(home: Path, disk: Disk) -> None:
        shelf = Shelf(home, disk)
        shelf.discard("r2")
        shelf.strip("r3")

    def made(path: Path) -> Path:
        made_home(path)
        add_release(path, "r2")
        (add_release(path, "r3") / "source").mkdir()
        return path

    counting = Faulty(0, "")
    clear(made(tmp_path / "count"), counting)
    assert counting.steps >= 9
    for at in range(1, counting.steps + 1):
        home = made(tmp_path / str(at))
        with contextlib.suppress(PowerCut, OSError):
            clear(home, Faulty(at, fault))
        for name in Home(str(home), LauncherDisk()).releases():
            assert name == "r3" or Shelf(home, Disk()).runs(name), "what looks like a release is whole"
        Shelf(home, Disk()).clear()
        assert not list((home / "releases").glob(f"{GONE}*"))
        starting = Shelf(home, Disk())
        if "r2" in starting.found():
            starting.discard("r2")
        starting.strip("r3")
        assert sorted(starting.found()) == ["r1", "r3"]
        assert [path.name for path in starting.place("r3").iterdir()] == ["release.json"]


@pytest.mark.parametrize("fault", ["cut", "full"])
def test_the_command_at_its_stable_place_is_the_old_or_the_new_one(tmp_path: Path, fault: str) -> None:
    def point(home: Path, disk: Disk) -> None:
        write_shim(disk, home, installed=True)
        point_at(disk, home, "r1")
        point_at(disk, home, "r2")

    counting = Faulty(0, "")
    (tmp_path / "count").mkdir()
    point(tmp_path / "count", counting)
    assert counting.steps >= 12
    for at in range(1, counting.steps + 1):
        home = tmp_path / str(at)
        home.mkdir()
        with contextlib.suppress(PowerCut, OSError):
            point(home, Faulty(at, fault))
        link, script = home / "current", home / "bin" / "att"
        assert not link.is_symlink() or str(link.readlink()) in ("releases/r1", "releases/r2")
        assert not script.exists() or os.access(script, os.X_OK)
        point(home, Disk())
        assert str(link.readlink()) == "releases/r2"
        assert script.read_text().startswith("#!/bin/sh")


def test_what_somebody_else_put_there_is_left_alone(tmp_path: Path) -> None:
    home = made_home(tmp_path)
    (home / "releases" / "notes").mkdir()
    (home / "releases" / "notes" / "mine.txt").write_text("mine")
    (home / "releases" / "file").write_text("mine")
    (home / "releases" / "link").symlink_to(tmp_path)
    assert Shelf(home, Disk()).clear() == []
    assert sorted(path.name for path in (home / "releases").iterdir()) == ["file", "link", "notes", "r1"]


def test_a_failed_candidate_still_leads_back(tmp_path: Path) -> None:
    home = made_home(tmp_path)
    assert stage(home, make_source(tmp_path / "src"), Faulty(0, "")).state is StagingState.READY
    boot = starts_a_good_one(home)
    boot.step(ev.Healthy(), 0.0)
    boot.step(ev.SwitchAsked("r2"), 1.0)
    boot.step(ev.StandbyLost(Kind.CRASH, "exit 1"), 2.0)
    assert (boot.record.current, boot.record.state("r2")) == ("r1", ReleaseState.FAILED)
