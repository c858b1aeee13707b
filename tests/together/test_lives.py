"""The app outlives every death and replacement of the daemon: it goes on, no line is lost or doubled, nobody is refused."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import eventually_sync
from tests.together.house import (
    COUNTER,
    SLEEPER,
    Follower,
    House,
    Visitor,
    alive,
    begin,
    end,
    gone,
    housed,
    kill,
)


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    with housed(home) as house:
        yield house


def numbers(lines: list[dict[str, Any]]) -> list[int]:
    return [int(line["text"]) for line in lines if line["stream"] == "stdout"]


def counted_once(house: House, project: str, follower: Follower) -> None:
    """Stops the app; all that it wrote, by its own word, is in the pages and was given to the follower, once and in order."""
    assert house.ask("POST", f"/projects/{project}/runtime/stop").status == 200
    lines = house.lines(project)
    [said] = [line["text"] for line in lines if line["stream"] == "stderr"]
    count = int(said.split()[1])
    assert numbers(lines) == list(range(count))
    eventually_sync(lambda: len(follower.lines) >= count + 1, 20)
    follower.stop()
    assert numbers(follower.lines) == list(range(count))
    assert [line["cursor"] for line in follower.lines] == [line["cursor"] for line in lines]
    assert follower.refused == []


def test_killed_daemons_cost_no_line_and_no_connection(house: House) -> None:
    project = house.start_app("count", COUNTER)
    before = house.status(project)
    follower, visitor = Follower(house, project), Visitor(house)
    follower.start()
    visitor.start()
    for _ in range(3):
        seen = len(follower.lines)
        eventually_sync(partial(follower.has, seen + 1000), 20)
        daemon = house.daemon_pid() or 0
        kill(daemon)
        house.new_life(daemon)
        now = house.status(project)
        assert (now["pid"], now["run_id"], now["restarts"]) == (before["pid"], before["run_id"], 0)
        assert (now["state"], now["healthy"]) == ("running", True)
        assert now["started_at"] == before["started_at"]
    visitor.stop()
    assert visitor.refused == [] and len(visitor.answers) > 10
    assert follower.connections > 3
    counted_once(house, project, follower)
    assert len(house.events("runtime.started")) == len(house.events("runtime.exited")) == 1


def test_a_daemon_that_is_stopped_is_replaced_and_the_app_goes_on(home: Path) -> None:
    with housed(home, "--hang", "3") as house:
        project = house.start_app("count", COUNTER)
        app = house.status(project)["pid"]
        follower = Follower(house, project)
        follower.start()
        daemon = house.daemon_pid() or 0
        began = kill(daemon, signal.SIGSTOP)
        house.new_life(daemon)
        assert not alive(daemon)
        assert time.monotonic() - began < 15
        assert house.status(project)["pid"] == app
        counted_once(house, project, follower)


def test_a_restart_that_was_asked_for_ends_streams_whole_and_refuses_nobody(house: House) -> None:
    project = house.start_app("count", COUNTER)
    app = house.status(project)["pid"]
    follower, visitor = Follower(house, project), Visitor(house)
    follower.start()
    visitor.start()
    eventually_sync(partial(follower.has, 1000))
    daemon = house.daemon_pid() or 0
    kill(house.process.pid, signal.SIGHUP)
    house.new_life(daemon)
    visitor.stop()
    assert (visitor.refused, visitor.broken) == ([], [])
    assert all(answer.status == 200 for answer in visitor.answers)
    [exit] = house.journal("exited")
    assert exit["reason"] == "exit code 75"
    assert house.status(project)["pid"] == app
    counted_once(house, project, follower)


def test_a_reload_of_a_wrong_configuration_changes_nothing(house: House) -> None:
    daemon = house.daemon_pid()
    (house.home / "att.toml").write_text("no_such_key = 1\n")
    kill(house.process.pid, signal.SIGHUP)
    eventually_sync(lambda: "not_reloaded" in house.said)
    assert house.daemon_pid() == daemon


def test_an_app_that_dies_between_two_lives_is_restarted_by_the_second(house: House) -> None:
    project = house.start_app("sleep", SLEEPER)
    before = house.status(project)
    daemon = house.daemon_pid() or 0
    kill(daemon, signal.SIGSTOP)  # so that it cannot hear of it
    kill(before["pid"])
    kill(daemon)
    house.new_life(daemon)
    now = house.until(project, "running")
    assert now["pid"] != before["pid"]
    assert now["restarts"] == 1
    [restarted] = eventually_sync(lambda: house.events("runtime.restarted"))
    [exited] = house.events("runtime.exited")
    assert exited["payload"]["run_id"] == before["run_id"]
    assert exited["payload"]["exit_signal"] == signal.SIGKILL
    assert restarted["payload"]["previous"] == before["run_id"]


def test_a_wait_for_the_next_start_goes_on_in_the_next_life(house: House) -> None:
    project = house.start_app("dies", "raise SystemExit(3)", "restart_delays = [0.0, 60.0]\n", wait="none")
    before = house.until(project, "backoff")
    daemon = house.daemon_pid() or 0
    kill(daemon)
    house.new_life(daemon)
    now = house.until(project, "backoff")
    assert (now["run_id"], now["restarts"]) == (before["run_id"], before["restarts"])
    assert now["backoff_until"][:18] == before["backoff_until"][:18]
    eventually_sync(lambda: len(house.events("runtime.exited")) == 2)


def test_an_app_that_failed_stays_failed(house: House) -> None:
    project = house.start_app(
        "dies", "raise SystemExit(3)", "restart_intensity = 1\nrestart_delays = [0.0]\n", "none"
    )
    before = house.until(project, "failed")
    daemon = house.daemon_pid() or 0
    kill(daemon)
    house.new_life(daemon)
    eventually_sync(lambda: len(house.journal("healthy")) == 2)
    assert house.status(project)["state"] == "failed"
    assert house.status(project)["run_id"] == before["run_id"]
    assert len(house.events("runtime.started")) == 2


def test_an_app_whose_settings_were_broken_meanwhile_goes_on_supervised(house: House) -> None:
    project = house.start_app("sleep", SLEEPER)
    app = house.status(project)["pid"]
    (house.home / "projects" / "sleep" / "att.toml").write_text("[runtime]\nno_such_key = 1\n")
    daemon = house.daemon_pid() or 0
    kill(daemon)
    house.new_life(daemon)
    now = house.status(project)
    assert (now["pid"], now["state"]) == (app, "running")
    assert "no_such_key" in now["warnings"][0]
    kill(app)
    eventually_sync(lambda: house.status(project)["state"] == "failed")
    exited = eventually_sync(lambda: house.events("runtime.exited"))
    assert exited[0]["payload"]["exit_signal"] == signal.SIGKILL


def test_a_stop_that_one_life_began_is_ended_by_the_next(house: House) -> None:
    stubborn = (
        "import signal\nsignal.signal(15, lambda *_: print('asked'))\nprint('up')\nwhile True: signal.pause()"
    )
    project = house.start_app("stubborn", stubborn, "stop_grace = 3.0\n")
    app = house.status(project)["pid"]
    assert house.ask("POST", f"/projects/{project}/runtime/stop?wait=none").status < 300
    eventually_sync(lambda: "asked" in [line["text"] for line in house.lines(project)])
    daemon = house.daemon_pid() or 0
    kill(daemon)
    house.new_life(daemon)
    eventually_sync(gone(app), 20)
    eventually_sync(lambda: house.status(project)["state"] == "stopped")
    eventually_sync(lambda: house.events("runtime.stopped"))  # it is told a moment after
    assert len(house.events("runtime.exited")) == len(house.events("runtime.stopped")) == 1


def test_when_the_launcher_dies_the_daemon_stops_the_app_and_leaves(home: Path) -> None:
    house = begin(home)
    try:
        project = house.start_app("sleep", SLEEPER)
        app, daemon = house.status(project)["pid"], house.daemon_pid() or 0
        kill(house.process.pid)
        house.process.wait()
        eventually_sync(gone(app), 20)
        eventually_sync(gone(daemon), 20)
    finally:
        end(house)
    with housed(home) as house:
        eventually_sync(lambda: house.status(project)["state"] == "running")
        [exited] = house.events("runtime.exited")
        assert exited["payload"]["reason"] == "launcher_lost"


def test_when_both_die_the_next_start_ends_what_they_left_first(home: Path) -> None:
    house = begin(home)
    try:
        project = house.start_app("count", COUNTER)
        app, daemon = house.status(project)["pid"], house.daemon_pid() or 0
        kill(daemon, signal.SIGSTOP)  # so that neither hears of the other's death
        kill(house.process.pid)
        house.process.wait()
        kill(daemon)
        eventually_sync(gone(daemon))
    finally:
        end(house)
    with housed(home) as house:
        now = house.until(project, "running")
        assert now["pid"] != app
        assert not alive(app)
        [exited] = house.events("runtime.exited")
        assert exited["payload"]["reason"] == "daemon_lost"


def test_a_stop_of_the_launcher_stops_everything_in_order(home: Path) -> None:
    house = begin(home)
    try:
        project = house.start_app("count", COUNTER)
        app, daemon = house.status(project)["pid"], house.daemon_pid() or 0
        assert house.stop() == 0
        assert not alive(app) and not alive(daemon)
    finally:
        end(house)
    with housed(home) as house:
        eventually_sync(lambda: house.status(project)["state"] == "running")
        lines = house.lines(project)
        [said] = [line["text"] for line in lines if line["stream"] == "stderr"]
        count = int(said.split()[1])
        assert numbers(lines)[:count] == list(range(count))
        assert [e["payload"]["exit_code"] for e in house.events("runtime.exited")] == [0]


def test_the_launchers_journal_becomes_events_once(house: House) -> None:
    for _ in range(2):
        daemon = house.daemon_pid() or 0
        kill(daemon)
        house.new_life(daemon)

    def told() -> list[tuple[str, int]]:
        found = [(e["event_type"], e["payload"]["n"]) for e in house.events()]
        return [(kind.removeprefix("launcher."), n) for kind, n in found if kind.startswith("launcher.")]

    eventually_sync(lambda: len(house.journal("healthy")) >= 3)
    written = [(entry["event"], entry["n"]) for entry in house.journal()]
    assert ("exited", written[4][1]) in written
    eventually_sync(lambda: told() == [(entry["event"], entry["n"]) for entry in house.journal()])


def test_health_names_this_life_and_its_parts(house: House) -> None:
    health = house.ask("GET", "/health").json
    assert health["boot_id"] == house.journal("started")[-1]["boot_id"]
    assert (health["release"], health["safe_mode"], health["status"]) == ("installed", False, "ok")
    assert {check["name"] for check in health["checks"]} >= {"store", "runtime", "keeper", "logs"}
    assert health["heartbeat"]["age_seconds"] < 10


def test_a_deleted_project_leaves_no_ring_and_its_name_can_be_used_again(house: House) -> None:
    project = house.start_app("again", "print('first')\n" + SLEEPER)
    assert house.ask("DELETE", f"/projects/{project}").status < 300
    (house.home / "projects" / "again" / "att.toml").unlink(missing_ok=True)
    os.rename(house.home / "projects" / "again", house.home / "projects" / "was")
    project = house.start_app("again", "print('second')\n" + SLEEPER)
    eventually_sync(lambda: [line["text"] for line in house.lines(project)] == ["second", "up"])
