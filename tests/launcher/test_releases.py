"""Which release runs, with real processes: staged, tried, good, failed, rolled back; and a boot record that is damaged."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.launcher.conftest import Home, Launched

Launch = Callable[..., Launched]


def test_a_staged_release_is_started_by_75_and_becomes_good(home: Home, launch: Launch) -> None:
    att = launch("--probation", "0.5")
    att.wait_for("healthy")
    home.add_release("r1")
    att.get("/say/stage/r1")
    att.wait_for("staged", "r1")
    att.get("/exit/75")
    att.wait_for("healthy", "r1")
    assert home.births()[-1]["release"] == "r1"
    att.wait_for("good", "r1")
    assert home.state("r1") == "good"
    assert (home.record()["current"], home.record()["previous"]) == ("r1", "installed")


@pytest.mark.parametrize(
    "bad", [{"exit": 1}, {"exit": 78}, {"exit": 0}, {"signal": 11}, {"deaf": True}, {"status": "broken"}]
)
def test_a_bad_release_is_rolled_back_and_never_started_again(
    home: Home, launch: Launch, bad: dict[str, object]
) -> None:
    att = launch("--start", "0.7")
    att.wait_for("healthy")
    home.add_release("r1")
    home.behave(r1=bad)
    att.get("/say/stage/r1")
    att.wait_for("staged", "r1")
    att.get("/exit/75")
    att.wait_for("rolled_back", "installed")
    att.wait_for("healthy", "installed", times=2)
    assert home.state("r1") == "failed"
    att.get("/exit/75")
    att.wait_for("healthy", "installed", times=3)
    assert [birth["release"] for birth in home.births()].count("r1") == 1
    att.signal(signal.SIGTERM)
    att.wait()
    again = launch()
    again.wait_for("healthy", "installed")
    assert [birth["release"] for birth in home.births()].count("r1") == 1
    failed = next(birth for birth in home.births() if birth["release"] == "r1")
    assert "r1 says hello" in (home.path / "lives" / f"{failed['boot_id']}.log").read_text()


def test_a_crash_in_probation_goes_back(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    home.add_release("r1")
    att.get("/say/stage/r1")
    att.wait_for("staged")
    att.get("/exit/75")
    att.wait_for("healthy", "r1")
    att.get("/exit/1")
    att.wait_for("rolled_back", "installed")
    att.wait_for("healthy", "installed", times=2)
    assert home.state("r1") == "failed"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_kill_or_stop_from_outside_in_probation_is_no_verdict(
    home: Home, launch: Launch, number: int
) -> None:
    att = launch("--probation", "3", "--hang", "1.5")
    att.wait_for("healthy")
    home.add_release("r1")
    att.get("/say/stage/r1")
    att.wait_for("staged")
    att.get("/exit/75")
    att.wait_for("healthy", "r1")
    os.kill(home.births()[-1]["pid"], number)
    att.wait_for("healthy", "r1", times=2)
    assert home.state("r1") == "probation"
    att.wait_for("good", "r1")


def test_a_good_release_before_takes_over_from_one_that_does_not_come_up(home: Home, launch: Launch) -> None:
    home.add_release("r1")
    home.add_release("r2")
    home.write_record("r2", r1="good", r2="good")
    home.behave(r2={"exit": 9})
    att = launch()
    att.wait_for("rolled_back", "r1", timeout=30)
    att.wait_for("healthy", "r1")
    assert home.state("r2") == "good"


def test_a_missing_release_folder_is_no_reason_to_stay_down(home: Home, launch: Launch) -> None:
    home.add_release("r1")
    home.write_record("r2", r1="good", r2="good")
    att = launch()
    att.wait_for("missing", "r2")
    att.wait_for("healthy", "r1")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"version": 1}', "\x00\xff" * 100])
def test_an_unreadable_record_is_made_anew_and_said_aloud(home: Home, launch: Launch, text: str) -> None:
    home.add_release("r1")
    home.add_release("r2", built_at="2026-02-01T00:00:00Z")
    (home.path / "boot.json").write_bytes(text.encode("latin-1"))
    (home.path / "launcher.ndjson").write_text(
        '{"n": 7, "event": "good", "release": "r1"}\n{"n": 8, "event": "failed", "release": "r2"}\n{"n": 9, "eve'
    )
    att = launch()
    att.skip = 2
    att.wait_for("record_rebuilt")
    att.wait_for("healthy", "r1")
    assert home.state("r2") == "failed"
    assert (home.path / "boot.json.unreadable").exists()
