"""Every step on the disk is interrupted in turn; after each, the launcher starts a release that was good."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path

import pytest

from launcher import events as ev
from launcher.boot import Boot
from launcher.disk import Disk, replace_file
from launcher.home import Home
from launcher.journal import Journal, entries, remembered
from launcher.record import INSTALLED, Entry, Record, ReleaseState, parse
from launcher.verdict import Kind


class PowerCut(BaseException):
    """Nothing after this moment has happened."""


class FaultyDisk(Disk):
    """Fails at the `at`-th step: by an error, or by ending everything."""

    def __init__(self, at: int, fault: str) -> None:
        self.at, self.fault, self.steps = at, fault, 0

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            if self.fault == "cut":
                raise PowerCut
            raise OSError(errno.ENOSPC if self.fault == "full" else errno.EIO, self.fault)

    def open(self, path: str, flags: int) -> int:
        self._step()
        return super().open(path, flags)

    def write(self, fd: int, data: bytes) -> int:
        half = len(data) // 2
        if half and self.steps + 1 == self.at:
            super().write(fd, data[:half])  # what is there when it happens
        self._step()
        return super().write(fd, data)

    def fsync(self, fd: int) -> None:
        self._step()
        super().fsync(fd)

    def rename(self, old: str, new: str) -> None:
        self._step()
        super().rename(old, new)

    def make_folder(self, path: str) -> None:
        self._step()
        super().make_folder(path)


def replacing_steps(tmp: Path) -> int:
    path = tmp / "counted"
    path.write_text("old")
    disk = FaultyDisk(0, "")
    replace_file(disk, str(path), b"new")
    return disk.steps


@pytest.mark.parametrize("fault", ["cut", "full", "broken"])
def test_a_replaced_file_is_the_old_or_the_new_one_at_every_step(tmp_path: Path, fault: str) -> None:
    steps = replacing_steps(tmp_path)
    assert steps >= 5, "open, write, fsync, rename, and the folder"
    outcomes = []
    for at in range(1, steps + 1):
        path = tmp_path / f"{fault}-{at}"
        path.write_text("old")
        with pytest.raises((PowerCut, OSError)):
            replace_file(FaultyDisk(at, fault), str(path), b"new")
        outcomes.append(path.read_text())
        replace_file(Disk(), str(path), b"newer")
        assert path.read_text() == "newer", "what was left over is no obstacle"
    assert set(outcomes) == {"old", "new"}


def drive(home: Home, disk_error_ok: bool) -> None:
    """A life with everything in it: staging, a switch, a failure, a roll-back; each record saved as the launcher saves it."""
    record, _ = home.load()
    boot = Boot(record)
    journal = Journal(home.journal_path, home.disk)
    script: list[ev.Event] = [ev.Begin(), ev.Healthy(), ev.Staged("r2"), ev.Died(Kind.RESTART), ev.Healthy()]
    script += [ev.Died(Kind.CRASH), ev.Healthy(), ev.Staged("r3"), ev.SwitchAsked("r3"), ev.StandbyHealthy()]
    script += [ev.Died(Kind.RESTART), ev.Healthy(), ev.Tick(), ev.StopAsked(), ev.Died(Kind.CLEAN)]
    now = 0.0
    for event in script:
        if isinstance(event, ev.Tick):
            now += 61
        for action in boot.step(event, now):
            if isinstance(action, ev.Save):
                try:
                    home.save(boot.record)
                except OSError:
                    assert disk_error_ok
            elif isinstance(action, ev.Note):
                journal.add(action.event, release=action.release, reason=action.reason)
    journal.close()


def made_home(path: Path, disk: Disk) -> Home:
    for name in ("r1", "r2", "r3"):
        folder = path / "releases" / name
        folder.mkdir(parents=True)
        (folder / "release.json").write_text(json.dumps({"id": name, "built_at": name}))
    good = Record("r1", {INSTALLED: Entry(ReleaseState.GOOD), "r1": Entry(ReleaseState.GOOD)})
    replace_file(Disk(), str(path / "boot.json"), good.dump().encode())
    return Home(str(path), disk)


@pytest.mark.parametrize("fault", ["cut", "full", "broken"])
def test_after_every_interrupted_step_the_next_start_comes_to_a_good_release(
    tmp_path: Path, fault: str
) -> None:
    counting = FaultyDisk(0, "")
    drive(made_home(tmp_path / "count", counting), disk_error_ok=False)
    assert counting.steps > 50
    for at in range(1, counting.steps + 1):
        folder = tmp_path / str(at)
        home = made_home(folder, FaultyDisk(at, fault))
        with contextlib.suppress(PowerCut):
            drive(home, disk_error_ok=fault != "cut")
        again = Home(str(folder), Disk())
        record, rebuilt = again.load()
        assert not rebuilt, "the record is always whole"
        failed = {name for name, entry in record.releases.items() if entry.state is ReleaseState.FAILED}
        boot = Boot(record)
        actions = boot.step(ev.Begin(), 0.0)
        spawned = [action.release for action in actions if isinstance(action, ev.Spawn)]
        assert len(spawned) == 1
        assert spawned[0] not in failed
        while boot.record.state(boot.active) is not ReleaseState.GOOD:
            boot.step(ev.Died(Kind.CRASH), 1.0)  # a candidate that fails
            assert boot.active is not None
        assert boot.active in ("r1", "r3")


@pytest.mark.parametrize("fault", ["cut", "full", "broken"])
def test_an_interrupted_journal_goes_on_with_the_next_number(tmp_path: Path, fault: str) -> None:
    for at in range(1, 8):
        path = str(tmp_path / f"{fault}-{at}.ndjson")
        journal = Journal(path, FaultyDisk(at, fault))
        with contextlib.suppress(PowerCut):
            for word in ("one", "two", "three"):
                journal.add(word)
            journal.close()
        after = Journal(path, Disk())
        last = after.add("after")
        after.close()
        numbers = [entry["n"] for entry in entries(path)]
        assert numbers == sorted(set(numbers)), "none twice"
        assert numbers[-1] == last["n"]
        if fault != "cut":
            assert [entry["event"] for entry in entries(path)] == ["one", "two", "three", "after"], (
                "kept until it could be written"
            )


def test_a_full_disk_is_said_and_forgets_nothing_for_a_while(tmp_path: Path) -> None:
    disk = FaultyDisk(2, "full")
    journal = Journal(str(tmp_path / "j"), disk)
    journal.add("first")
    assert "cannot be written" in journal.complaint
    journal.add("second")
    assert journal.complaint == ""
    assert [entry["event"] for entry in entries(journal.path)] == ["first", "second"]
    journal.close()


def test_the_journal_remembers_the_last_verdict(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "j"), Disk())
    for event, release in (
        ("good", "a"),
        ("good", "b"),
        ("failed", "b"),
        ("failed", "c"),
        ("staged", "c"),
        ("missing", "d"),
    ):
        journal.add(event, release=release)
    journal.close()
    assert remembered(journal.path) == {"a": "good", "b": "failed"}


def test_a_journal_of_rubbish_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(
        os.urandom(5000) + b"\n[1]\n{}\n" + b"{" * 100_000 + b'\n{"n": 5, "event": "good", "release": 3}'
    )
    journal = Journal(str(path), Disk())
    assert journal.add("now")["n"] == 6
    journal.close()
    assert remembered(str(path)) == {}
    assert [entry["event"] for entry in entries(str(path)) if "at" in entry] == ["now"]


def test_a_record_reads_as_it_was_written() -> None:
    record = Record("r1", {"r1": Entry(ReleaseState.FAILED, "why"), INSTALLED: Entry(ReleaseState.GOOD)})
    record.previous, record.tries, record.deaths, record.given_up = INSTALLED, 2, 3, ["r1"]
    assert parse(record.dump()).dump() == record.dump()
