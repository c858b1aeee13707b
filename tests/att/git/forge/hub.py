"""GitHub on this machine, as far as it is asked: real bare repositories, real merges, each request held against the description.

The REST API (below /api/v3 when that is wanted, as GitHub Enterprise has it), git over HTTP at /OWNER/NAME.git, ETags, quotas, and
faults on demand: `faults` are answered first, one each. What GitHub would refuse to take stands in `invalid`.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.att.git.forge.description import Description

P = "/repos/{o}/{r}"
USER: web.RequestKey[str] = web.RequestKey("user", str)
N = P + r"/pulls/{n:\d+}"
ENV = {
    **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{
        f"GIT_{who}_{what}": "hub@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def git(folder: Path, *words: str, check: bool = True) -> str:
    done = subprocess.run(["git", *words], cwd=folder, env=ENV, capture_output=True, text=True)
    if check:
        assert done.returncode == 0, (words, done.stderr)
    return done.stdout.strip() if done.returncode == 0 else ""


@dataclass
class Fault:
    """An answer instead of the right one. `after`: the request is carried out all the same, and its
    answer lost. `method`: for such requests only."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "Server Error"
    after: bool = False
    method: str = ""


@dataclass
class Hub:
    root: Path
    description: Description | None = None
    prefix: str = ""
    port: int = 0
    users: dict[str, str] = field(default_factory=lambda: {"token-of-dev": "dev", "token-of-rev": "rev"})
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    reviews: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    check_runs: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[int, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    remaining: int = 5000
    reset: int = 0
    not_modified: int = 0
    required: bool = False
    reviews_required: int = 0
    undecided: int = 0  # how often it is said that it is not known yet whether it can be merged
    leaked: bool = False
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1000))

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/octo/app.git"

    @property
    def bare(self) -> Path:
        return self.root / "octo" / "app.git"

    def tip(self, branch: str) -> str:
        return git(self.bare, "rev-parse", "--verify", "-q", f"refs/heads/{branch}", check=False)

    # -- what a test does to it

    def finish(self, conclusion: str, text: str = "all is said\n") -> None:
        """End all runs."""
        self._runs_of_heads()
        for run in self.runs.values():
            if run["status"] != "completed":
                run.update(status="completed", conclusion=conclusion)
                packed = io.BytesIO()
                with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                    archive.writestr("1_test.txt", text)
                    archive.writestr("test/1_step.txt", "not told twice")
                self.logs[run["id"]] = packed.getvalue()

    # -- the API

    def _runs_of_heads(self) -> None:
        for pull in self.pulls.values():
            sha = self._head(pull)
            if pull["state"] == "open" and not any(run["head_sha"] == sha for run in self.runs.values()):
                number = next(self._ids)
                self.runs[number] = {
                    "id": number,
                    "name": "ci",
                    "head_sha": sha,
                    "head_branch": pull["head"],
                    "status": "in_progress",
                    "conclusion": None,
                    "run_attempt": 1,
                    "created_at": "2026-11-21T01:02:03Z",
                    "updated_at": "2026-11-21T01:02:04Z",
                    "run_started_at": "2026-11-21T01:02:03Z",
                    "html_url": "http://127.0.0.1/run",
                }

    def _head(self, pull: dict[str, Any]) -> str:
        if pull["state"] == "open":
            pull["head_sha"] = self.tip(pull["head"]) or pull["head_sha"]
        return str(pull["head_sha"])

    def _merge_state(self, pull: dict[str, Any]) -> str:
        if self.undecided > 0:
            self.undecided -= 1
            return "unknown"
        if (
            git(
                self.bare, "merge-tree", "--write-tree", self.tip(pull["base"]), pull["head_sha"], check=False
            )
            == ""
        ):
            return "dirty"
        runs = [run for run in self.runs.values() if run["head_sha"] == pull["head_sha"]]
        if self.required and any(run["conclusion"] != "success" for run in runs):
            return "blocked"
        approved = sum(each["state"] == "APPROVED" for each in self.reviews.get(pull["number"], []))
        return "clean" if approved >= self.reviews_required else "blocked"

    def _told(self, pull: dict[str, Any], whole: bool = True) -> dict[str, Any]:
        sha = self._head(pull)
        self._runs_of_heads()
        told = {key: pull[key] for key in ("number", "state", "title", "body", "merged_at")}
        told |= {
            "user": {"login": pull["user"]},
            "html_url": f"http://127.0.0.1/octo/app/pull/{pull['number']}",
        }
        told |= {"head": {"ref": pull["head"], "sha": sha}, "merge_commit_sha": pull["merge_sha"]}
        told |= {"base": {"ref": pull["base"], "sha": self.tip(pull["base"])}}
        told |= {"created_at": "2026-11-21T01:02:03Z", "updated_at": "2026-11-21T01:02:03Z"}
        if whole:
            told |= {"merged": pull["merged_at"] is not None, "mergeable_state": self._merge_state(pull)}
        return told

    async def repository(self, request: web.Request) -> web.Response:
        return web.json_response({"default_branch": "main", "full_name": "octo/app"})

    async def create(self, request: web.Request) -> web.Response:
        wish = await request.json()
        for name in ("head", "base"):
            if not self.tip(wish[name]):
                return invalid_field([{"resource": "PullRequest", "field": name, "code": "invalid"}])
        same = [p for p in self.pulls.values() if (p["head"], p["state"]) == (wish["head"], "open")]
        if same:
            return invalid_field(
                [{"code": "custom", "message": f"A pull request already exists for octo:{wish['head']}."}]
            )
        head, base = self.tip(wish["head"]), self.tip(wish["base"])
        if not git(self.bare, "rev-list", "-n1", f"{base}..{head}"):
            text = f"No commits between {wish['base']} and {wish['head']}"
            return invalid_field([{"code": "custom", "message": text}])
        number = len(self.pulls) + 1
        fixed = {"number": number, "state": "open", "merged_at": None, "merge_sha": None, "head_sha": head}
        self.pulls[number] = {"body": None, **wish, **fixed, "user": request[USER]}
        return web.json_response(self._told(self.pulls[number]), status=201)

    async def listed(self, request: web.Request) -> web.Response:
        state, head, base = (request.query.get(name) for name in ("state", "head", "base"))
        found = [
            p
            for p in reversed(self.pulls.values())
            if state in ("all", p["state"])
            and head in (None, f"octo:{p['head']}")
            and base in (None, p["base"])
        ]
        return web.json_response([self._told(p, whole=False) for p in paged(found, request)])

    async def one(self, request: web.Request) -> web.Response:
        return web.json_response(self._told(self._pull(request)))

    async def change(self, request: web.Request) -> web.Response:
        pull = self._pull(request)
        pull["state"] = (await request.json())["state"]
        return web.json_response(self._told(pull))

    async def merge(self, request: web.Request) -> web.Response:
        pull, wish = self._pull(request), await request.json()
        if pull["state"] != "open":
            return refused(405, "Pull Request is not mergeable")
        head, base = self._head(pull), self.tip(pull["base"])
        if wish.get("sha") not in (None, head):
            return refused(409, "Head branch was modified. Review and try the merge again.")
        if self._merge_state(pull) not in ("clean", "unknown"):
            return refused(405, "Pull Request is not mergeable")
        tree = git(self.bare, "merge-tree", "--write-tree", base, head).split()[0]
        parents = {"merge": ["-p", base, "-p", head], "squash": ["-p", base]}.get(wish["merge_method"])
        title = wish.get("commit_title", f"Merge pull request #{pull['number']}")
        sha = self._rebased(base, head)
        if parents is not None:
            sha = git(self.bare, "commit-tree", tree, *parents, "-m", title)
        git(self.bare, "update-ref", f"refs/heads/{pull['base']}", sha, base)
        pull.update(state="closed", merged_at="2026-11-21T01:02:03Z", merge_sha=sha)
        return web.json_response({"sha": sha, "merged": True, "message": "Pull Request successfully merged"})

    def _rebased(self, base: str, head: str) -> str:
        copy = self.root / f"rebase-{next(self._ids)}"
        git(self.root, "clone", "-q", str(self.bare), str(copy))
        git(copy, "checkout", "-q", "--detach", head)
        git(copy, "rebase", "-q", base)
        git(self.bare, "fetch", "-q", str(copy), "HEAD")
        return git(copy, "rev-parse", "HEAD")

    async def add_review(self, request: web.Request) -> web.Response:
        pull, wish = self._pull(request), await request.json()
        states = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}
        if wish["event"] != "COMMENT" and pull["user"] == request[USER]:
            return refused(422, "Unprocessable Entity", ["Can not approve your own pull request"])
        made = {
            "id": next(self._ids),
            "user": {"login": request[USER]},
            "state": states[wish["event"]],
            "body": wish.get("body", ""),
            "commit_id": wish["commit_id"],
            "submitted_at": "2026-11-21T01:02:03Z",
        }
        self.reviews.setdefault(pull["number"], []).append(made)
        return web.json_response(made)

    async def list_reviews(self, request: web.Request) -> web.Response:
        found = self.reviews.get(self._pull(request)["number"], [])
        return web.json_response(paged(found, request))

    async def list_runs(self, request: web.Request) -> web.Response:
        self._runs_of_heads()
        sha, branch = request.query.get("head_sha"), request.query.get("branch")
        found = [
            run
            for run in reversed(self.runs.values())
            if sha in (None, run["head_sha"]) and branch in (None, run["head_branch"])
        ]
        return web.json_response({"total_count": len(found), "workflow_runs": paged(found, request)})

    async def one_run(self, request: web.Request) -> web.Response:
        return web.json_response(self._run(request))

    async def cancel(self, request: web.Request) -> web.Response:
        self._run(request).update(status="completed", conclusion="cancelled")
        return web.json_response({}, status=202)

    async def rerun(self, request: web.Request) -> web.Response:
        run = self._run(request)
        run.update(status="queued", conclusion=None, run_attempt=run["run_attempt"] + 1)
        return web.json_response({}, status=201)

    async def run_logs(self, request: web.Request) -> web.Response:
        number = self._run(request)["id"]
        if number not in self.logs:
            raise web.HTTPGone(text='{"message": "Gone"}', content_type="application/json")
        return web.Response(
            status=302, headers={"Location": f"http://localhost:{self.port}/blob/{number}.zip"}
        )

    async def list_check_runs(self, request: web.Request) -> web.Response:
        found = [each for each in self.check_runs if each["head_sha"] == request.match_info["sha"]]
        return web.json_response({"total_count": len(found), "check_runs": found})

    async def one_check_run(self, request: web.Request) -> web.Response:
        for each in self.check_runs:
            if each["id"] == int(request.match_info["id"]):
                return web.json_response(each)
        raise missing()

    async def delete_ref(self, request: web.Request) -> web.Response:
        branch = request.match_info["ref"].removeprefix("heads/")
        if not self.tip(branch):
            return refused(422, "Reference does not exist")
        git(self.bare, "update-ref", "-d", f"refs/heads/{branch}")
        return web.Response(status=204)

    # -- what stands before and beside it

    def _pull(self, request: web.Request) -> dict[str, Any]:
        found = self.pulls.get(int(request.match_info["n"]))
        if found is None:
            raise missing()
        return found

    def _run(self, request: web.Request) -> dict[str, Any]:
        found = self.runs.get(int(request.match_info["id"]))
        if found is None:
            raise missing()
        return found


def paged(found: list[Any], request: web.Request) -> list[Any]:
    size, page = int(request.query.get("per_page", 30)), int(request.query.get("page", 1))
    return found[(page - 1) * size : page * size]


def refused(status: int, message: str, errors: Any = None) -> web.Response:
    told = {"message": message} | ({"errors": errors} if errors else {})
    return web.json_response(told, status=status)


def invalid_field(errors: Any) -> web.Response:
    return refused(422, "Validation Failed", errors)


def missing() -> web.HTTPNotFound:
    return web.HTTPNotFound(text=json.dumps({"message": "Not Found"}), content_type="application/json")
