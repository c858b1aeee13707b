"""What generated requests are about: a few small projects, each with what its operations need to go well.

`held` is a repository with a remote, put back as it was after each change. `forge` has pull requests and checks, `tested` tests,
`waiting` a test without an end, `site` versions of an app to deploy, `app` an app that runs, `building` a build without an end,
`evaluated` something that passes for NAT, and `spare` is there to be deleted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from att.runtime import nat
from tests.att.deploy.house import APP as SERVER
from tests.att.project.repositories import git
from tests.att.runtime import places
from tests.att.testing.bench import make_project
from tests.daemon import Answer, RunningDaemon
from tests.support import eventually_sync

TALKS = """
import signal, sys, traceback
print("here I am", flush=True)
print("2026-11-21 06:00:00,000 - app - WARNING - mind the step", flush=True)
try:
    {}["nothing"]
except KeyError:
    traceback.print_exc()
sys.stderr.flush()
signal.pause()
"""
PROBE = "[[runtime.probe]]\nkind = 'process'\n"
ENDLESS = "import signal\nsignal.pause()\n"
BACKEND = "[build-system]\nrequires = []\nbuild-backend = 'slow'\nbackend-path = ['backend']\n"
PLAIN = "[project]\nname = '{}'\nversion = '1'\ndependencies = []\n"
SETTINGS = {
    "ATT_LOG_LEVEL": "warning",
    "ATT_CHECKS": "4",
    "UV_OFFLINE": "1",  # nothing that a request asks for is fetched
    "PIP_NO_INDEX": "1",
}


class World:
    """The projects in a daemon. Nothing is made before it is needed."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self.daemon = daemon
        self.projects = daemon.home / "projects"
        self.dirty = True  # `held` is not as it was
        self._count = 0
        self._runs: dict[str, str] = {}
        self._pull: dict[str, Any] = {}
        self._made: set[str] = set()

    def next(self) -> int:
        self._count += 1
        return self._count

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What a preparation is answered; it has to go well."""
        answer = self.daemon.ask(method, path, body)
        assert answer.status < 300, f"{method} {path}: {answer.text}"
        return answer.json

    def maybe(self, method: str, path: str, body: object = None) -> Answer:
        return self.daemon.ask(method, path, body)

    def need(self, project: str) -> None:
        """The project is there, whatever was done to it before."""
        if project == "held":
            if self.dirty:
                self._put_back()
                self.dirty = False
            return
        folder = self.projects / project
        if project not in self._made or not folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
            MADE[project](folder)
            self._made.add(project)
        if self.maybe("GET", f"/projects/{project}").status == 404:
            self.ask("POST", "/projects", {"path": str(folder)})

    def touched(self, project: object) -> None:
        """Something about this project was changed; None: about none, so perhaps anything."""
        self.dirty = self.dirty or project in (None, "held")

    def _put_back(self) -> None:
        model = self.daemon.home.parent / "model"
        if not model.exists():
            _held(model / "held", model / "held-remote.git")
        for each in model.iterdir():
            shutil.rmtree(self.projects / each.name, ignore_errors=True)
            shutil.copytree(each, self.projects / each.name, symlinks=True)
        if self.maybe("GET", "/projects/held").status == 404:
            self.ask("POST", "/projects", {"path": str(self.projects / "held")})

    # -- runs

    def settled(self, project: str) -> None:
        """No run is under way."""
        for state in ("queued", "running"):
            for run in self.ask("GET", f"/projects/{project}/workflows/runs?state={state}")["runs"]:
                self.ask("GET", f"/projects/{project}/workflows/runs/{run['run_id']}?wait=30")

    def ended_run(self) -> str:
        if "ended" not in self._runs:
            self.settled("tested")
            run = self.ask("POST", "/projects/tested/test/run?wait=30", {})
            assert run["state"] == "succeeded", run
            self._runs["ended"] = run["run_id"]
        return self._runs["ended"]

    def endless_run(self) -> str:
        self.settled("waiting")
        return str(self.ask("POST", "/projects/waiting/test/run", {})["run_id"])

    def failed_change(self) -> str:
        """A change that failed its tests, and may be gone on with."""
        self.settled("tested")
        if "failed" not in self._runs:
            change = {"path": "tests/test_bad.py", "content": "def test_bad(): assert 0\n"}
            wish = {"message": "a bad change", "changes": [change]}
            run = self.ask("POST", "/projects/tested/workflows/change-test?wait=30", wish)
            assert run["state"] == "failed", run
            self._runs["failed"] = run["run_id"]
        return self._runs["failed"]

    # -- pull requests and checks

    def branch(self, *, endless: bool = False) -> str:
        """A new branch at the remote, with one commit upon the first one of `main`."""
        name = f"work-{self.next()}"
        files = {f"{name}.txt": "work\n"}
        if endless:
            files["att.toml"] = _ci([sys.executable, "-c", ENDLESS])
        import_commit(self.projects / "forge-remote.git", name, files)
        return name

    def pull(self, *, endless: bool = False) -> int:
        head = self.branch(endless=endless)
        return int(self.ask("POST", "/projects/forge/git/pr", {"title": head, "head": head})["number"])

    def kept_pull(self) -> dict[str, Any]:
        """A pull request that is open: `number`, `head`, `sha`."""
        if not self._pull or self._about(self._pull["number"])["state"] != "open":
            number = self.pull()
            about = self._about(number)
            self._pull = {"number": number, "head": about["head"], "sha": about["head_sha"]}
        return self._pull

    def _about(self, number: int) -> Any:
        return self.ask("GET", f"/projects/forge/git/pr/{number}")

    def check(self, number: int, *states: str) -> str:
        def found() -> str | None:
            checks = self.ask("GET", f"/projects/forge/git/actions?number={number}")["checks"]
            return next((str(check["id"]) for check in checks if check["status"] in states), None)

        return eventually_sync(found, 20) or ""

    # -- versions

    def version(self) -> None:
        """The app's files are another version."""
        asked = str(self.daemon.home / "asked-site")
        text = SERVER.format(version=str(self.next()), health=200, dies=False, asked=asked)
        (self.projects / "site" / "server.py").write_text(text)

    def deployed(self) -> None:
        self.version()
        self.settled("site")
        run = self.ask("POST", "/projects/site/deploy/run?wait=30", {"build": True})
        assert run["state"] == "succeeded", run

    # -- the rest

    def archive(self) -> Path:
        path = self.projects / "archive.zip"
        if not path.exists():
            with zipfile.ZipFile(path, "w") as packed:
                packed.writestr("top/README.md", "hello\n")
                packed.writestr("top/config.yml", places.CONFIG)
        return path


def import_commit(bare: Path, name: str, files: dict[str, str]) -> None:
    lines = [f"commit refs/heads/{name}", "committer Ada <ada@example.org> 1790000000 +0000"]
    lines += ["data 5", "work", "", "from refs/tags/begin^0"]
    for path, text in files.items():
        lines += [f"M 644 inline {path}", f"data {len(text.encode())}", text]
    text = "\n".join(lines) + "\n"
    subprocess.run(["git", "fast-import", "--quiet"], cwd=bare, input=text.encode(), check=True)


def _ci(command: list[str]) -> str:
    return f"[ci]\ncommand = {json.dumps(command)}\ntimeout = 30\nrequired = false\n"


def _commit(folder: Path, files: dict[str, str] | None = None) -> None:
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "a change")


def _repository(folder: Path, files: dict[str, str] | None = None) -> None:
    git(folder, "init", "-q", "--template=")
    (folder / ".gitignore").write_text(".venv/\n__pycache__/\n.pytest_cache/\n.coverage\nignored\n")
    _commit(folder, files)


def _held(folder: Path, remote: Path) -> None:
    """Two commits on `main`, at the remote too; `side` is merged; `ahead` is nowhere else."""
    folder.mkdir(parents=True)
    _repository(folder, {"a.txt": "one\n", "data.bin": "\0\x01", "ignored": ""})
    git(folder, "branch", "side")
    git(folder, "switch", "-q", "-c", "ahead")
    _commit(folder, {"a.txt": "one, ahead\n"})
    git(folder, "switch", "-q", "main")
    _commit(folder, {"b.txt": "two\n", "folder/c.txt": "three\n"})
    git(folder, "clone", "-q", "--bare", "--template=", ".", str(remote))
    git(remote, "branch", "-D", "ahead")
    git(folder, "remote", "add", "origin", "../held-remote.git")
    git(folder, "fetch", "-q")
    git(folder, "branch", "-q", "--set-upstream-to", "origin/main")


def _app(folder: Path, program: str = TALKS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = json.dumps([sys.executable, "talks.py"])
    (folder / "talks.py").write_text(program)
    (folder / "att.toml").write_text(f"[runtime]\ncommand = {command}\nstop_grace = 2\n{PROBE}")
    (folder / "pyproject.toml").write_text(PLAIN.format(folder.name))


def _building(folder: Path) -> None:
    _app(folder)
    (folder / "backend").mkdir()
    (folder / "backend" / "slow.py").write_text(ENDLESS)
    (folder / "pyproject.toml").write_text(BACKEND + PLAIN.format(folder.name))


def _forge(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("one\n")
    (folder / "att.toml").write_text(_ci([sys.executable, "-c", "print('well')"]))
    _repository(folder)
    git(folder, "tag", "begin")
    git(folder, "clone", "-q", "--bare", ".", "../forge-remote.git")
    git(folder, "remote", "add", "origin", "../forge-remote.git")


def _tested(folder: Path) -> None:
    text = "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_good(n): pass\n"
    make_project(folder, tests__unit__test_a=text)
    _repository(folder)


def _waiting(folder: Path) -> None:
    make_project(folder, tests__test_a=f"def test_endless():\n    {ENDLESS.replace(chr(10), '; ')}\n")


def _site(folder: Path) -> None:
    folder.mkdir(parents=True)
    command = json.dumps([sys.executable, "-m", "att_serve", "server:app"])
    (folder / "att.toml").write_text(
        f'[runtime]\ncommand = {command}\nport = 0\nserve = "socket"\nstop_grace = 5\n'
        f'env = {{ PYTHONPATH = "{nat.SHIM}" }}\n'
        '[[runtime.probe]]\nkind = "http"\npath = "/health"\nperiod = 0.2\n'
        'use = ["startup", "readiness", "liveness"]\n'
    )
    (folder / "server.py").write_text(
        SERVER.format(version="0", health=200, dies=False, asked=str(folder / "asked"))
    )
    _repository(folder)


def _evaluated(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text(f"{places.CONFIG}eval: {{}}\n")
    (folder / "echo.py").write_text(places.SOURCE)
    names = {"nvidia_nat": "1.9.0", "nvidia_nat_core": "1.9.0", "nvidia_nat_eval": "1.9.0"}
    places.environment(folder, **names, sqlalchemy="2.1.9", greenlet="3.5.6")
    out = folder / ".tmp" / "nat" / "examples" / "default"
    out.mkdir(parents=True)
    for name, told in (
        ("recorded.csv", "standardized_data_all.csv"),
        ("recorded.json", "inference_optimization.json"),
    ):
        shutil.copy(Path(__file__).parents[2] / "att" / "debug" / name, out / told)


def _spare(folder: Path) -> None:
    folder.mkdir(parents=True)


MADE = {
    "app": _app,
    "building": _building,
    "forge": _forge,
    "tested": _tested,
    "waiting": _waiting,
    "site": _site,
    "evaluated": _evaluated,
    "spare": _spare,
}
