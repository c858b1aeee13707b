"""The forge at GitHub: one repository there, by its REST API.

Merging looks before it acts: GitHub answers 405 for every reason not to merge, so the reason is read from the pull request
first, and the head that was looked at is sent along, so that nothing else than that is merged. When an answer was lost and
the request had to be repeated, what the first one did is found and answered.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from att.catalogue import Call
from att.event.log import EventLog
from att.git.errors import MergeConflict
from att.git.forge import archive, tell, translate
from att.git.forge.client import Client, Refused
from att.git.forge.errors import (
    BranchNotOnForge,
    CheckNotFound,
    CheckNotRunning,
    CheckRunning,
    ChecksFailed,
    ChecksPending,
    ForgeNotFound,
    ForgeRefused,
    HeadMoved,
    PullExists,
    PullNotFound,
    PullNotOpen,
    ReviewRequired,
)
from att.git.forge.models import (
    AddReview,
    Check,
    CheckLog,
    CheckPage,
    CreatePull,
    ListChecks,
    ListPulls,
    Lost,
    Mergeable,
    Merged,
    MergePull,
    PullPage,
    PullRequest,
    PullState,
    ReadCheckLog,
    Review,
    ReviewList,
    Status,
    Verdict,
)
from att.git.forge.pages import Piece, page_number, piece
from att.git.forge.remote import Repository
from att.git.forge.verdict import newest, sum_of
from att.git.forge.work import conflicts_between, current_branch
from att.problems import NotFound, Problem

_REPO = "/repos/{owner}/{repo}"
_PULL = _REPO + "/pulls/{number}"
_FINDS_OUT = 5
"""How often a pull request is asked for again while GitHub finds out whether it can be merged."""
_LOOK = 5.0
_LOGS = 4
_REVIEW_PAGES = 10
_EVENT = {
    Verdict.APPROVE: "APPROVE",
    Verdict.REQUEST_CHANGES: "REQUEST_CHANGES",
    Verdict.COMMENT: "COMMENT",
}


class Logs(OrderedDict[tuple[str, str, int], tuple[bytes, int]]):
    """The texts of the logs that were read last, so that reading on does not fetch them again."""

    def keep(self, key: tuple[str, str, int], text: bytes, left_out: int) -> None:
        self[key] = (text, left_out)
        while len(self) > _LOGS:
            self.popitem(last=False)


class GitHub:
    """One project's repository at GitHub."""

    def __init__(
        self,
        client: Client,
        repository: Repository,
        project_id: str,
        folder: Path,
        events: EventLog,
        logs: Logs,
    ) -> None:
        self._client = client
        self._repository = repository
        self._project_id = project_id
        self._folder = folder
        self._events = events
        self._logs = logs

    async def create(self, ask: CreatePull, call: Call) -> PullRequest:
        head = ask.head or await current_branch(self._folder)
        base = ask.base or await self._default_branch()
        wish = {"title": ask.title, "body": ask.body, "head": head, "base": base}
        try:
            answer = await self._client.ask("POST", _REPO + "/pulls", self._names, wish, repeat=True)
            made = translate.pull(answer.data)
        except Refused as refused:
            made = await self._made_before(refused, head, base)
        await self._tell(tell.created(made), call)
        return made

    async def _made_before(self, refused: Refused, head: str, base: str) -> PullRequest:
        """What a lost answer was about; else why GitHub makes none."""
        problem = refused.problem(f"{self._repository}: a pull request from {head} into {base}")
        if isinstance(problem, BranchNotOnForge):
            branch = {"head": head, "base": base}[problem.extra["branch"]]
            raise BranchNotOnForge(f"{self._repository} has no branch {branch}.", branch=branch) from None
        if not isinstance(problem, PullExists):
            raise problem from None
        open_ones = await self.pulls(ListPulls(project_id=self._project_id, head=head, base=base, limit=1))
        if not open_ones.pulls:
            raise problem from None
        found = open_ones.pulls[0]
        if refused.attempts > 1:
            return found
        raise PullExists(f"{head} has the open pull request {found.number}.", number=found.number) from None

    async def pulls(self, ask: ListPulls) -> PullPage:
        page = page_number(ask.cursor)
        state = "closed" if ask.state == "merged" else ask.state
        values: dict[str, Any] = {"state": state, "per_page": ask.limit, "page": page}
        query = "{?state,per_page,page,head,base}"
        if ask.head:
            values["head"] = f"{self._repository.owner}:{ask.head}"
        if ask.base:
            values["base"] = ask.base
        found = await self._get(_REPO + "/pulls" + query, **values)
        told = [translate.pull(each) for each in found]
        wanted = [each for each in told if ask.state == "all" or each.state == ask.state]
        return PullPage(pulls=wanted, next_cursor=str(page + 1) if len(found) == ask.limit else None)

    async def pull(self, number: int) -> PullRequest:
        return await self._named(translate.pull(await self._raw(number)))

    async def merge(self, ask: MergePull, call: Call) -> Merged:
        found = await self._settled(ask.number)
        problem = await self._objection(found, ask.sha)
        if problem is not None:
            raise problem
        wish = {"sha": found.head_sha, "merge_method": ask.method.value}
        wish |= {"commit_title": ask.title} if ask.title else {}
        wish |= {"commit_message": ask.message} if ask.message is not None else {}
        values = {"number": ask.number, **self._names}
        try:
            sha = (await self._client.ask("PUT", _PULL + "/merge", values, wish)).data["sha"]
        except Refused as refused:
            now = await self._settled(ask.number)
            if now.state is not PullState.MERGED or refused.attempts == 1 or now.merge_sha is None:
                raise await self._objection(now, found.head_sha) or self._unmerged(refused, now) from None
            sha = now.merge_sha
        gone = await self._delete_branch(found.head) if ask.delete_branch else False
        merged = Merged(number=ask.number, method=ask.method, sha=sha, base=found.base, branch_deleted=gone)
        await self._tell(tell.merged(merged, found), call)
        return merged

    def _unmerged(self, refused: Refused, now: PullRequest) -> Problem:
        """Why GitHub did not merge what could be merged by all that is known."""
        if refused.status == 409:
            return HeadMoved(f"Pull request {now.number} moved in between.", head_sha=now.head_sha)
        return self._problem(refused, f"Pull request {now.number}")

    async def close(self, number: int, call: Call) -> PullRequest:
        found = translate.pull(await self._raw(number))
        if found.state is not PullState.OPEN:
            raise PullNotOpen(f"Pull request {number} is {found.state.value}.")
        closed = translate.pull(await self._send("PATCH", _PULL, {"state": "closed"}, number=number))
        await self._tell(tell.closed(closed), call)
        return closed

    async def reviews(self, number: int) -> ReviewList:
        reviews: list[Review] = []
        for page in range(1, _REVIEW_PAGES + 1):
            path = _PULL + "/reviews{?per_page,page}"
            found = await self._get(path, PullNotFound, number=number, per_page=100, page=page)
            reviews += [translate.review(each, number) for each in found]
            if len(found) < 100:
                break
        return ReviewList(reviews=reviews)

    async def review(self, ask: AddReview, call: Call) -> Review:
        found = translate.pull(await self._raw(ask.number))
        if found.state is not PullState.OPEN:
            raise PullNotOpen(f"Pull request {ask.number} is {found.state.value}.")
        wish = {"event": _EVENT[ask.verdict], "body": ask.body, "commit_id": found.head_sha}
        made = translate.review(
            await self._send("POST", _PULL + "/reviews", wish, number=ask.number), ask.number
        )
        await self._tell(tell.reviewed(made), call)
        return made

    async def checks(self, ask: ListChecks) -> CheckPage:
        page = page_number(ask.cursor)
        sha = ask.sha
        if ask.number is not None:
            sha = translate.pull(await self._raw(ask.number)).head_sha
        values: dict[str, Any] = {"per_page": ask.limit, "page": page}
        values |= {"head_sha": sha} if sha else {}
        values |= {"branch": ask.branch} if ask.branch else {}
        found = await self._get(_REPO + "/actions/runs{?head_sha,branch,per_page,page}", **values)
        runs = [translate.run(each) for each in found["workflow_runs"]]
        more = len(runs) == ask.limit
        if sha and page == 1:
            runs += await self._of_other_apps(sha)
        return CheckPage(checks=runs, state=sum_of(runs), next_cursor=str(page + 1) if more else None)

    async def log(self, ask: ReadCheckLog) -> CheckLog:
        check = await self._ended_within(ask.run, ask.wait)
        if check.status is not Status.COMPLETED:
            return _log(check, piece(b"", ask.cursor or "0", ask.limit, 0), over=False)
        text, left_out = await self._text(check)
        return _log(check, piece(text, ask.cursor, ask.limit, left_out), over=True)

    async def cancel(self, run: str, call: Call) -> Check:
        check = await self._check(run)
        if check.status is Status.COMPLETED:
            raise CheckNotRunning(f"The check {run} ended with {check.conclusion}.")
        if run.startswith("c"):
            raise ForgeRefused(
                f"The check {run} belongs to another app than Actions; only that can cancel it."
            )
        await self._send("POST", _REPO + "/actions/runs/{run}/cancel", b"", run=run)
        return await self._check(run)

    async def rerun(self, run: str, call: Call) -> Check:
        check = await self._check(run)
        if check.status is not Status.COMPLETED:
            raise CheckRunning(f"The check {run} is {check.status.value}.")
        path = "/check-runs/{run}/rerequest" if run.startswith("c") else "/actions/runs/{run}/rerun"
        await self._send("POST", _REPO + path, b"", run=run.removeprefix("c"))
        return await self._check(run)

    # -- what these are made of

    @property
    def _names(self) -> dict[str, Any]:
        return {"owner": self._repository.owner, "repo": self._repository.name}

    async def _get(self, path: str, missing: type[NotFound] = ForgeNotFound, **values: Any) -> Any:
        try:
            return await self._client.get(path, **values, **self._names)
        except Refused as refused:
            raise self._problem(refused, str(self._repository), missing) from None

    async def _send(self, method: str, path: str, body: Any, **values: Any) -> Any:
        try:
            return (await self._client.ask(method, path, {**values, **self._names}, body)).data
        except Refused as refused:
            raise self._problem(refused, str(self._repository)) from None

    def _problem(self, refused: Refused, what: str, missing: type[NotFound] = ForgeNotFound) -> Problem:
        problem = refused.problem(what)
        return missing(problem.detail) if isinstance(problem, ForgeNotFound) else problem

    async def _tell(self, told: tuple[str, Mapping[str, Any]], call: Call) -> None:
        await self._events.append(
            told[0],
            project_id=self._project_id,
            payload=told[1],
            actor=call.actor,
            request_id=call.request_id,
        )

    async def _default_branch(self) -> str:
        return str((await self._get(_REPO))["default_branch"])

    async def _raw(self, number: int) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._get(_PULL, PullNotFound, number=number)
        return found

    async def _settled(self, number: int) -> PullRequest:
        """The pull request, once GitHub has found out whether it can be merged (or has had some time for it)."""
        for _ in range(_FINDS_OUT):
            found = translate.pull(await self._raw(number))
            if found.mergeable is not Mergeable.UNKNOWN or found.state is not PullState.OPEN:
                break
            await self._client.pause(1.0)
        return await self._named(found)

    async def _named(self, found: PullRequest) -> PullRequest:
        """With the files in conflict, where the project has both commits."""
        if found.mergeable is not Mergeable.CONFLICT:
            return found
        files = await conflicts_between(self._folder, found.base_sha, found.head_sha)
        return found.model_copy(update={"conflicts": files})

    async def _objection(self, found: PullRequest, sha: str | None) -> Problem | None:
        called = f"Pull request {found.number}"
        if found.state is not PullState.OPEN:
            return PullNotOpen(f"{called} is {found.state.value}.")
        if sha is not None and sha != found.head_sha:
            return HeadMoved(f"{called} is at {found.head_sha} now, not at {sha}.", head_sha=found.head_sha)
        if found.mergeable is Mergeable.CONFLICT:
            named = ", ".join(found.conflicts[:5]) or "in files that GitHub does not name"
            return MergeConflict(f"{called} conflicts with its base: {named}.", files=found.conflicts)
        if found.mergeable is not Mergeable.BLOCKED:
            return None
        page = await self.checks(ListChecks(project_id=self._project_id, sha=found.head_sha, limit=100))
        names = [check.name for check in newest(page.checks)]
        if page.state == "failure":
            return ChecksFailed(f"The checks of pull request {found.number} did not pass.", checks=names)
        if page.state == "pending":
            return ChecksPending(f"{called} waits for its checks.", checks=names)
        return ReviewRequired(f"{called} is held back by the rules of {found.base}.")

    async def _delete_branch(self, branch: str) -> bool:
        try:
            values = {"branch": branch, **self._names}
            await self._client.ask("DELETE", _REPO + "/git/refs/heads/{+branch}", values)
        except Refused as refused:
            if refused.status in (404, 422):  # GitHub has deleted it by itself
                return False
            raise self._problem(refused, f"{self._repository}: the branch {branch}") from None
        return True

    async def _of_other_apps(self, sha: str) -> list[Check]:
        path = _REPO + "/commits/{sha}/check-runs{?per_page,filter}"
        try:
            values = {"sha": sha, "per_page": 100, "filter": "latest", **self._names}
            found = await self._client.get(path, **values)
        except Refused as refused:
            if refused.status == 422:  # no such commit there: no checks either
                return []
            raise self._problem(refused, f"{self._repository}: the checks of {sha}") from None
        return [
            translate.check_run(each) for each in found["check_runs"] if not translate.is_of_actions(each)
        ]

    async def _check(self, run: str) -> Check:
        number = run.removeprefix("c")
        if not number.isdigit():
            raise CheckNotFound(f"There is no check {run} at GitHub.")
        if run.startswith("c"):
            found = await self._get(_REPO + "/check-runs/{run}", CheckNotFound, run=number)
            return translate.check_run(found)
        return translate.run(await self._get(_REPO + "/actions/runs/{run}", CheckNotFound, run=number))

    async def _ended_within(self, run: str, wait: float) -> Check:
        """The check, when it has ended or `wait` seconds are over."""
        while True:
            check = await self._check(run)
            if check.status is Status.COMPLETED or wait <= 0:
                return check
            await self._client.pause(min(_LOOK, wait))
            wait -= _LOOK

    async def _text(self, check: Check) -> tuple[bytes, int]:
        if check.id.startswith("c"):
            found = await self._get(
                _REPO + "/check-runs/{run}", CheckNotFound, run=check.id.removeprefix("c")
            )
            output = found.get("output") or {}
            parts = [output.get(name) or "" for name in ("title", "summary", "text")]
            return "\n".join(part for part in parts if part).encode("utf-8", "replace"), 0
        key = (str(self._repository), check.id, check.attempt)
        if key not in self._logs:
            try:
                path = _REPO + "/actions/runs/{run}/logs"
                place = await self._client.location(path, run=check.id, **self._names)
            except Refused as refused:
                raise self._problem(refused, f"{self._repository}: the log of {check.id}") from None
            with tempfile.TemporaryFile() as file:
                await self._client.download(place, file, archive.LARGEST)
                file.seek(0)
                self._logs.keep(key, *await asyncio.to_thread(archive.read, file))
        return self._logs[key]


def _log(check: Check, found: Piece, *, over: bool) -> CheckLog:
    return CheckLog(
        run=check.id,
        status=check.status,
        conclusion=check.conclusion,
        text=found.text,
        next_cursor=found.next_cursor,
        complete=over and found.last,
        lost=Lost(bytes=found.lost) if found.lost else None,
    )
