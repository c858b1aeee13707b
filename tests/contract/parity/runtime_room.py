"""What more is asked of the runtime room: the project `trial` is laid out anew before each question, with what is to be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from supervisor.logs.cursor import tag
from tests.att.runtime import places
from tests.contract.house import ALIVE
from tests.contract.parity.case import Case
from tests.contract.parity.first_rooms import building, not_building
from tests.contract.parity.repositories import Before
from tests.daemon import RunningDaemon

TRIAL, APP, NOBODY = {"project_id": "trial"}, {"project_id": "app"}, {"project_id": "nobody"}
FINE = f"[runtime]\ncommand = ['/bin/sh', '-c', 'exec sleep 600']\n{ALIVE}"
NEVER = "[[runtime.probe]]\nkind = 'log'\npattern = 'never'\n"
EVALUATED = "eval: {general: {output_dir: out}}\n"
UNKNOWN = (
    "Error: Invalid configuration: workflow: Input tag 'ecko' found using x() does not match any of the expected"
    " tags: 'a/echo'"
)
INVALID = "Error: Invalid configuration: workflow: Input tag 'ecko' is not good"


def trial(settings: str = "", *, nat: bool = False, **files: str) -> Before:
    """The project with this att.toml and these files; `nat`: with NAT's config, and an environment of empty packages."""

    def before(daemon: RunningDaemon) -> None:
        folder = daemon.home / "projects" / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if daemon.ask("GET", "/projects/trial").status == 404:
            assert daemon.ask("POST", "/projects", {"path": str(folder)}).status == 201
        if nat:
            places.nat_project(folder)
        if settings:
            (folder / "att.toml").write_text(settings)
        for name, content in files.items():
            (folder / name.replace("_", ".")).write_text(content)

    return before


def nat_says(said: str, code: int = 1, config: str = places.CONFIG, *, evaluation: bool = True) -> Before:
    """A NAT that says this and ends."""
    lay_out = trial(nat=True, config_yml=config + EVALUATED)

    def before(daemon: RunningDaemon) -> None:
        lay_out(daemon)
        venv = daemon.home / "projects" / "trial" / ".venv"
        if evaluation:
            (next(venv.glob("lib/*/site-packages")) / "nvidia_nat_eval-1.9.0.dist-info").mkdir()
        (venv / "bin" / "nat").write_text(
            f'#!/bin/sh\necho "{said}"\n{"exec sleep 60" if code < 0 else f"exit {code}"}\n'
        )

    return before


def no_folder(daemon: RunningDaemon) -> None:
    trial()(daemon)
    shutil.rmtree(daemon.home / "projects" / "trial")


def broken(daemon: RunningDaemon) -> None:
    """A NAT that lacks what it needs to serve."""
    trial(config_yml=places.CONFIG + EVALUATED)(daemon)
    places.environment(daemon.home / "projects" / "trial", nvidia_nat_core="1.9.0")


def taken(daemon: RunningDaemon) -> None:
    """The port is the daemon's own."""
    trial(f"[runtime]\nport = {daemon.port}\ncommand = ['/bin/sleep', '600', '{{port}}']\n{ALIVE}")(daemon)


def in_the_way(where: str) -> tuple[Before, Before]:
    """There is a file where the daemon keeps a folder for the project; and how it is taken away."""

    def place(daemon: RunningDaemon) -> Path:
        return daemon.home / where / "trial"

    def before(daemon: RunningDaemon) -> None:
        away(daemon)
        trial(FINE)(daemon)
        place(daemon).parent.mkdir(exist_ok=True)
        place(daemon).write_text("")

    def away(daemon: RunningDaemon) -> None:
        assert daemon.ask("DELETE", "/projects/trial?keep_files=true").status in (
            200,
            404,
        )  # its log is closed
        shutil.rmtree(place(daemon), ignore_errors=True)
        place(daemon).unlink(missing_ok=True)

    return before, away


def in_the_way_of_eval(daemon: RunningDaemon) -> None:
    in_the_way("run")[0](daemon)
    nat_says("well", 0)(daemon)


def silent(daemon: RunningDaemon) -> None:
    """It lives, and never gets ready."""
    over(daemon)
    trial(f"[runtime]\ncommand = ['/bin/sleep', '600']\n{NEVER}")(daemon)


def over(daemon: RunningDaemon) -> None:
    assert daemon.ask("POST", "/projects/trial/runtime/stop").status in (200, 404, 409)


def gone(daemon: RunningDaemon) -> None:
    trial()(daemon)
    over(daemon)


def spoilt(name: str, content: str) -> Before:
    """A build of the project's environment is under way, and this file has been changed since."""

    def before(daemon: RunningDaemon) -> None:
        whole(daemon)
        building(daemon)
        (daemon.home / "projects" / "app" / name).write_text(content)

    return before


def whole(daemon: RunningDaemon) -> None:
    """The project `app` as it was made."""
    folder = daemon.home / "projects" / "app"
    if not (kept := daemon.home.parent / "app.toml").exists():
        kept.write_text((folder / "att.toml").read_text())
    (folder / "att.toml").write_text(kept.read_text())
    (folder / "pyproject.toml").write_text("[project]\nname = 'app'\nversion = '1'\ndependencies = []\n")
    not_building(daemon)


REFUSED: dict[str, Before] = {
    "invalid_settings": trial("[runtime]\nno_such_key = 1\n"),
    "no_config": trial("[runtime]\n"),
    "invalid_yaml": trial(config_yml="a: [\n"),
    "unknown_component": nat_says(UNKNOWN, config="workflow:\n  _type: ecko\n"),
    "invalid_nat_config": nat_says(INVALID, config="workflow:\n  _type: ecko\n"),
    "secret_missing": trial(FINE.replace(ALIVE, "env = {A = '${env:NO_SUCH_VARIABLE}'}\n" + ALIVE)),
    "command_not_found": trial("[runtime]\ncommand = ['./nowhere']\n"),
    "environment_not_built": trial(config_yml=places.CONFIG),
    "environment_broken": broken,
    "environment_build_failed": trial("[runtime]\n", nat=True, pyproject_toml="[["),
    "project_directory_missing": no_folder,
}
BUSY: dict[str, tuple[dict[str, Any], Before]] = {
    "environment_building": (APP, building),
    "port_in_use": (TRIAL, taken),
    "start_failed": (TRIAL, trial(f"[runtime]\ncommand = ['/bin/false']\nrestart = 'temporary'\n{NEVER}")),
    "no_artefact": ({**TRIAL, "source": "deployed"}, trial(FINE)),
}
CASES = [
    *(
        Case(name, TRIAL, code, before)
        for name in ("runtime.start", "runtime.restart", "runtime.eval")
        for code, before in REFUSED.items()
    ),
    *(
        Case(
            name,
            given,
            code,
            before,
            after=not_building if given is APP else gone,
            anew=frozenset({"detail", "lines"}),
        )
        for name in ("runtime.start", "runtime.restart")
        for code, (given, before) in BUSY.items()
    ),
    *(
        Case(name, TRIAL, code, in_the_way(where)[0], after=in_the_way(where)[1])
        for name in ("runtime.start", "runtime.restart")
        for code, where in (("run_folder_unusable", "run"), ("log_unusable", "logs"))
    ),
    *(
        Case(name, {**TRIAL, "timeout": 0.05}, "start_timeout", silent, after=gone)
        for name in ("runtime.start", "runtime.restart")
    ),
    *(
        Case(name, NOBODY, "project_not_found")
        for name in (
            *("runtime.restart", "runtime.stop", "runtime.eval", "runtime.logs.delete"),
            *("runtime.environment.build", "runtime.environment.cancel"),
        )
    ),
    *(
        Case(name, TRIAL, "log_unusable", in_the_way("logs")[0], after=in_the_way("logs")[1])
        for name in ("runtime.logs", "runtime.logs.delete")
    ),
    *(
        Case(name, {**TRIAL, "cursor": f"{tag('app')}-0"}, "cursor_of_another_project", trial(FINE))
        for name in ("runtime.logs", "runtime.logs.delete")
    ),
    Case("runtime.eval", TRIAL, before=nat_says("well", 0), anew=frozenset({"files"})),
    Case("runtime.eval", TRIAL, "eval_failed", nat_says("Error: no such dataset")),
    Case(
        "runtime.eval",
        {**TRIAL, "timeout": 0.05},
        "eval_timeout",
        nat_says("wait", -1),
        anew=frozenset({"lines"}),
    ),
    Case("runtime.eval", TRIAL, "run_folder_unusable", in_the_way_of_eval, after=in_the_way("run")[1]),
    *(
        Case(name, TRIAL, code, REFUSED[code])
        for name in ("runtime.environment.build", "runtime.environment.get")
        for code in ("invalid_settings", "environment_build_failed", "project_directory_missing")
    ),
    Case("runtime.environment.build", APP, "environment_building", building, after=not_building),
    Case("runtime.environment.build", {**APP, "wait": 61}, "invalid_request"),
    Case("runtime.environment.cancel", APP, "invalid_settings", spoilt("att.toml", "[["), after=whole),
    Case(
        "runtime.environment.cancel",
        APP,
        "environment_build_failed",
        spoilt("pyproject.toml", "[["),
        after=whole,
    ),
    Case("runtime.environment.cancel", TRIAL, "project_directory_missing", no_folder),
]

ELSEWHERE: dict[str, str] = {}
_DEPLOYED = "tests/att/deploy: it needs a version that was deployed"
ERRORS_ELSEWHERE = {
    **{
        f"runtime.{name}: {code}": where
        for name in ("start", "restart")
        for code, where in (
            ("safe_mode", "tests/together/test_releases.py: it needs a launcher whose daemon keeps dying"),
            ("deploy_under_way", _DEPLOYED),
            ("artefact_broken", _DEPLOYED),
        )
    },
    **{
        f"runtime.{name}: disk_full": "tests/att/runtime/test_disk.py: it needs a disk that is full"
        for name in ("start", "restart", "eval", "logs", "logs.delete")
    },
}
