"""kill -9 of the daemon at any moment, while projects are made, events are read, an app talks and somebody follows it.

What the next life must show: every event and project that was acknowledged, a sound database, no process of the life before,
every run closed, and a log in which no cursor ever means two things and in which all that is missing is said to be lost.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contract.house import ALIVE, kept_by, log_lines
from tests.daemon import ROOT, RunningDaemon, environment, running, start
from tests.support import eventually_sync, free_port

# Numbers its lines, and lives on when nobody takes them any more.
APP = """
import itertools, os, signal, sys, time
run = os.environ["ATT_RUN"]
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
try:
    for i in itertools.count():
        os.write(1 + (i % 50 == 49), f"{run} {i}\\n".encode())
        if i % 20 == 0:
            time.sleep(0.005)
except OSError:
    while True:
        signal.pause()
"""


@dataclass
class Seen:
    """All that any life has told to a client as done."""

    projects: set[str] = field(default_factory=set)
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    lines: dict[int, str] = field(default_factory=dict)  # by the offset of the cursor
    moments: Counter[str] = field(default_factory=Counter)


def offset(cursor: str) -> int:
    return int(cursor.rpartition("-")[2])


class Crowd:
    """Clients of one life, each in a thread, until the daemon is gone."""

    def __init__(self, daemon: RunningDaemon, seen: Seen, life: int) -> None:
        self.daemon, self.seen, self.life = daemon, seen, life
        work = (self.make, self.make_other, self.read, self.follow)
        self.threads = [threading.Thread(target=self._until_gone, args=(each,)) for each in work]
        for thread in self.threads:
            thread.start()

    def _until_gone(self, work: Any) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            work()

    def make(self, kind: str = "a") -> None:
        for number in range(10_000):
            name = f"p{self.life}-{kind}{number}"
            folder = self.daemon.home / "projects" / name
            folder.mkdir()
            made = self.daemon.ask("POST", "/projects", {"name": name, "path": str(folder)})
            if made.status == 201:
                self.seen.projects.add(name)
            else:
                assert made.status == 503, made.text  # it is stopping

    def make_other(self) -> None:
        self.make("b")

    def read(self) -> None:
        while True:
            page = self.daemon.ask("GET", "/events?limit=50")
            if page.status == 200:
                self.seen.events.update((event["id"], event) for event in page.json["events"])

    def follow(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=10)
        with closing(connection):
            head = {"Authorization": f"Bearer {self.daemon.token}"}
            target = "/api/v1/projects/app/runtime/logs?format=ndjson"
            connection.request("GET", target, headers=head)
            answer = connection.getresponse()
            rest = b""
            while piece := answer.read1(1 << 16):
                *whole, rest = (rest + piece).split(b"\n")
                for line in filter(None, whole):
                    told = json.loads(line)
                    if "text" in told:
                        self.seen.lines[offset(told["cursor"])] = told["text"]

    def join(self) -> None:
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()


def sound(home: Path, place: Path) -> None:
    """The database as the killed life left it (a copy: to look at it would mend it)."""
    place.mkdir()
    for name in ("att.db", "att.db-wal"):
        if (home / name).exists():
            shutil.copy(home / name, place / name)
    with closing(sqlite3.connect(place / "att.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    shutil.rmtree(place)


def kill_while_it_starts(home: Path, after: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "att.daemon"],
        env=environment(home, free_port()),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)  # a moment of its own is what is tried here
    process.kill()
    process.wait()


def live_and_be_killed(home: Path, seen: Seen, life: int, chance: random.Random) -> None:
    """One life with clients, checked against what was seen of those before, then killed: within it or while it ends."""
    orphans = kept_by(home)
    daemon = start(home)
    try:
        assert not orphans & kept_by(home), "the app of a killed life goes on"
        check_state(daemon, seen)
        crowd = Crowd(daemon, seen, life)
        time.sleep(chance.uniform(0.0, 0.5))
        if chance.random() < 0.25:
            daemon.process.send_signal(signal.SIGTERM)
            time.sleep(chance.uniform(0.0, 0.15))
            seen.moments["while it ended"] += 1
        else:
            seen.moments["while it lived"] += 1
    finally:
        daemon.kill()
    crowd.join()


def check_state(daemon: RunningDaemon, seen: Seen) -> None:
    projects = {project["id"] for project in pages(daemon, "/projects?limit=1000", "projects")}
    assert seen.projects <= projects
    events = {event["id"]: event for event in pages(daemon, "/events?limit=1000&order=oldest", "events")}
    assert {number: events.get(number) for number in seen.events} == seen.events
    made = Counter(e["project_id"] for e in events.values() if e["event_type"] == "project.created")
    assert all(made[name] == 1 for name in projects)
    newest = daemon.ask("GET", "/projects/app/runtime/logs?limit=1").json["newest_cursor"]
    assert offset(newest) >= max(seen.lines, default=0)


def pages(daemon: RunningDaemon, path: str, name: str) -> Iterator[dict[str, Any]]:
    cursor: str | None = ""
    while cursor is not None:
        page = daemon.ask("GET", path + (f"&cursor={cursor}" if cursor else ""))
        assert page.status == 200, page.text
        yield from page.json[name]
        cursor = page.json["next_cursor"] if page.json[name] else None


def check_runs(daemon: RunningDaemon) -> None:
    """Each run that began has ended once, but the one that runs."""
    current = daemon.ask("GET", "/projects/app/runtime/status").json["run_id"]
    events = list(pages(daemon, "/events?limit=1000&type=runtime.*&order=oldest", "events"))
    begun = Counter(e["payload"]["run_id"] for e in events if e["event_type"] == "runtime.started")
    ended = Counter(e["payload"]["run_id"] for e in events if e["event_type"] == "runtime.exited")
    assert set(begun.values()) == set(ended.values()) == {1}
    assert begun.keys() - ended.keys() == {current}
    assert not ended.keys() - begun.keys()


def check_log(daemon: RunningDaemon, seen: Seen) -> int:
    """No cursor means two things; within a run nothing is missing but where it is said. How many holes there are."""
    found = log_lines(daemon, "app")
    known: dict[int, str] = {}
    last: dict[str, int] = {}
    before, holes, hole = -1, 0, False
    silent: list[int] = []
    missing = sorted(seen.lines)
    for entry in found:
        if "lost" in entry:
            holes, hole = holes + 1, True
            assert entry["lost"]["bytes"] > 0
            continue
        at = offset(entry["cursor"])
        assert at > before
        silent += [] if hole else [o for o in missing_between(missing, before, at) if o not in known]
        run, _, text = entry["text"].rpartition(" ")
        if run.startswith("2") and text.isdigit() and entry["stream"] == "stdout":
            number = int(text)
            step = 2 if number % 50 == 0 else 1  # every fiftieth goes to stderr
            assert run not in last or hole or number == last[run] + step, (entry, last[run])
            last[run] = number
        known[at] = entry["text"]
        before, hole = at, False
    assert silent == [], "lines that a client had are neither there nor told as lost"
    different = {o: (seen.lines[o], known[o]) for o in seen.lines if o in known and known[o] != seen.lines[o]}
    assert different == {}
    return holes


def missing_between(offsets: list[int], low: int, high: int) -> list[int]:
    import bisect

    return offsets[bisect.bisect_right(offsets, low) : bisect.bisect_left(offsets, high)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rounds", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_killed_at_any_moment(tmp_path: Path, rounds: int) -> None:
    number = random.SystemRandom().randrange(1 << 32)
    print(f"seed {number}")
    chance, seen, home = random.Random(number), Seen(), tmp_path / "home"
    script = tmp_path / "app.py"
    script.write_text(APP)
    first = start(home)
    try:
        first.project("app", [sys.executable, str(script)], ALIVE)
        assert first.ask("POST", "/projects/app/runtime/start").status == 200
    finally:
        first.kill()
    for life in range(rounds):
        if chance.random() < 0.2:
            kill_while_it_starts(home, chance.uniform(0.0, 1.5))
            seen.moments["while it started"] += 1
        else:
            live_and_be_killed(home, seen, life, chance)
        sound(home, tmp_path / "copy")
    orphans = kept_by(home)
    with running(home) as daemon:
        eventually_sync(lambda: daemon.ask("GET", "/projects/app/runtime/status").json["state"] == "running")
        assert not orphans & kept_by(home)
        assert len(kept_by(home)) == 1
        check_state(daemon, seen)
        check_runs(daemon)
        holes = check_log(daemon, seen)
        said = daemon.said
    assert kept_by(home) == set()
    assert "Traceback" not in said
    print(
        f"{dict(seen.moments)}: {len(seen.projects)} projects, {len(seen.events)} events, {len(seen.lines)} lines, {holes} holes"
    )


def test_what_never_reached_the_disk_reads_as_lost(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(APP)
    keeps_nothing = {
        "ATT_LOG_MIN_FREE": "1000TiB",
        "ATT_LOG_MIN_FREE_PERCENT": "100",
    }  # as if the disk were full: the log lives in memory only
    with running(tmp_path / "home", **keeps_nothing) as daemon:
        daemon.project("app", [sys.executable, str(script)], ALIVE)
        assert daemon.ask("POST", "/projects/app/runtime/start").status == 200
        eventually_sync(lambda: daemon.ask("GET", "/health").json["status"] == "degraded")
        logs = "/projects/app/runtime/logs"
        mark = daemon.ask("GET", f"{logs}?limit=1").json["newest_cursor"]
        before = eventually_sync(lambda: got if len(got := log_lines(daemon, "app", mark)) > 100 else [])
        orphans = kept_by(daemon.home)
        daemon.kill()
    assert orphans
    with running(tmp_path / "home") as daemon:
        assert not orphans & kept_by(daemon.home)
        eventually_sync(lambda: daemon.ask("GET", "/projects/app/runtime/status").json["state"] == "running")
        end = offset(before[-1]["cursor"])
        for line in (before[0], before[len(before) // 2]):
            page = daemon.ask("GET", f"{logs}?cursor={line['cursor']}&wait=10").json
            assert page["lost"]["bytes"] >= end - offset(line["cursor"])
        after = eventually_sync(lambda: [e for e in log_lines(daemon, "app", mark) if "text" in e])
        assert min(offset(line["cursor"]) for line in after) > end
        assert not {line["text"] for line in after} & {line["text"] for line in before}


def test_a_build_of_a_killed_life_is_ended_by_the_next(tmp_path: Path) -> None:
    with running(tmp_path / "home", UV_OFFLINE="1") as daemon:
        folder = daemon.home / "projects" / "slow"
        (folder / "backend").mkdir(parents=True)
        (folder / "pyproject.toml").write_text(
            "[build-system]\nrequires = []\nbuild-backend = 'slow'\nbackend-path = ['backend']\n"
            "[project]\nname = 'slow'\nversion = '1'\n"
        )
        (folder / "backend" / "slow.py").write_text("import signal\nsignal.pause()\n")
        assert daemon.ask("POST", "/projects", {"name": "slow", "path": str(folder)}).status == 201
        assert daemon.ask("POST", "/projects/slow/runtime/environment").status == 202
        eventually_sync(lambda: len(kept_by(daemon.home)) > 1, 30)
        daemon.kill()
    builders = kept_by(tmp_path / "home")
    assert builders
    with running(tmp_path / "home") as daemon:
        assert not builders & kept_by(daemon.home)
        assert daemon.ask("GET", "/projects/slow/runtime/environment").json["state"] in (
            "unfinished",
            "missing",
        )
