"""What is asked of the workflow room: runs, and the workflow that changes, tests and commits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.contract.parity import repositories as r
from tests.contract.parity.case import Case
from tests.contract.parity.git_room import STATES
from tests.contract.parity.programs import git_again, git_is_endless
from tests.contract.parity.repositories import HELD, held
from tests.contract.parity.test_room import busy, ran
from tests.daemon import RunningDaemon

FRESH = frozenset({"duration_seconds", "message", "command", "output", "commit", "done", "total"})
REPORT = '<testsuite><testcase classname="t" name="good"/></testsuite>'
TESTED: dict[str, str | bytes] = {"att.toml": '[test]\ncommand = ["cp", "../report.xml", "{report}"]\n'}
PATCH = "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-one\n+one, here\n"
RUNS = "/projects/held/workflows/runs"


def change(**more: Any) -> dict[str, Any]:
    return {**HELD, "message": "a change", "changes": [{"path": "a.txt", "content": "one, here\n"}], **more}


def path(name: str, **more: Any) -> dict[str, Any]:
    return change(changes=[{"path": name, **(more or {"content": "x"})}])


def tested(*, good: bool = True) -> r.Before:
    """A repository whose tests pass, or end without a report."""

    def report(folder: Path) -> None:
        there = folder.with_name("report.xml")
        if good:
            there.write_text(REPORT)
        else:
            there.unlink(missing_ok=True)

    return held(r.write(TESTED), report)


def begin(daemon: RunningDaemon, state: str) -> str:
    wish = {name: value for name, value in change().items() if name != "project_id"}
    run = daemon.ask("POST", "/projects/held/workflows/change-test?wait=30", wish).json
    assert run["state"] == state, run
    return str(run["run_id"])


def failed(daemon: RunningDaemon) -> None:
    """A change failed, and would go well now."""
    tested(good=False)(daemon)
    begin(daemon, "failed")
    (daemon.home / "projects" / "report.xml").write_text(REPORT)


def newest(daemon: RunningDaemon) -> str:
    return str(daemon.ask("GET", f"{RUNS}?kind=workflow.change_test&limit=1").json["runs"][0]["run_id"])


def failed_one(daemon: RunningDaemon) -> str:
    query = "kind=workflow.change_test&state=failed&limit=1"
    return str(daemon.ask("GET", f"{RUNS}?{query}").json["runs"][0]["run_id"])


def of_tests(daemon: RunningDaemon) -> str:
    """A run of tests that has ended."""
    return str(daemon.ask("GET", "/projects/tested-bad/test/results").json["run_id"])


def waiting(daemon: RunningDaemon) -> None:
    """One change has failed, and another is under way."""
    if daemon.ask("GET", f"{RUNS}?limit=1&state=running").json.get("runs"):
        return
    failed(daemon)
    held(r.write({"att.toml": '[test]\ncommand = ["sleep", "600"]\n'}))(daemon)
    wish = {name: value for name, value in change().items() if name != "project_id"}
    begun = daemon.ask("POST", "/projects/held/workflows/change-test?wait=0.05", wish)
    assert begun.status == 202, begun.text


def no_longer(daemon: RunningDaemon) -> None:
    ended = daemon.ask("POST", f"{RUNS}/{newest(daemon)}/cancel?wait=30", {})
    assert ended.json["state"] == "cancelled", ended.text


def busy_one(daemon: RunningDaemon) -> str:
    runs = daemon.ask("GET", "/projects/tested-busy/workflows/runs?limit=1").json["runs"]
    return str(runs[0]["run_id"])


def no_place(daemon: RunningDaemon) -> None:
    """Where is kept how files were there is something else."""
    held()(daemon)
    place = daemon.home / "changes"
    if place.is_dir():
        place.rmdir()
    place.touch()


def place_again(daemon: RunningDaemon) -> None:
    (daemon.home / "changes").unlink()


BAD, BUSY = {"project_id": "tested-bad"}, {"project_id": "tested-busy"}
NOWHERE = {"run_id": "nowhere"}
RUNNING = [
    Case("workflow.list", {**BAD, "state": "failed"}, before=ran, anew=FRESH),
    Case("workflow.list", {"project_id": "nobody"}, "project_not_found"),
    Case("workflow.list", {**HELD, "cursor": "!!"}, "bad_cursor", held()),
    Case("workflow.list", {**HELD, "limit": 0}, "invalid_request", held()),
    Case("workflow.status", {**BAD, "run_id": of_tests}, before=ran),
    *(
        Case(f"workflow.{verb}", {"project_id": "nobody", **NOWHERE}, "project_not_found")
        for verb in ("status", "cancel", "resume")
    ),
    *(
        Case(f"workflow.{verb}", {**HELD, **NOWHERE}, "run_not_found", held())
        for verb in ("status", "cancel", "resume")
    ),
    Case("workflow.cancel", {**BUSY, "run_id": busy_one, "wait": 30}, "", busy, FRESH),
    Case("workflow.cancel", {**BAD, "run_id": of_tests}, "run_ended", ran),
    Case("workflow.resume", {**BAD, "run_id": of_tests}, "run_not_resumable", ran),
    Case("workflow.resume", {**HELD, "run_id": failed_one, "wait": 30}, "", failed, FRESH),
    Case("workflow.resume", {**HELD, "run_id": failed_one}, "run_busy", waiting, after=no_longer),
    Case("workflow.change_test", path("new.txt"), "run_busy", waiting, after=no_longer),
    *(
        Case(name, {**HELD, **given}, "run_busy", waiting, after=no_longer)
        for name, given in (
            ("git.add", {"all": True}),
            ("git.commit", {"message": "m", "all": True}),
            ("git.branch", {"name": "side", "action": "switch"}),
            ("git.pull", {}),
        )
    ),
]
CHANGING = [
    Case("workflow.change_test", change(wait=30), "", tested(), FRESH),
    Case(
        "workflow.change_test",
        {**HELD, "message": "m", "patch": PATCH, "branch": "new", "wait": 30},
        "",
        tested(),
        FRESH,
    ),
    Case("workflow.change_test", {**change(), "project_id": "nobody"}, "project_not_found"),
    *(
        Case(
            "workflow.change_test",
            change(),
            code,
            before,
            after=r.not_inner if code == "repository_above" else git_again,
        )
        for code, before in STATES.items()
    ),
    Case(
        "workflow.change_test",
        change(),
        "git_output_too_large",
        held(then=git_is_endless("status")),
        after=git_again,
    ),
    Case("workflow.change_test", path("../x"), "path_outside_project", held()),
    Case("workflow.change_test", path("a" * 300), "invalid_path", held()),
    Case("workflow.change_test", path("nowhere", delete=True), "file_not_found", held()),
    Case("workflow.change_test", path(".git/config"), "git_internals", held()),
    Case("workflow.change_test", path("folder"), "not_a_file", held()),
    Case("workflow.change_test", change(), "file_unavailable", no_place, after=place_again),
    Case("workflow.change_test", change(), "operation_in_progress", held(r.merging)),
    Case("workflow.change_test", change(), "detached_head", held(r.detached)),
    Case("workflow.change_test", change(branch="a..b"), "invalid_branch_name", held()),
    Case("workflow.change_test", change(branch="side"), "branch_exists", held()),
    Case("workflow.change_test", change(message=" "), "empty_message", held()),
    Case("workflow.change_test", change(message="\uffff"), "invalid_message", held()),
    Case("workflow.change_test", change(), "files_dirty", held(r.write({"a.txt": "by hand\n"}))),
    Case(
        "workflow.change_test",
        {**HELD, "message": "m", "patch": PATCH.replace("-one", "-two")},
        "patch_does_not_apply",
        held(),
    ),
    Case("workflow.change_test", path("a.txt", content="one\n"), "nothing_to_change", held()),
    Case("workflow.change_test", path("a.txt", content="?", base64=True), "invalid_change", held()),
    Case("workflow.change_test", {**HELD, "message": "m"}, "invalid_request", held()),
]
CASES = [*RUNNING, *CHANGING]
ELSEWHERE: dict[str, str] = {}
ERRORS_ELSEWHERE = {
    "run_too_large": "tests/att/workflow/test_deciding.py: it needs 32 MiB at each door",
    "workflow.change_test: disk_full": "tests/att/workflow/test_survey.py: it needs a disk that is full",
}
