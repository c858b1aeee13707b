"""What is asked of the test room."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract.parity.case import Case
from tests.contract.parity.first_rooms import building, not_building
from tests.daemon import RunningDaemon

__test__ = False  # pytest takes the name for that of a file with tests
Before = Callable[[RunningDaemon], None]
JUNIT = """<testsuite tests="2" failures="1"><testcase classname="t" name="good"/>
<testcase classname="t" name="bad"><failure message="1 is not 2">here</failure></testcase></testsuite>
"""
GOOD = JUNIT.replace("<failure", "<system-out").replace("</failure", "</system-out")
COPY = '[test]\ncommand = ["cp", "report.xml", "{report}"]\n'


def project(name: str, *files: tuple[str, str], environment: str = "") -> Before:
    """A project, made once and then left as it is. `environment`: none, its own without pytest, or `ours`."""

    def before(daemon: RunningDaemon) -> None:
        if daemon.ask("GET", f"/projects/{name}").status == 200:
            return
        folder = daemon.home / "projects" / name
        folder.mkdir()
        for path, text in files:
            (folder / path).write_text(text)
        if environment == "ours":
            (folder / ".venv").symlink_to(sys.prefix)
        elif environment:
            _environment(folder / ".venv", environment)
        assert daemon.ask("POST", "/projects", {"path": str(folder)}).status == 201

    return before


def _environment(folder: Path, kind: str) -> None:
    python = Path(os.path.realpath(sys.executable))
    version = ".".join(map(str, sys.version_info[:3]))
    packages = folder / "lib" / f"python{version.rpartition('.')[0]}" / "site-packages"
    packages.mkdir(parents=True)
    if kind == "broken":
        return
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(python)
    (folder / "pyvenv.cfg").write_text(
        f"home = {python.parent}\nversion = {version}\ninclude-system-site-packages = false\n"
    )
    if kind == "with pytest":
        (packages / "pytest.py").write_text("")


def gone(daemon: RunningDaemon) -> None:
    project("tested-gone")(daemon)
    folder = daemon.home / "projects" / "tested-gone"
    if folder.exists():
        folder.rmdir()


def ran(daemon: RunningDaemon) -> None:
    """There is a run of tests that has ended."""
    project("tested-bad", ("att.toml", COPY), ("report.xml", JUNIT))(daemon)
    if daemon.ask("GET", "/projects/tested-bad/test/results").status == 404:
        assert daemon.ask("POST", "/projects/tested-bad/test/run?wait=30", {}).json["state"] == "failed"


def busy(daemon: RunningDaemon) -> None:
    project("tested-busy", ("att.toml", '[test]\ncommand = ["sleep", "600"]\n'))(daemon)
    assert daemon.ask("POST", "/projects/tested-busy/test/run", {}).status in (202, 409)


def not_busy(daemon: RunningDaemon) -> None:
    runs = daemon.ask("GET", "/projects/tested-busy/workflows/runs?limit=1").json["runs"]
    target = f"/projects/tested-busy/workflows/runs/{runs[0]['run_id']}/cancel?wait=30"
    assert daemon.ask("POST", target, {}).json["state"] == "cancelled"


def settings(name: str, text: str) -> Before:
    return project(name, ("att.toml", text))


def on(name: str, **more: Any) -> dict[str, Any]:
    return {"project_id": name, **more}


FRESH = frozenset({"duration_seconds", "message", "command", "output", "done", "total"})
OWN = project("tested", ("att.toml", COPY), ("report.xml", GOOD))
CASES = [
    Case("test.run", on("tested", wait=30), before=OWN, anew=FRESH),
    Case(
        "test.run",
        on("tested-py", wait=60),
        "",
        project("tested-py", ("test_it.py", "def test_it():\n    pass\n"), environment="ours"),
        FRESH,
    ),
    Case("test.run", on("nobody"), "project_not_found"),
    Case("test.run", on("tested-gone"), "project_directory_missing", gone),
    Case("test.run", on("tested-odd"), "invalid_test_settings", settings("tested-odd", "[test]\nodd = 1\n")),
    Case("test.run", on("tested", paths=["nowhere.py"]), "test_path_not_found", OWN),
    Case("test.run", on("tested", keyword="x"), "selection_not_supported", OWN),
    Case("test.run", on("tested", keyword="-x"), "invalid_request", OWN),
    Case("test.run", on("tested", wait=61), "invalid_request", OWN),
    Case(
        "test.run",
        on("tested-none"),
        "test_command_not_found",
        settings("tested-none", '[test]\ncommand = ["no-such-program"]\n'),
    ),
    Case("test.run", on("tested-bare"), "pytest_not_installed", project("tested-bare", environment="bare")),
    Case(
        "test.run",
        on("tested-cov", coverage=True),
        "coverage_not_installed",
        project("tested-cov", environment="with pytest"),
    ),
    Case("test.run", on("tested", paths=["../x"]), "path_outside_project", OWN),
    Case("test.run", on("tested", paths=["a" * 300]), "invalid_path", OWN),
    Case("test.run", on("tested-new"), "environment_not_built", project("tested-new")),
    Case(
        "test.run", on("tested-broken"), "environment_broken", project("tested-broken", environment="broken")
    ),
    Case("test.run", on("app"), "environment_building", building, after=not_building),
    Case(
        "test.run",
        on("tested-secret"),
        "secret_missing",
        settings("tested-secret", '[test]\nenv = { KEY = "${env:NO_SUCH_KEY}" }\ncommand = ["true"]\n'),
    ),
    Case("test.run", on("tested-busy"), "run_busy", busy, after=not_busy),
    Case("test.results", on("tested-bad", limit=1), before=ran, anew=FRESH),
    Case("test.results", on("tested-bad", failed=True), before=ran, anew=FRESH),
    Case("test.results", on("nobody"), "project_not_found"),
    Case("test.results", on("tested-new"), "no_test_results", project("tested-new")),
    Case("test.results", on("tested-bad", run_id="nowhere"), "run_not_found", ran),
    Case("test.results", on("tested-bad", cursor="99"), "bad_cursor", ran),
    Case("test.results", on("tested-bad", cursor="zzz"), "invalid_request", ran),
]
ELSEWHERE: dict[str, str] = {}
ERRORS_ELSEWHERE = {
    "runs_stopping": "tests/att/workflow/test_lives.py: the daemon takes no more requests then"
}
