"""The forge that needs no account: pull requests in the store, branches in a bare repository, merges as real commits in it.

A merge is made in the objects first, noted as meant, and then the base branch is moved, only from where it was seen. So a daemon
that dies in between leaves either a pull request that is open or one that is known to be merged as soon as it is looked at again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from att.catalogue import Call
from att.git.errors import MergeConflict
from att.git.forge import ci, rows, tell, work
from att.git.forge.bare import Bare, Shelf
from att.git.forge.checks import BY_ITSELF, Checks, Found
from att.git.forge.errors import (
    BranchNotOnForge,
    NothingToMerge,
    OwnReview,
    PullExists,
    PullNotFound,
    PullNotOpen,
)
from att.git.forge.models import (
    AddReview,
    Check,
    CheckLog,
    CheckPage,
    CreatePull,
    ListChecks,
    ListPulls,
    Merged,
    MergePull,
    Method,
    PullPage,
    PullRequest,
    PullState,
    ReadCheckLog,
    Review,
    ReviewList,
    ReviewState,
    Verdict,
)
from att.git.forge.pages import position
from att.git.forge.verdict import Rules, Situation, mergeable, objection, sum_of
from att.problems import BadCursor, Conflict
from att.project.models import Project
from att.store.store import Store
from att.store.times import now

_TRIES = 3
_STATE = {
    Verdict.APPROVE: ReviewState.APPROVED,
    Verdict.REQUEST_CHANGES: ReviewState.CHANGES_REQUESTED,
    Verdict.COMMENT: ReviewState.COMMENTED,
}


@dataclass(frozen=True, slots=True)
class Local:
    """One project's forge on this machine. `lock`: one change of it at a time. `adopted`: told when it becomes `origin`."""

    project: Project
    remote: str | None
    store: Store
    shelf: Shelf
    runner: Checks
    lock: asyncio.Lock
    adopted: Callable[[str, Path, Call], Awaitable[None]]

    async def create(self, ask: CreatePull, call: Call) -> PullRequest:
        head = ask.head or await work.current_branch(self._folder)
        async with self.lock:
            if await self.shelf.find(self.project, self.remote) is None:
                await self._require_here(head, ask.base)  # else nothing is made for nothing
            bare = await self.shelf.make(self.project, self.remote)
            if self.remote is None:
                await self.adopted(self.project.id, bare.folder, call)
            await self.shelf.take_along(bare, self._folder, head, ask.base)
            base = ask.base or await self.shelf.default_branch(bare)
            head_sha, base_sha = await self._tips(bare, head, base)
            if head == base or not await work.is_ahead(bare.folder, base_sha, head_sha):
                raise NothingToMerge(f"{head} has no commit that {base} does not have.")
            details = {"head_sha": head_sha, "base_sha": base_sha}
            values = {"title": ask.title, "body": ask.body, "head": head, "base": base, "author": call.actor}
            row = await self.store.write(lambda c: self._insert(c, values, details, call))
        await self.runner.notice(self.project.id, Found(self._folder, bare))
        return await self._seen(row, bare)

    def _insert(
        self, connection: Connection, values: dict[str, Any], details: dict[str, Any], call: Call
    ) -> rows.Row:
        mine = {"head": values["head"], "base": values["base"]}
        for known in rows.some_pulls(connection, self.project.id, state="open", **mine):
            said = f"{mine['head']} has the open pull request {known['number']}."
            raise PullExists(said, number=known["number"])
        number = rows.new_number(connection, self.project.id)
        fixed = {"project_id": self.project.id, "number": number, "state": PullState.OPEN.value}
        row = rows.add_pull(connection, {**values, **fixed}, details)
        rows.note(connection, self.project.id, tell.created(rows.pull_of(row)), call)
        return row

    async def pulls(self, ask: ListPulls) -> PullPage:
        before = position(ask.cursor)
        if before > 2**31 - 1:
            raise BadCursor("This is no cursor of this list.")
        await self._notice()
        found = await self.store.read(
            lambda c: rows.some_pulls(
                c,
                self.project.id,
                state=ask.state,
                head=ask.head,
                base=ask.base,
                before=before,
                limit=ask.limit + 1,
            )
        )
        shown = found[: ask.limit]
        more = str(shown[-1]["number"]) if len(found) > ask.limit else None
        return PullPage(pulls=[rows.pull_of(row) for row in shown], next_cursor=more)

    async def pull(self, number: int) -> PullRequest:
        await self._notice()
        return await self._seen(await self._row(number), await self._bare())

    async def merge(self, ask: MergePull, call: Call) -> Merged:
        bare = await self._bare()
        async with self.lock:
            for _ in range(_TRIES):
                await self.runner.notice(self.project.id, Found(self._folder, bare))
                row = await self._row(ask.number)
                done = await self._merged(ask, row, bare, call)
                if done is not None:
                    break
            else:
                raise Conflict(f"{row['base']} or {row['head']} moves all the time.")
        await self._notice()
        return done

    async def _merged(self, ask: MergePull, row: rows.Row, bare: Bare, call: Call) -> Merged | None:
        """Merge it; None when a branch moved meanwhile, so that all is to be looked at again."""
        if row["state"] == PullState.OPEN.value:
            await self._tips(bare, row["head"], row["base"])
        situation, base_sha = await self._situation(row, bare)
        if row["state"] == PullState.OPEN.value and row["details"].get("checked") != situation.head_sha:
            return None  # pushed just now: it has no check yet
        problem = objection(situation, await self._rules(bare, base_sha), ask.sha)
        if problem is not None:
            raise problem
        sha = await self._commit(ask, row, bare.folder, base_sha, situation.head_sha)
        if sha == base_sha:
            raise NothingToMerge(f"Pull request {ask.number} changes nothing.")
        meant = {**row["details"], "head_sha": situation.head_sha, "base_sha": base_sha}
        intent = {"sha": sha, "method": ask.method.value}
        await self._change(ask.number, {**meant, "meant": intent})
        if not await work.move(bare.folder, row["base"], sha, base_sha):
            await self._change(ask.number, meant)
            return None
        gone = ask.delete_branch and await work.delete(bare.folder, row["head"], situation.head_sha)
        done = Merged(number=ask.number, method=ask.method, sha=sha, base=row["base"], branch_deleted=gone)
        await self._finish(row, meant, done, call)
        return done

    async def close(self, number: int, call: Call) -> PullRequest:
        await self._bare()
        async with self.lock:
            row = await self._open(number)

            def write(connection: Connection) -> rows.Row:
                values = {"state": PullState.CLOSED.value}
                closed = rows.change_pull(connection, self.project.id, number, row["details"], **values)
                rows.note(connection, self.project.id, tell.closed(rows.pull_of(closed)), call)
                return closed

            closed = await self.store.write(write)
        await self._notice()
        return rows.pull_of(closed)

    async def reviews(self, number: int) -> ReviewList:
        return ReviewList(reviews=rows.reviews_of(await self._row(number)))

    async def review(self, ask: AddReview, call: Call) -> Review:
        bare = await self._bare()
        async with self.lock:
            row = await self._open(ask.number)
            if row["author"] == call.actor and ask.verdict is not Verdict.COMMENT:
                raise OwnReview(f"Pull request {ask.number} was made by {call.actor}.")
            made = Review(
                id=secrets.token_hex(6),
                number=ask.number,
                author=call.actor,
                state=_STATE[ask.verdict],
                body=ask.body,
                commit_sha=await work.tip(bare.folder, row["head"]) or row["details"]["head_sha"],
                submitted_at=now(),
            )
            listed = [*row["details"].get("reviews", []), made.model_dump(mode="json", exclude={"number"})]

            def write(connection: Connection) -> None:
                details = {**row["details"], "reviews": listed}
                rows.change_pull(connection, self.project.id, ask.number, details)
                rows.note(connection, self.project.id, tell.reviewed(made), call)

            await self.store.write(write)
        return made

    async def checks(self, ask: ListChecks) -> CheckPage:
        await self._notice()
        sha, before = ask.sha, ask.cursor
        if before is not None and not before.isalnum():
            raise BadCursor("This is no cursor of this list.")
        if ask.number is not None:
            sha = (await self._row(ask.number))["details"]["head_sha"]
        found = await self.store.read(lambda c: rows.some_checks(c, self.project.id, sha=sha, before=before))
        told = [rows.check_of(row) for row in found]
        told = [check for check in told if ask.branch is None or check.branch == ask.branch]
        shown = told[: ask.limit]
        more = shown[-1].id if len(told) > ask.limit else None
        return CheckPage(checks=shown, state=sum_of(shown), next_cursor=more)

    async def log(self, ask: ReadCheckLog) -> CheckLog:
        return await self.runner.log(ask)

    async def cancel(self, run: str, call: Call) -> Check:
        return await self.runner.cancel(self.project.id, run, call)

    async def rerun(self, run: str, call: Call) -> Check:
        return await self.runner.rerun(self.project.id, run)

    # -- what these are made of

    @property
    def _folder(self) -> Path:
        return Path(self.project.path)

    async def _bare(self) -> Bare:
        """Its repository; made only with the first pull request."""
        found = await self.shelf.find(self.project, self.remote)
        if found is None:
            raise PullNotFound("There is no pull request yet.")
        return found

    async def _notice(self) -> None:
        """Look for what was pushed, and for merges that a dead daemon did not finish."""
        bare = await self.shelf.find(self.project, self.remote)
        if bare is None:
            return
        for row in await self.store.read(lambda c: rows.some_pulls(c, self.project.id, state="open")):
            if "meant" in row["details"] and not self.lock.locked():
                async with self.lock:
                    await self._settle(await self._row(row["number"]), bare)
        await self.runner.notice(self.project.id, Found(self._folder, bare))

    async def _settle(self, row: rows.Row, bare: Bare) -> None:
        """Whether a merge that was meant has happened, when the daemon died in it."""
        details = dict(row["details"])
        meant = details.pop("meant", None)
        if meant is None or row["state"] != PullState.OPEN.value:
            return
        base = await work.tip(bare.folder, row["base"])
        if base is None or await work.is_ahead(bare.folder, base, meant["sha"]):
            await self._change(row["number"], details)
            return
        done = Merged(
            number=row["number"], method=Method(meant["method"]), sha=meant["sha"], base=row["base"]
        )
        await self._finish(row, details, done, BY_ITSELF)

    async def _finish(self, row: rows.Row, details: dict[str, Any], done: Merged, call: Call) -> None:
        def write(connection: Connection) -> None:
            merged = {**details, "merge_sha": done.sha}
            values = {"state": PullState.MERGED.value}
            now_ = rows.change_pull(connection, self.project.id, done.number, merged, **values)
            rows.note(connection, self.project.id, tell.merged(done, rows.pull_of(now_)), call)

        await self.store.write(write)

    async def _change(self, number: int, details: dict[str, Any]) -> None:
        await self.store.write(lambda c: rows.change_pull(c, self.project.id, number, details))

    async def _row(self, number: int) -> rows.Row:
        row = await self.store.read(lambda c: rows.pull(c, self.project.id, number))
        if row is None:
            raise PullNotFound(f"There is no pull request {number}.")
        return row

    async def _open(self, number: int) -> rows.Row:
        row = await self._row(number)
        if row["state"] != PullState.OPEN.value:
            raise PullNotOpen(f"Pull request {number} is {row['state']}.")
        return row

    async def _require_here(self, *names: str | None) -> None:
        here = await work.tips(self._folder)
        for name in names:
            if name is not None and name not in here:
                raise BranchNotOnForge(f"The project has no branch {name}.", branch=name)

    async def _tips(self, bare: Bare, head: str, base: str) -> tuple[str, str]:
        found = []
        for name in (head, base):
            sha = await work.tip(bare.folder, name)
            if sha is None:
                raise BranchNotOnForge(f"The forge has no branch {name}.", branch=name)
            found.append(sha)
        return found[0], found[1]

    async def _situation(self, row: rows.Row, bare: Bare) -> tuple[Situation, str]:
        details = row["details"]
        head = await work.tip(bare.folder, row["head"]) or details["head_sha"]
        base = await work.tip(bare.folder, row["base"]) or details["base_sha"]
        checks = await self.store.read(lambda c: rows.some_checks(c, self.project.id, sha=head))
        return Situation(
            number=row["number"],
            state=PullState(row["state"]),
            author=row["author"],
            head_sha=head,
            ahead=await work.is_ahead(bare.folder, base, head),
            conflicts=(await work.merged_tree(bare.folder, base, head))[1],
            checks=[rows.check_of(each) for each in checks],
            reviews=rows.reviews_of(row),
        ), base

    async def _rules(self, bare: Bare, base_sha: str) -> Rules:
        settings = ci.parse(await work.text_at(bare.folder, base_sha, ci.FILE))
        return Rules(checks=settings.ci.required, reviews=settings.git.reviews)

    async def _seen(self, row: rows.Row, bare: Bare) -> PullRequest:
        """As it stands now, with what would come of merging it."""
        if row["state"] != PullState.OPEN.value:
            return rows.pull_of(row)
        situation, base_sha = await self._situation(row, bare)
        return rows.pull_of(
            row,
            head_sha=situation.head_sha,
            base_sha=base_sha,
            mergeable=mergeable(situation, await self._rules(bare, base_sha)),
            conflicts=list(situation.conflicts or ()),
        )

    async def _commit(self, ask: MergePull, row: rows.Row, repository: Path, base: str, head: str) -> str:
        """The commit that the base branch is to be at."""
        env = await work.committer(self._folder)
        title = ask.title or f"{row['title']} (#{ask.number})"
        if ask.method is Method.REBASE:
            sha, files = await work.rebased(repository, base, head, env)
            if files is not None:
                named = ", ".join(files[:5])
                raise MergeConflict(f"Rebasing pull request {ask.number} conflicts: {named}.", files=files)
            return sha
        if ask.method is Method.SQUASH:
            lines = [f"* {line}" for line in await work.subjects(repository, base, head)]
            text = ask.message if ask.message is not None else "\n".join(lines)
            parents = [base]
        else:
            title = ask.title or f"Merge pull request #{ask.number} from {row['head']}"
            text = ask.message if ask.message is not None else row["title"]
            parents = [base, head]
        tree, _ = await work.merged_tree(repository, base, head)
        message = f"{title}\n\n{text}".rstrip() + "\n"
        return await work.commit(repository, tree, parents, message, env)
