"""What is asked of the deploy room, of apps that need no environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.contract.parity.case import Case
from tests.daemon import RunningDaemon

APP = [sys.executable, "-c", "import signal; signal.pause()"]
WELL = "[[runtime.probe]]\nkind = 'command'\ncommand = ['test', '!', '-e', 'sick']\n"
IDS = {"artefact_id", "deploy_id", "previous_artefact_id", "digest", "detail", "message", "output"}
FRESH = frozenset(IDS | {"done", "total", "watched_until"})


def folder(daemon: RunningDaemon, name: str) -> Path:
    return daemon.home / "projects" / name


def made(daemon: RunningDaemon, name: str, settings: str = WELL) -> str:
    """The URL of the project's deploys; it is made when it is not there."""
    if daemon.ask("GET", f"/projects/{name}").status == 404:
        daemon.project(name, APP, settings)
    return f"/projects/{name}/deploy"


def fresh(daemon: RunningDaemon) -> None:
    made(daemon, "undeployed")


def ask(daemon: RunningDaemon, target: str, body: dict[str, Any], state: str = "succeeded") -> Any:
    answer = daemon.ask("POST", f"{target}?wait=60", body)
    assert (answer.status, answer.json["state"]) == (202, state), answer.text
    return answer.json


def built(daemon: RunningDaemon) -> None:
    at = made(daemon, "deployed")
    if not daemon.ask("GET", f"{at}/status").json["artefacts"]:
        ask(daemon, f"{at}/build", {})


def running(daemon: RunningDaemon) -> None:
    """The newest version runs, and one before it was good."""
    built(daemon)
    at = made(daemon, "deployed")
    if daemon.ask("GET", f"{at}/status").json["previous"] is None:
        for number in ("1", "2"):
            (folder(daemon, "deployed") / "version.txt").write_text(number)
            ask(daemon, f"{at}/run", {"build": True})
    elif daemon.ask("GET", f"{at}/status").json["running"] is None:
        newest = artefact(daemon)
        ask(daemon, f"{at}/run", {"artefact_id": newest})


def stopped(daemon: RunningDaemon) -> None:
    assert daemon.ask("POST", "/projects/deployed/runtime/stop").status in (200, 404, 409)


def at_rest(daemon: RunningDaemon) -> None:
    """Both versions were good, and none runs."""
    if daemon.ask("GET", f"{made(daemon, 'deployed')}/status").json["previous"] is None:
        running(daemon)
    stopped(daemon)


def artefact(daemon: RunningDaemon) -> str:
    """The newest one that was good."""
    known = daemon.ask("GET", "/projects/deployed/deploy/status").json["artefacts"]
    return next(str(each["artefact_id"]) for each in known if each["good"])


def present(daemon: RunningDaemon) -> str:
    return str(daemon.ask("GET", "/projects/deployed/deploy/status").json["running"])


def never_run(daemon: RunningDaemon) -> str:
    return str(daemon.ask("GET", "/projects/unrun/deploy/status").json["artefacts"][0]["artefact_id"])


def unrun(daemon: RunningDaemon) -> None:
    at = made(daemon, "unrun")
    if not daemon.ask("GET", f"{at}/status").json["artefacts"]:
        ask(daemon, f"{at}/build", {})


def under_way(daemon: RunningDaemon) -> None:
    """A deploy whose version does not get healthy."""
    at = made(daemon, "deployed")
    if daemon.ask("GET", f"{at}/status").json["under_way"] is None:
        running(daemon)
        (folder(daemon, "deployed") / "sick").touch()
        assert daemon.ask("POST", f"{at}/run", {"build": True}).status == 202


def not_under_way(daemon: RunningDaemon) -> None:
    run = daemon.ask("GET", "/projects/deployed/deploy/status").json["under_way"]
    assert daemon.ask("POST", f"/projects/deployed/workflows/runs/{run}/cancel?wait=30", {}).status == 200
    (folder(daemon, "deployed") / "sick").unlink()
    stopped(daemon)


def gone(daemon: RunningDaemon) -> None:
    made(daemon, "deployed-gone")
    (folder(daemon, "deployed-gone") / "att.toml").unlink(missing_ok=True)
    if folder(daemon, "deployed-gone").exists():
        folder(daemon, "deployed-gone").rmdir()


def on(name: str, **more: Any) -> dict[str, Any]:
    return {"project_id": name, **more}


def _shared() -> list[Case]:
    found = []
    for name in ("deploy.build", "deploy.run", "deploy.rollback"):
        found += [
            Case(name, on("nobody"), "project_not_found"),
            Case(name, on("deployed-gone"), "project_directory_missing", gone),
        ]
    return found


CASES = [
    *_shared(),
    Case("deploy.status", on("nobody"), "project_not_found"),
    Case("deploy.history", on("nobody"), "project_not_found"),
    Case("deploy.run", on("undeployed"), "no_artefact", fresh),
    Case("deploy.run", on("undeployed", artefact_id="nowhere"), "artefact_not_found", fresh),
    Case("deploy.run", on("undeployed", health_timeout=0), "invalid_request", fresh),
    Case("deploy.rollback", on("undeployed"), "no_previous_version", fresh),
    Case("deploy.rollback", on("undeployed", artefact_id="nowhere"), "artefact_not_found", fresh),
    Case("deploy.rollback", on("unrun", artefact_id=never_run), "version_not_good", unrun),
    Case("deploy.build", on("deployed", wait=60), "", built, FRESH),
    Case("deploy.run", on("deployed", artefact_id=artefact), "already_deployed", running, FRESH),
    Case("deploy.rollback", on("deployed", artefact_id=present), "already_deployed", running, FRESH),
    Case("deploy.rollback", on("deployed", wait=60), "", running, FRESH),
    Case("deploy.run", on("deployed", artefact_id=artefact, wait=60), "", at_rest, FRESH, stopped),
    Case("deploy.status", on("deployed"), before=at_rest),
    Case("deploy.history", on("deployed", limit=2), before=at_rest),
    Case("deploy.run", on("deployed", build=True), "deploy_under_way", under_way, after=not_under_way),
    Case("deploy.build", on("deployed"), "deploy_under_way", under_way, after=not_under_way),
    Case("deploy.rollback", on("deployed"), "deploy_under_way", under_way, after=not_under_way),
]
ELSEWHERE: dict[str, str] = {}
_SAFE = "tests/together/test_releases.py: it needs a launcher whose daemon keeps dying"
ERRORS_ELSEWHERE = {
    "deploy.build: docker_unavailable": "tests/att/deploy/test_image.py: it needs a machine without an engine",
    **{f"deploy.{verb}: safe_mode": _SAFE for verb in ("run", "rollback")},
}
