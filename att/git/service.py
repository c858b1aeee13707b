"""The service of the git room: one repository for each project, changed by one at a time, and every change an event.

While `workflow.change_test` has changed files that are not tested yet, nothing is staged, committed, switched or pulled: a commit
would take along what may be put back.

Events tell ids and names, never contents. Reads take no lock and write nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from att.catalogue import Call
from att.event.log import EventLog
from att.git import branches, change, exchange, log, models, remotes, status
from att.git.diff import diff
from att.git.remote import PATIENCE, Patience
from att.git.repository import Repository, open_repository
from att.project.projects import Projects
from att.workflow.errors import RunBusy

GiveRemote = Callable[[str, Call], Awaitable[bool]]


async def _no_remote(_: str, __: Call) -> bool:
    return False


class Git:
    def __init__(
        self,
        projects: Projects,
        events: EventLog,
        *,
        patience: Patience = PATIENCE,
        give_remote: GiveRemote = _no_remote,
        untested: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """`give_remote`: makes a remote for a project that has none, and tells so; whether anybody does.

        `untested`: the run that has changed files of a project, and has not tested them yet.
        """
        self._projects = projects
        self._events = events
        self._patience = patience
        self._give_remote = give_remote
        self._untested = untested
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def repository(self, project_id: str) -> Repository:
        """The project's repository; `NotARepository` when it has none."""
        return await open_repository(await self._projects.path(project_id))

    @asynccontextmanager
    async def changing(self, project_id: str) -> AsyncIterator[Repository]:
        """The project's repository, with nobody else of ATT changing it meanwhile."""
        async with self.turn(project_id):
            yield await self.repository(project_id)

    @asynccontextmanager
    async def working(self, project_id: str) -> AsyncIterator[Repository]:
        """The same, for what takes files along or changes which are there: not while a run is testing changes in them."""
        async with self.changing(project_id) as repository:
            run = self._untested(project_id)
            if run is not None:
                raise RunBusy(f"The run {run} has changed files that are not tested yet.", run_id=run)
            yield repository

    def turn(self, project_id: str) -> asyncio.Lock:
        """Held by whoever changes the repository."""
        return self._turns.setdefault(project_id, asyncio.Lock())

    async def status(self, ask: models.AskGitStatus) -> models.GitStatus:
        return await status.status(await self.repository(ask.project_id), ask)

    async def log(self, ask: models.ReadLog) -> models.CommitPage:
        return await log.log(await self.repository(ask.project_id), ask)

    async def diff(self, ask: models.ReadDiff) -> models.GitDiff:
        return await diff(await self.repository(ask.project_id), ask)

    async def branches(self, ask: models.ListBranches) -> models.BranchPage:
        return await branches.branches(await self.repository(ask.project_id), ask)

    async def init(self, ask: models.InitRepository) -> models.GitStatus:
        async with self.turn(ask.project_id):
            await change.init(await self._projects.path(ask.project_id), ask.branch)
        return await self.status(models.AskGitStatus(project_id=ask.project_id))

    async def add(self, ask: models.AddFiles) -> models.GitStatus:
        async with self.working(ask.project_id) as repository:
            await change.add(repository, ask)
        return await self.status(models.AskGitStatus(project_id=ask.project_id))

    async def commit(self, ask: models.MakeCommit, call: Call) -> models.CommitMade:
        async with self.working(ask.project_id) as repository:
            made = await change.commit(repository, ask)
            branch = await repository.branch()
            await self._record("git.commit", ask, call, commit=made.id, branch=branch, amended=ask.amend)
        return models.CommitMade(branch=branch, commit=made)

    async def branch(self, ask: models.ChangeBranch, call: Call) -> models.BranchChanged:
        apart = ask.action == "delete" or (ask.action == "create" and not ask.switch)
        async with (self.changing if apart else self.working)(ask.project_id) as repository:
            done = await branches.change(repository, ask)
            was = ask.name if ask.action == "rename" else None
            told = {"action": done.action, "branch": done.name, "commit": done.commit, "old_name": was}
            await self._record("git.branch", ask, call, **told)
        return done

    async def fetch(self, ask: models.FetchRemote) -> models.Fetched:
        async with self.changing(ask.project_id) as repository:
            return await exchange.fetch(repository, ask, self._projects.allowed, self._patience)

    async def pull(self, ask: models.PullBranch, call: Call) -> models.Pulled:
        async with self.working(ask.project_id) as repository:
            done = await exchange.pull(repository, ask, self._projects.allowed, self._patience)
            if done.before != done.after:
                told = {
                    "branch": done.branch,
                    "result": done.result,
                    "before": done.before,
                    "commit": done.after,
                }
                await self._record("git.pull", ask, call, **told)
        return done

    async def push(self, ask: models.PushBranch, call: Call) -> models.Pushed:
        async with self.changing(ask.project_id) as repository:
            give = partial(self._give_remote, ask.project_id, call)
            done = await exchange.push(repository, ask, self._projects.allowed, self._patience, give)
            if done.result != "up_to_date":
                told = done.model_dump(exclude={"attempts", "remote_made"})
                await self._record("git.push", ask, call, **told)
        return done

    async def remotes(self, ask: models.ListRemotes) -> models.RemoteList:
        return await remotes.remotes(await self.repository(ask.project_id), self._projects.allowed)

    async def add_remote(self, ask: models.AddRemote, call: Call) -> models.Remote:
        async with self.changing(ask.project_id) as repository:
            made = await remotes.add(repository, ask, self._projects.allowed)
            await self._tell_remote(ask, call, "added", made.name, made.url)
        return made

    async def remove_remote(self, ask: models.RemoveRemote, call: Call) -> models.RemoteRemoved:
        async with self.changing(ask.project_id) as repository:
            gone = await remotes.remove(repository, ask)
            await self._tell_remote(ask, call, "removed", gone.name, gone.url)
        return gone

    async def _tell_remote(self, ask: models.Asked, call: Call, action: str, name: str, url: str) -> None:
        if name == "origin":
            await self._projects.set_git_remote(ask.project_id, url if action == "added" else None)
        await self._record("git.remote", ask, call, action=action, name=name, url=url)

    async def _record(self, event_type: str, ask: models.Asked, call: Call, **told: Any) -> None:
        await self._events.append(
            event_type,
            project_id=ask.project_id,
            payload=told,
            actor=call.actor,
            request_id=call.request_id,
        )
