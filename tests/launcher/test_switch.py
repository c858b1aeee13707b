"""An update without a gap: standby, healthy by its own socket, drain, hand-over, probation, good; or back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from tests.launcher.conftest import Home, Launched, alive
from tests.support import eventually_sync

Launch = Callable[..., Launched]


def stage(att: Launched, home: Home, name: str, **behaviour: object) -> None:
    home.add_release(name)
    home.behave(**{name: dict(behaviour)})
    att.get(f"/say/stage/{name}")
    att.wait_for("staged", name)


def test_a_switch_loses_no_request(home: Home, launch: Launch) -> None:
    att = launch("--probation", "0.5")
    att.wait_for("healthy")
    stage(att, home, "r1")
    seen: list[str] = []
    done = threading.Event()

    def ask_again_and_again() -> None:
        while not done.is_set():
            seen.append(att.get()["release"])

    asker = threading.Thread(target=ask_again_and_again)
    asker.start()
    att.get("/say/switch/r1")
    att.wait_for("good", "r1")
    eventually_sync(lambda: seen[-1] == "r1")
    done.set()
    asker.join()
    assert seen == sorted(seen, key=["installed", "r1"].index), (
        "first the old one, then the new one, and nothing else"
    )
    assert (home.record()["current"], home.record()["previous"], home.state("r1")) == (
        "r1",
        "installed",
        "good",
    )
    assert [birth["standby"] for birth in home.births()] == [False, True]
    assert [e["event"] for e in att.entries(release="r1")] == [
        "staged",
        "standby",
        "started",
        "standby_healthy",
        "switched",
        "healthy",
        "good",
    ]


@pytest.mark.parametrize(
    "bad", [{"exit": 1}, {"exit": 78}, {"signal": 6}, {"deaf": True}, {"status": "no"}, {"claims": "r9"}]
)
def test_a_release_that_cannot_boot_never_takes_a_request(
    home: Home, launch: Launch, bad: dict[str, object]
) -> None:
    att = launch("--start", "0.7")
    att.wait_for("healthy")
    before = att.get()["boot_id"]
    stage(att, home, "r1", **bad)
    att.get("/say/switch/r1")
    att.wait_for("standby_lost", "r1")
    assert att.get()["boot_id"] == before, "the old one went on"
    eventually_sync(lambda: home.state("r1") == "failed")
    att.get("/say/switch/r1")
    att.wait_for("switch_refused", "r1")


def test_a_release_that_takes_its_time_to_start_is_waited_for(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    stage(att, home, "r1", late=1.5)
    att.get("/say/switch/r1")
    att.wait_for("healthy", "r1")
    assert att.get()["release"] == "r1"


def test_a_release_without_an_interpreter_is_no_danger(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    stage(att, home, "r1")
    (home.path / "releases" / "r1" / "env" / "bin" / "python").unlink()
    att.get("/say/switch/r1")
    att.wait_for("standby_lost", "r1")
    assert att.get()["release"] == "installed"


def test_an_old_one_that_does_not_drain_is_replaced_all_the_same(home: Home, launch: Launch) -> None:
    home.behave(installed={"never_drains": True})
    att = launch("--drain", "0.3")
    att.wait_for("healthy")
    old = att.get()["pid"]
    home.add_release("r1")
    att.get("/say/stage/r1")
    att.get("/say/switch/r1")
    att.wait_for("healthy", "r1")
    assert not alive(old)


def test_an_old_one_that_is_killed_during_the_switch_is_followed_by_the_new_one(
    home: Home, launch: Launch
) -> None:
    home.behave(installed={"never_drains": True})
    att = launch()
    att.wait_for("healthy")
    home.add_release("r1")
    att.get("/say/stage/r1")
    att.get("/say/switch/r1")
    att.wait_for("standby_healthy", "r1")
    os.kill(home.births()[0]["pid"], signal.SIGKILL)
    att.wait_for("healthy", "r1")
    assert att.get()["release"] == "r1"


def test_one_that_dies_when_it_is_made_the_active_one_is_rolled_back(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    stage(att, home, "r1", dies_active=True)
    att.get("/say/switch/r1")
    att.wait_for("rolled_back", "installed")
    att.wait_for("healthy", "installed", times=2)
    assert home.state("r1") == "failed"
    assert att.get()["release"] == "installed"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("behaviour", [{"deaf": True}, {"late": 3.0}])
def test_a_standby_killed_or_stopped_from_outside_is_no_verdict(
    home: Home, launch: Launch, number: int, behaviour: dict[str, object]
) -> None:
    att = launch("--start", "4")
    att.wait_for("healthy")
    stage(att, home, "r1", **behaviour)
    att.get("/say/switch/r1")
    att.wait_for("started", "r1")
    os.kill(eventually_sync(lambda: home.births()[1:])[0]["pid"], number)
    att.wait_for("standby_lost", "r1")
    assert home.state("r1") == "staged"


def test_a_stop_during_a_switch_ends_both(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    stage(att, home, "r1", deaf=True)
    att.get("/say/switch/r1")
    att.wait_for("started", "r1")
    eventually_sync(lambda: len(home.births()) == 2)
    att.signal(signal.SIGTERM)
    assert att.wait() == 0
    assert not [birth for birth in home.births() if alive(birth["pid"])]
    assert home.state("r1") == "staged"


def test_going_back_to_an_older_good_release_by_hand(home: Home, launch: Launch) -> None:
    home.add_release("r1")
    home.write_record("r1", r1="good")
    att = launch()
    att.wait_for("healthy", "r1")
    att.get("/say/switch/installed")
    att.wait_for("healthy", "installed")
    assert (home.record()["current"], home.record()["previous"]) == ("installed", "r1")
