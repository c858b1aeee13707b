"""What is asked of the rooms project, runtime, event and health."""

from __future__ import annotations

from tests.contract.parity.case import Case
from tests.daemon import RunningDaemon


def stop(daemon: RunningDaemon) -> None:
    assert daemon.ask("POST", "/projects/app/runtime/stop").status in (200, 409)


def run(daemon: RunningDaemon) -> None:
    assert daemon.ask("POST", "/projects/app/runtime/start").status in (200, 409)


def make(daemon: RunningDaemon) -> None:
    folder = daemon.home / "projects" / "made"
    folder.mkdir(exist_ok=True)
    daemon.ask("POST", "/projects", {"name": "made", "path": str(folder)})


def unmake(daemon: RunningDaemon) -> None:
    assert daemon.ask("DELETE", "/projects/new").status in (200, 404)


def building(daemon: RunningDaemon) -> None:
    stop(daemon)
    folder = daemon.home / "projects" / "app"
    (folder / "backend").mkdir(exist_ok=True)
    (folder / "backend" / "slow.py").write_text("import signal\nsignal.pause()\n")
    system = "[build-system]\nrequires = []\nbuild-backend = 'slow'\nbackend-path = ['backend']\n"
    (folder / "pyproject.toml").write_text(f"{system}[project]\nname = 'app'\nversion = '1'\n")
    assert daemon.ask("POST", "/projects/app/runtime/environment").status in (202, 409)


def not_building(daemon: RunningDaemon) -> None:
    stop(daemon)
    daemon.ask("DELETE", "/projects/app/runtime/environment")


APP, NOBODY = {"project_id": "app"}, {"project_id": "nobody"}
OLD = "2000-01-01T00:00:00Z"
CASES = [
    Case("health"),
    Case("health", {"ready": True}),
    Case("mcp.discover"),
    Case("mcp.tools", {"limit": 2}),
    Case("mcp.tools", {"limit": 0}, "invalid_request"),
    Case("mcp.resources"),
    Case("project.list", {"limit": 10}),
    Case("project.list", {"limit": 0}, "invalid_request"),
    Case("project.list", {"cursor": "!!"}, "bad_cursor"),
    Case("project.get", APP),
    Case("project.get", NOBODY, "project_not_found"),
    Case("project.create", {"name": "new", "template": "echo"}, before=unmake),
    Case("project.create", {"name": "app", "template": "echo"}, "project_exists"),
    Case("project.create", {"name": "?!", "template": "echo"}, "invalid_project_name"),
    Case("project.create", {"name": "x", "template": "none"}, "template_not_found"),
    Case("project.create", {"name": "x", "path": "/etc"}, "path_outside_roots"),
    Case("project.create", {"name": "x", "path": "/nowhere/at/all"}, "path_outside_roots"),
    Case("project.create", {"name": "x", "path": "/"}, "path_forbidden"),
    Case("project.create", {"name": "x", "clone_url": "ext::sh -c true"}, "clone_url_refused"),
    Case("project.create", {"name": "x", "clone_url": "http://127.0.0.1:1/none.git"}, "clone_failed"),
    Case("project.create", {"name": "x"}, "invalid_request"),
    Case("project.delete", {"project_id": "made", "keep_files": True}, before=make),
    Case("project.delete", NOBODY, "project_not_found"),
    Case("runtime.start", {**APP, "wait": "running"}, before=stop),
    Case("runtime.start", APP, "runtime_already_running", run),
    Case("runtime.start", NOBODY, "project_not_found"),
    Case("runtime.start", {**APP, "timeout": -1}, "invalid_request"),
    Case("runtime.restart", APP, before=run),
    Case("runtime.status", APP, before=run),
    Case("runtime.status", NOBODY, "project_not_found"),
    Case("runtime.logs", {**APP, "limit": 5}),
    Case("runtime.logs", {**APP, "grep": "here", "stream": "stdout", "strip_ansi": True}),
    Case("runtime.logs", {**APP, "cursor": "zzz"}, "bad_cursor"),
    Case("runtime.logs", {**APP, "grep": "("}, "bad_filter"),
    Case("runtime.logs", {**APP, "limit": 10_001}, "invalid_request"),
    Case("runtime.logs", NOBODY, "project_not_found"),
    Case("runtime.logs.delete", APP),
    Case("runtime.logs.delete", {**APP, "cursor": "zzz"}, "bad_cursor"),
    Case("runtime.eval", {"project_id": "nat"}, "invalid_nat_config"),
    Case("runtime.eval", {"project_id": "evaluated"}, "eval_not_installed"),
    Case("runtime.stop", APP, before=run),
    Case("runtime.stop", APP, "runtime_not_running", stop),
    Case("runtime.environment.get", APP),
    Case("runtime.environment.get", NOBODY, "project_not_found"),
    Case("runtime.environment.build", APP, "runtime_already_running", run),
    Case("runtime.environment.build", {**APP, "wait": 60}, before=not_building),
    Case("runtime.environment.cancel", APP, before=building),
    Case("runtime.environment.cancel", APP, "no_build_running", not_building),
    Case("event.list", {"type": ["project.*", "runtime.started"], "limit": 3, "order": "oldest"}),
    Case("event.list", {"cursor": "zzz"}, "bad_cursor"),
    Case("event.list", {"limit": 1001}, "invalid_request"),
    Case("event.list_project", {**APP, "limit": 2, "order": "oldest"}),
    Case("event.list_project", {**APP, "cursor": "zzz"}, "bad_cursor"),
    Case("event.list_project", NOBODY, "project_not_found"),
    Case("event.stream", {"after": 0, "limit": 2}),
    Case("event.stream", {"wait": 61}, "invalid_request"),
    Case("event.stream_project", {**APP, "after": 0, "limit": 2}),
    Case("event.stream_project", NOBODY, "project_not_found"),
    Case("event.delete", {"before": OLD}),
]

# Operations without a cheap success here, and where it is proved.
ELSEWHERE: dict[str, str] = {}
_HEADER = "tests/att/event/test_operations.py: it is said of a header of streams"
# Errors that cannot be had here, or not cheaply, and where they are met: of every operation, or of one.
ERRORS_ELSEWHERE = {
    "event.stream: bad_cursor": _HEADER,
    "event.stream_project: bad_cursor": _HEADER,
    "not_ready": "tests/att/http/test_app.py: it lasts as long as the start",
}
