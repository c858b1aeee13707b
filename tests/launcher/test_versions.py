"""Launcher and daemon need not be of one age: what runs against what, by real processes.

`kept/launcher` is a launcher of the version before: the protocol's first, from before a launcher could go on with other code. It
is kept as it was; when the protocol gets another version, the launcher of the version before takes its place.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.protocol import messages
from tests.launcher.conftest import ROOT, Home, Launched, alive
from tests.launcher.packing import newer
from tests.launcher.test_keeper import MODULE, WRITER, pid_in
from tests.launcher.test_replace import finish_and_check
from tests.support import eventually_sync

Launch = Callable[..., Launched]
KEPT = Path(__file__).parent / "kept"
LINKED = ("--module", "tests.launcher.linked_daemon")
ALL_WENT_WELL = {
    "swept": 0,
    "port": True,
    "first": True,
    "sent": True,
    "signal": signal.SIGTERM,
    "killed": 0,
    "known": ["run-1"],
    "left": [],
}
# a launcher of a later version, which knows more words, and more of each word
NOVELTY = "life.spoken = True\n        life.send({'type': 'novelty', 'n': 1})\n"
REPLY = 'life.send({"type": "reply", "n": number, '
LATER = (
    ("protocol/messages.py", "VERSION = 1\nLOWEST = 1\n", "VERSION = 3\nLOWEST = 1\n"),
    ("talk.py", "life.spoken = True\n", NOVELTY),
    ("talk.py", REPLY + "**fields", REPLY + '"more": [1], **fields'),
)
UNLIKE = (("protocol/messages.py", "VERSION = 1\nLOWEST = 1\n", "VERSION = 3\nLOWEST = 2\n"),)


def test_todays_client_works_with_the_launcher_of_the_version_before(home: Home, launch: Launch) -> None:
    att = launch(*LINKED, code=KEPT / "launcher" / "__main__.py")
    att.wait_for("healthy")
    assert att.get("/run", timeout=20) == ALL_WENT_WELL


def test_todays_client_works_with_todays_launcher(home: Home, launch: Launch) -> None:
    att = launch(*LINKED)
    att.wait_for("healthy")
    assert att.get("/run", timeout=20) == ALL_WENT_WELL


def test_todays_client_works_with_a_later_launcher(home: Home, launch: Launch) -> None:
    att = launch(*LINKED, code=newer(home.path / "later.pyz", *LATER))
    att.wait_for("healthy")
    heard = {message["type"]: message for message in att.get()["heard"]}
    assert heard["welcome"]["protocol"] == messages.VERSION
    assert "novelty" in heard
    assert att.get("/run", timeout=20) == ALL_WENT_WELL


def test_a_daemon_of_the_version_before_works_with_todays_launcher(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(WRITER)
    env = {"PYTHONPATH": f"{KEPT}:{ROOT}"}
    att = launch(*MODULE, code=ROOT / "launcher" / "__main__.py", env=env)
    att.wait_for("healthy")
    daemon = att.get()["pid"]
    assert str(KEPT).encode() in Path(f"/proc/{daemon}/environ").read_bytes()
    app = pid_in(home.path / "app.pid")
    att.signal(signal.SIGUSR2)
    att.wait_for("replaced")
    assert att.get()["pid"] == daemon, "a message that it does not know has not hurt it"
    os.kill(daemon, signal.SIGKILL)
    att.wait_for("healthy", times=2)
    assert alive(app)
    finish_and_check(home)


def test_a_later_daemon_speaks_as_the_launcher_does(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    att.get("/hello/1/7")
    welcomes = eventually_sync(
        lambda: [m for m in att.get()["heard"] if m["type"] == "welcome"][1:] and att.get()["heard"]
    )
    assert welcomes[-1]["protocol"] == messages.VERSION
    att.get("/say/novelty/r1")
    att.get("/request/novelty")
    reply = eventually_sync(lambda: [m for m in att.get()["heard"] if m["type"] == "reply"])[0]
    assert reply["error"]["kind"] == "unknown_request", "who waits for an answer gets one"
    assert att.get()["release"] == "installed"


@pytest.mark.parametrize("side", ["launcher", "daemon"])
def test_without_a_version_in_common_it_is_said_and_health_decides(
    home: Home, launch: Launch, side: str
) -> None:
    att = launch(**({"code": newer(home.path / "unlike.pyz", *UNLIKE)} if side == "launcher" else {}))
    att.wait_for("healthy")
    if side == "daemon":
        att.get("/hello/5/9")
    refused = eventually_sync(lambda: [m for m in att.get()["heard"] if m["type"] == "refused"])
    assert (refused[0]["of"], "no version" in refused[0]["reason"]) == ("hello", True)
