"""The daemon is killed in the middle of a deploy, below a real launcher: the healthy app alone is left, and the record is true."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest

from att.runtime import nat
from tests.daemon import start
from tests.support import eventually_sync, free_port
from tests.together.house import House, begin, end

APP = """
import asyncio, pathlib
VERSION, GO = {version!r}, pathlib.Path({go!r})

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({{"type": message["type"] + ".complete"}})
            if message["type"] == "lifespan.shutdown":
                return
    while scope["path"] == "/slow" and not GO.exists():
        await asyncio.sleep(0.02)
    status = 503 if scope["path"] == "/health" and VERSION == "waits" and not GO.exists() else 200
    await send({{"type": "http.response.start", "status": status, "headers": [(b"content-length", str(len(VERSION)).encode())]}})
    await send({{"type": "http.response.body", "body": VERSION.encode()}})
"""
PROBES = '[[runtime.probe]]\nkind = "http"\nuse = ["startup", "readiness", "liveness"]\npath = "/health"\nperiod = 0.2\n'


class Scene:
    def __init__(self, house: House, serve: str) -> None:
        self.house, self.port = house, free_port()
        self.go = house.home.parent / "go"
        self.folder = house.home / "projects" / "demo"
        self.folder.mkdir(parents=True)
        if serve == "socket":
            command = [sys.executable, "-m", "att_serve", "server:app"]
        else:
            command = [sys.executable, "-m", "uvicorn", "server:app", "--port", "{port}"]
        text = f'[runtime]\ncommand = {json.dumps(command)}\nport = {self.port}\nstop_grace = 5\nserve = "{serve}"\n'
        text += f'env = {{ PYTHONPATH = "{nat.SHIM}" }}\n{PROBES}'
        self.version("1", text)
        made = house.ask("POST", "/projects", {"name": "demo", "path": str(self.folder)})
        assert made.status == 201, made.text
        first = self.deploy(wait=50)
        assert first["state"] == "succeeded", first

    def version(self, version: str, settings: str = "") -> None:
        if settings:
            (self.folder / "att.toml").write_text(settings)
        (self.folder / "server.py").write_text(APP.format(version=version, go=str(self.go)))

    def deploy(self, wait: int = 0) -> dict[str, Any]:
        begun = self.house.ask("POST", f"/projects/demo/deploy/run?wait={wait}", {"build": True})
        assert begun.status == 202, begun.text
        return begun.json  # type: ignore[no-any-return]

    def says(self, path: str = "/") -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse().read().decode()
        connection.close()
        return answer

    def roles(self) -> set[str]:
        return {run["role"] for run in self.house.status("demo")["runs"]}

    def ended(self, run_id: str) -> dict[str, Any]:
        def there() -> dict[str, Any]:
            run = self.house.ask("GET", f"/projects/demo/workflows/runs/{run_id}").json
            return run if run["state"] not in ("queued", "running") else {}

        return eventually_sync(there, 40)

    def next_life(self) -> None:
        self.house.new_life(self.house.kill_daemon())

    def apps(self) -> list[int]:
        """All processes that serve this project, whoever keeps them."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            inside = str(process.info["cwd"] or "").startswith(str(self.house.home))
            if inside and "server:app" in (process.info["cmdline"] or []):
                found.append(process.pid)
        return found

    def check(self, version: str) -> None:
        """One app, healthy, this version; and everything that is told of it agrees."""
        status = self.house.until("demo", "running")
        eventually_sync(lambda: self.apps() == [self.house.status("demo")["pid"]], 20)
        assert self.says() == version
        told = self.house.ask("GET", "/projects/demo/deploy/status").json
        assert told["running"] == told["artefact_id"] == status["artefact_id"]
        history = self.house.ask("GET", "/projects/demo/deploy/history").json["deploys"]
        assert "under_way" not in [one["state"] for one in history]
        good = next(one for one in history if one["state"] == "succeeded")
        assert good["artefact_id"] == told["running"]
        folders = {place.name for place in (self.house.home / "artefacts" / "demo").iterdir()}
        assert folders == {one["artefact_id"] for one in told["artefacts"]}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = begin(tmp_path / "home")
    try:
        yield house
    finally:
        end(house)


def test_killed_while_a_version_is_tried_beside(house: House) -> None:
    scene = Scene(house, "socket")
    scene.version("waits")
    run = scene.deploy()
    eventually_sync(lambda: scene.roles() == {"current", "candidate"}, 20)
    scene.next_life()
    assert scene.says() == "1"
    scene.go.touch()
    assert scene.ended(run["run_id"])["state"] == "succeeded"
    scene.check("waits")


def test_killed_while_the_old_one_drains(house: House) -> None:
    scene = Scene(house, "socket")
    answers: list[str] = []
    slow = threading.Thread(target=lambda: answers.append(scene.says("/slow")))
    slow.start()
    scene.version("2")
    run = scene.deploy()
    eventually_sync(lambda: scene.roles() == {"current", "draining"}, 20)
    before = house.kill_daemon()
    scene.go.touch()
    slow.join(20)
    assert answers == ["1"]
    house.new_life(before)
    assert scene.ended(run["run_id"])["state"] == "succeeded"
    scene.check("2")


@pytest.mark.slow
def test_killed_as_soon_as_it_has_begun(house: House) -> None:
    scene = Scene(house, "socket")
    scene.version("2")
    run = scene.deploy()
    scene.next_life()
    assert scene.ended(run["run_id"])["state"] == "succeeded"
    scene.check("2")


@pytest.mark.slow
def test_killed_while_the_new_one_starts_in_the_place_of_the_old(house: House) -> None:
    scene = Scene(house, "nat")
    scene.version("waits")
    run = scene.deploy()
    eventually_sync(lambda: scene.roles() == {"candidate"}, 20)
    scene.next_life()
    scene.go.touch()
    assert scene.ended(run["run_id"])["state"] == "succeeded"
    scene.check("waits")


@pytest.mark.slow
def test_killed_while_a_build_goes_on_leaves_nothing_half_done(house: House) -> None:
    scene = Scene(house, "socket")
    (scene.folder / "data").mkdir()
    for number in range(3000):
        (scene.folder / "data" / str(number)).write_text(str(number))
    begun = house.ask("POST", "/projects/demo/deploy/build", {})
    assert begun.status == 202
    eventually_sync(lambda: len(list((house.home / "artefacts" / "demo").iterdir())) == 2, 10, 0.001)
    scene.next_life()
    assert scene.ended(begun.json["run_id"])["state"] == "interrupted"
    scene.check("1")


def test_a_daemon_that_keeps_the_app_itself_is_killed(tmp_path: Path) -> None:
    begun = start(tmp_path / "home")
    house = House(begun.process, begun.home, begun.port)
    try:
        scene = Scene(house, "socket")
        scene.version("waits")
        run = scene.deploy()
        eventually_sync(lambda: scene.roles() == {"current", "candidate"}, 20)
        house.kill()
        house.process = start(tmp_path / "home", house.port).process
        scene.go.touch()
        assert scene.ended(run["run_id"])["state"] == "succeeded"
        scene.check("waits")
    finally:
        house.stop()


def test_killed_while_a_version_is_under_watch(house: House) -> None:
    """The app goes on without the daemon; what it does then, and after, is told to the next life, which goes back."""
    scene = Scene(house, "socket")
    scene.version("2")
    assert scene.deploy(wait=50)["state"] == "succeeded"
    told = house.ask("GET", "/projects/demo/deploy/status").json
    assert (told["last"]["watch"], told["watched_until"]) == ("on", told["last"]["watched_until"])
    before = house.kill_daemon()
    psutil.Process(house_pid := scene.apps()[0]).kill()
    house.new_life(before)
    eventually_sync(lambda: house.until("demo", "running")["pid"] != house_pid, 20)
    psutil.Process(house.status("demo")["pid"]).kill()

    def gone_back() -> bool:
        last = house.ask("GET", "/projects/demo/deploy/history").json["deploys"][0]
        return (last["kind"], last["state"]) == ("rollback", "succeeded")

    eventually_sync(gone_back, 30)
    scene.check("1")
    taken = house.ask("GET", "/projects/demo/deploy/history").json["deploys"][1]
    assert (taken["state"], taken["watch"]) == ("rolled_back", "failed")
    assert "died 2 times" in taken["reason"]
