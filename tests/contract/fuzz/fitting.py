"""How generated arguments are made to fit what there is, operation by operation, whichever door they go in by.

What is generated stays wherever it can; what has to name something that exists is taken from a few names that do, always the
same one for the same generated value. Programs are never named by a request: they stand in the projects.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

from tests.contract.fuzz.given import Given, pick, project_of, replaced, without
from tests.contract.fuzz.world import World

Fit = Callable[[World, Given], None]

FILES = ("a.txt", "data.bin", "folder/c.txt", "b.txt")
REVISIONS = ("HEAD", "main", "HEAD~1", "side", "ahead", "origin/main")
RECENT = ("2020-01-01T00:00:00Z", "2026-01-01T00:00:00+02:00")


def _file(world: World, given: Given) -> None:
    replaced(given, path=FILES)
    without(given, "if_match", "If-Match", "if_none_match", "If-None-Match", "offset")
    if given.get("encoding") == "utf-8":
        given["path"] = "a.txt"


def _write(world: World, given: Given) -> None:
    _file(world, given)
    if given.get("encoding") == "base64":
        given["content"] = pick(given["content"], ("", "AAECAw==", "/w=="))
    given["content"] = given["content"].encode("utf-8", "replace").decode()


def _delete_file(world: World, given: Given) -> None:
    replaced(given, path=FILES)
    without(given, "if_match", "If-Match")


def _move(world: World, given: Given) -> None:
    replaced(given, source=FILES, target=("moved.txt", "folder/moved.txt", "new/deep/moved"))
    without(given, "if_match", "If-Match")


def _files(world: World, given: Given) -> None:
    replaced(given, path=("", "folder"))


def _search(world: World, given: Given) -> None:
    replaced(given, path=("", "folder"))
    given["regex"] = False
    given["query"] = given["query"].replace("\0", "") or "one"


def _compare(world: World, given: Given) -> None:
    replaced(given, path=FILES, base=REVISIONS, head=REVISIONS)
    if given.get("head") is not None:
        given["untracked"] = False
        given["base"] = "HEAD~1"


def _log(world: World, given: Given) -> None:
    replaced(given, path=FILES, revision=REVISIONS, base=REVISIONS)


def _git_diff(world: World, given: Given) -> None:
    replaced(given, path=FILES, from_revision=REVISIONS, to_revision=REVISIONS)
    if given.get("from_revision") is None:
        without(given, "to_revision")
    if given.get("from_revision") or given.get("to_revision"):
        given["staged"] = False


def _changed(world: World, staged: bool) -> None:
    folder = world.projects / "held"
    (folder / "a.txt").write_text("one, changed\n")
    world.dirty = True
    if staged:
        world.ask("POST", "/projects/held/git/add", {"path": ["a.txt"]})


def _add(world: World, given: Given) -> None:
    _changed(world, staged=False)
    given["path"], given["all"] = ([], True) if given.get("all") else (["a.txt"], False)


def _commit(world: World, given: Given) -> None:
    _changed(world, staged=True)
    message = "".join(c for c in given.get("message") or "" if c.isprintable()).strip("# ")
    given["message"] = message or "a change"
    without(given, "author", "path")


def _branch(world: World, given: Given) -> None:
    action = given.get("action", "create")
    given["name"] = f"new-{world.next()}" if action == "create" else "side"
    without(given, "start", "new_name", "force" if action == "create" else "switch")
    if action == "rename":
        given["new_name"] = f"new-{world.next()}"


def _init(world: World, given: Given) -> None:
    shutil.rmtree(world.projects / "spare" / ".git", ignore_errors=True)
    given["branch"] = pick(given.get("branch"), ("main", "dev"))


def _exchange(world: World, given: Given) -> None:
    replaced(given, remote=("origin",), branch=("main",), remote_branch=("main", f"new-{world.next()}"))
    if given.get("remote") is None:
        without(given, "branch", "remote_branch")


def _remote_add(world: World, given: Given) -> None:
    given["name"], given["remote_url"] = f"other-{world.next()}", str(world.projects / "held-remote.git")


def _remote_remove(world: World, given: Given) -> None:
    _remote_add(world, given)
    world.ask("POST", "/projects/held/git/remotes", {name: given[name] for name in ("name", "remote_url")})
    without(given, "remote_url")


# -- pull requests and checks


def _pull_create(world: World, given: Given) -> None:
    given["head"], given["base"] = world.branch(), pick(given.get("base"), ("main", None))


def _pulls(world: World, given: Given) -> None:
    replaced(given, head=("work-1", "main"), base=("main",))


def _pull(world: World, given: Given) -> None:
    given["number"] = world.kept_pull()["number"]


def _review(world: World, given: Given) -> None:
    _pull(world, given)
    given["verdict"] = "comment"
    given["body"] = given.get("body", "").strip() or "well"


def _new_pull(world: World, given: Given) -> None:
    given["number"] = world.pull()
    without(given, "sha")


def _checks(world: World, given: Given) -> None:
    kept = world.kept_pull()
    chosen = [name for name in ("sha", "branch", "number") if given.get(name) is not None]
    without(given, "sha", "branch", "number")
    if chosen:
        given[chosen[0]] = kept["head" if chosen[0] == "branch" else chosen[0]]


def _check(world: World, given: Given) -> None:
    given["run"] = world.check(world.kept_pull()["number"], "completed")


def _pending_check(world: World, given: Given) -> None:
    given["run"] = world.check(world.pull(endless=True), "queued", "in_progress")


# -- long work


def _test_run(world: World, given: Given) -> None:
    world.settled("tested")
    replaced(given, paths=("tests", "tests/unit/test_a.py"), kind=("unit",), marker=("not slow",))
    replaced(given, keyword=("good", "not bad"), coverage_source=("tests",))
    given["wait"] = 30


def _results(world: World, given: Given) -> None:
    run = world.ended_run()
    replaced(given, run_id=(run,))


def _change_test(world: World, given: Given) -> None:
    world.settled("tested")
    path = f"made-{world.next()}/file.txt"
    given["changes"] = [{"path": path, "content": str(given.get("changes"))}]
    given["message"] = "".join(c for c in given["message"] if c.isprintable()).strip("# ") or "a change"
    given["test"], given["wait"] = {"keyword": "good"}, 30
    without(given, "patch", "branch")


def _run(world: World, given: Given) -> None:
    given["run_id"] = world.ended_run()


def _endless_run(world: World, given: Given) -> None:
    given["run_id"], given["wait"] = world.endless_run(), 30


def _resume(world: World, given: Given) -> None:
    given["run_id"], given["wait"] = world.failed_change(), 30


def _build(world: World, given: Given) -> None:
    world.settled("site")
    replaced(given, revision=("HEAD", "main"))
    given["wait"] = 30


def _deploy(world: World, given: Given) -> None:
    world.version()
    world.settled("site")
    without(given, "artefact_id")
    given["build"], given["health_timeout"], given["wait"] = True, 30, 30


def _roll_back(world: World, given: Given) -> None:
    world.deployed()
    world.deployed()
    without(given, "artefact_id")
    given["health_timeout"], given["wait"] = 30, 30


# -- the app


def _stopped(world: World, given: Given) -> None:
    world.maybe("POST", "/projects/app/runtime/stop")
    world.maybe("DELETE", "/projects/app/runtime/environment")


def _running(world: World, given: Given) -> None:
    world.maybe("POST", "/projects/app/runtime/start?wait=running")


def _begin(world: World, given: Given) -> None:
    _stopped(world, given)
    without(given, "source", "timeout")


def _begin_again(world: World, given: Given) -> None:
    _running(world, given)
    without(given, "source", "timeout")


def _logs(world: World, given: Given) -> None:
    _running(world, given)
    replaced(given, cursor=("oldest", "newest"), grep=("here", "^2026"), pattern=("step", "."), run=("none",))
    replaced(given, since=RECENT[:1], until=("2099-01-01T00:00:00Z",))
    if "direction" in given:
        without(given, "cursor")


def _logs_delete(world: World, given: Given) -> None:
    _running(world, given)
    replaced(given, cursor=("oldest", "newest"))


def _profile(world: World, given: Given) -> None:
    replaced(given, folder=(".tmp/nat/examples/default",))


def _evaluate(world: World, given: Given) -> None:
    without(given, "endpoint", "config")
    given["timeout"] = 20


def _build_under_way(world: World, given: Given) -> None:
    world.maybe("POST", "/projects/building/runtime/environment?rebuild=true")


# -- what is the daemon's own


def _create(world: World, given: Given) -> None:
    name = f"made-{world.next()}"
    kind = pick(given, ("template", "path", "clone_url"))
    given.clear()
    given["name"] = name
    if kind == "template":
        given["template"] = "echo"
    elif kind == "path":
        (world.projects / name).mkdir()
        given["path"] = str(world.projects / name)
    else:
        world.need("forge")
        given["clone_url"] = str(world.projects / "forge-remote.git")


def _download(world: World, given: Given) -> None:
    given["file"], given["name"] = str(world.archive()), f"fetched-{world.next()}"
    without(given, "url")


def _token(world: World, given: Given) -> None:
    given["name"] = f"agent-{world.next()}"
    replaced(given, expires_at=("2099-01-01T00:00:00Z",))


def _token_there(world: World, given: Given) -> None:
    given["name"] = f"agent-{world.next()}"
    world.ask("POST", "/tokens", {"name": given["name"]})


def _release(world: World, given: Given) -> None:
    given["release_id"] = "installed"


FITS: dict[str, Fit] = {
    "code.list": _files,
    "code.read": _file,
    "code.write": _write,
    "code.delete": _delete_file,
    "code.move": _move,
    "code.search": _search,
    "code.diff": _compare,
    "git.log": _log,
    "git.diff": _git_diff,
    "git.add": _add,
    "git.commit": _commit,
    "git.init": _init,
    "git.branch": _branch,
    "git.fetch": _exchange,
    "git.pull": _exchange,
    "git.push": _exchange,
    "git.remote.add": _remote_add,
    "git.remote.remove": _remote_remove,
    "git.pr.create": _pull_create,
    "git.pr.list": _pulls,
    "git.pr.get": _pull,
    "git.pr.review": _pull,
    "git.pr.review.create": _review,
    "git.pr.merge": _new_pull,
    "git.pr.close": _new_pull,
    "git.actions": _checks,
    "git.actions.logs": _check,
    "git.actions.rerun": _check,
    "git.actions.cancel": _pending_check,
    "test.run": _test_run,
    "test.results": _results,
    "workflow.change_test": _change_test,
    "workflow.status": _run,
    "workflow.cancel": _endless_run,
    "workflow.resume": _resume,
    "deploy.build": _build,
    "deploy.run": _deploy,
    "deploy.rollback": _roll_back,
    "runtime.start": _begin,
    "runtime.restart": _begin_again,
    "runtime.stop": _running,
    "runtime.logs": _logs,
    "runtime.logs.delete": _logs_delete,
    "runtime.eval": _evaluate,
    "runtime.environment.build": _stopped,
    "runtime.environment.cancel": _build_under_way,
    "debug.errors": _logs,
    "debug.logs": _logs,
    "debug.profile": _profile,
    "project.create": _create,
    "project.download": _download,
    "token.create": _token,
    "token.revoke": _token_there,
    "release.status": _release,
}
# What starts programs that take their time is asked less often.
HEAVY = {
    "test.run": 6,
    "workflow.change_test": 5,
    "workflow.cancel": 4,
    "workflow.resume": 4,
    "deploy.build": 4,
    "deploy.run": 4,
    "deploy.rollback": 3,
    "runtime.environment.build": 5,
    "runtime.environment.cancel": 4,
    "git.actions.cancel": 5,
    "runtime.eval": 5,
    "runtime.restart": 6,
}


def fit(world: World, name: str, given: Given) -> None:
    """Everything is there that the operation needs, and it is asked about that."""
    name = name.removesuffix(".also")
    world.need(project_of(name))
    if "project_id" in given:
        given["project_id"] = project_of(name)
    without(given, "cursor")
    if name in FITS:
        FITS[name](world, given)
