"""What is asked of the debug room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract.house import begin
from tests.contract.parity.case import Case
from tests.contract.parity.test_room import project
from tests.daemon import RunningDaemon

Before = Callable[[RunningDaemon], None]
MEASURED = Path(__file__).parents[2] / "att" / "debug" / "recorded.csv"
CONFIG = "eval:\n  general:\n    output_dir: measured\n"


def said(daemon: RunningDaemon) -> None:
    """The app has said something."""
    if not daemon.ask("GET", "/projects/other/runtime/logs?limit=1").json["lines"]:
        begin(daemon, "other")
        assert daemon.ask("POST", "/projects/other/runtime/stop").status == 200


def of_another(daemon: RunningDaemon) -> str:
    """A cursor of another project's log."""
    return str(daemon.ask("GET", "/projects/app/debug/logs").json["newest_cursor"])


def in_the_way(daemon: RunningDaemon) -> None:
    """Where its log is to be there is something else."""
    project("unlogged")(daemon)
    (daemon.home / "logs" / "unlogged").touch()


def gone(daemon: RunningDaemon) -> None:
    project("debugged-gone")(daemon)
    shutil.rmtree(daemon.home / "projects" / "debugged-gone", ignore_errors=True)


def measured(name: str, text: str, folder: str = "measured") -> Before:
    """A project with a config, and with what the profiler has left."""

    def before(daemon: RunningDaemon) -> None:
        project(name, ("config.yml", CONFIG))(daemon)
        into = daemon.home / "projects" / name / folder
        into.mkdir(exist_ok=True)
        (into / "standardized_data_all.csv").write_text(text)

    return before


def linked(daemon: RunningDaemon) -> None:
    """What is called a measurement is a link that leads out of the project."""
    project("debugged-link", ("config.yml", CONFIG))(daemon)
    into = daemon.home / "projects" / "debugged-link" / "measured"
    if not into.exists():
        into.mkdir()
        (into / "standardized_data_all.csv").symlink_to(MEASURED)


def pipe(daemon: RunningDaemon) -> None:
    """What is called a measurement is a pipe, which nobody writes to."""
    project("debugged-pipe", ("config.yml", CONFIG))(daemon)
    into = daemon.home / "projects" / "debugged-pipe" / "measured"
    if not into.exists():
        into.mkdir()
        os.mkfifo(into / "standardized_data_all.csv")


def on(name: str, **more: Any) -> dict[str, Any]:
    return {"project_id": name, **more}


def _logs() -> list[Case]:
    found = []
    for name in ("debug.errors", "debug.logs"):
        found += [
            Case(name, on("other", limit=5), before=said),
            Case(name, on("nobody"), "project_not_found"),
            Case(name, on("other", cursor="zzz"), "bad_cursor"),
            Case(name, on("other", cursor=of_another), "cursor_of_another_project"),
            Case(name, on("other", pattern="("), "bad_filter"),
            Case(name, on("unlogged"), "log_unusable", in_the_way),
            Case(name, on("other", limit=0), "invalid_request"),
        ]
    return found


GOOD = measured("debugged", MEASURED.read_text())
CASES = [
    *_logs(),
    Case("debug.errors", on("debugged-gone"), "project_directory_missing", gone),
    Case("debug.profile", on("debugged", limit=2), before=GOOD, anew=frozenset({"measured_at"})),
    Case("debug.profile", on("nobody"), "project_not_found"),
    Case("debug.profile", on("debugged-gone"), "project_directory_missing", gone),
    Case("debug.profile", on("debugged", folder="."), "no_profile", GOOD),
    Case("debug.profile", on("debugged-bad"), "malformed_profile", measured("debugged-bad", "no,table\n1\n")),
    Case("debug.profile", on("debugged", folder=".."), "path_outside_project", GOOD),
    Case("debug.profile", on("debugged-link"), "path_outside_project", linked),
    Case("debug.profile", on("debugged", folder="a" * 300), "invalid_path", GOOD),
    Case("debug.profile", on("debugged-pipe"), "not_a_file", pipe),
    Case("debug.profile", on("debugged-none"), "no_config", project("debugged-none")),
    Case(
        "debug.profile",
        on("debugged-yaml"),
        "invalid_yaml",
        project("debugged-yaml", ("config.yml", "eval: [")),
    ),
    Case(
        "debug.profile",
        on("debugged-odd"),
        "invalid_settings",
        project("debugged-odd", ("att.toml", "[runtime]\nodd = 1\n")),
    ),
]
ELSEWHERE: dict[str, str] = {}
ERRORS_ELSEWHERE = {
    f"{name}: disk_full": "tests/contract/test_faults_of_the_home.py: it needs a disk that is full"
    for name in ("debug.errors", "debug.logs")
}
