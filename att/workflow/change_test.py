"""`workflow.change_test`: look → change → test → commit, or everything as it was.

Each step looks before it acts, so the run goes on after a crash at the step that was cut off. When the tests fail, on a cancel,
or when it cannot go on, every file is put back to the byte, with its mode, its time, and as a link when it was one; directories
that were made are removed, and a commit that was made already is taken away. What somebody else wrote meanwhile is left as it is,
and told. How the files were is kept in `ATT_HOME/changes` until the run has ended.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

from att.catalogue import Call
from att.confine import Inside
from att.event.files import changed
from att.event.log import EventLog
from att.git.change import kept
from att.git.errors import EmptyMessage, InvalidMessage
from att.problems import Problem
from att.project.models import Project
from att.project.projects import Projects
from att.testing.models import Selection
from att.workflow import committing
from att.workflow.changes import ChangeTest
from att.workflow.committing import Ground
from att.workflow.errors import FilesChanged
from att.workflow.flow import Flow
from att.workflow.models import Run
from att.workflow.runs import Runs
from att.workflow.survey import forget, survey
from att.workflow.tree import Entry, FileChangedMeanwhile, put, remove_folder, save

KIND = "workflow.change_test"
KEEP = "keep"
"""The mark of a place that holds what could not be put back."""
T = TypeVar("T")


class Tester(Protocol):
    """Runs a project's tests: what came of them in short, and the problem when that is bad."""

    def __call__(
        self, flow: Flow, selection: Selection
    ) -> Awaitable[tuple[dict[str, Any], Problem | None]]: ...


class Retold(Problem):
    """A problem that a step has answered with, as the problem of the run."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(str(told.get("detail", "")))
        self.told = told

    def document(self, *, instance: str = "", request_id: str = "") -> dict[str, Any]:
        return {**self.told, "instance": instance, "request_id": request_id}


class Changes:
    """Changes that are tested before they are kept."""

    def __init__(
        self,
        home: Path,
        projects: Projects,
        events: EventLog,
        runs: Runs,
        tester: Tester,
        turn: Callable[[str], asyncio.Lock],
    ) -> None:
        """`turn`: the lock that whoever changes a project's repository holds; while a run is under way the git room holds back."""
        self._places = home / "changes"
        self._projects = projects
        self._events = events
        self._runs = runs
        self._tester = tester
        self._turn = turn
        self._asked: set[Path] = set()
        runs.register(KIND, self._work, resume=True)
        projects.before_delete.append(self._sweep_after)  # after that of the runs, which has ended them

    async def begin(self, ask: ChangeTest, call: Call) -> Run:
        """Begin; what can be known to be wrong is refused before anything is done."""
        folder = await self._projects.path(ask.project_id)
        _message(ask.message)
        await self.sweep()
        place = self._places / f"asked-{secrets.token_hex(8)}"
        self._asked.add(place)
        try:
            await self._looked(folder, place, ask)
        finally:
            await asyncio.to_thread(forget, place)
            self._asked.discard(place)
        told = ask.model_dump(mode="json", exclude={"project_id", "wait"}, exclude_defaults=True)
        return await self._runs.begin(KIND, ask.project_id, call, told, wait=ask.wait)

    async def sweep(self) -> None:
        """Forget how files were before changes that have ended; what could not be put back, when the run is forgotten."""
        for place in await asyncio.to_thread(_places, self._places):
            if self._runs.is_under_way(place.name) or place in self._asked:
                continue
            if not (place / KEEP).exists() or not await self._runs.is_known(place.name):
                await asyncio.to_thread(forget, place)

    async def _sweep_after(self, _: Project) -> None:
        await self.sweep()

    async def _work(self, flow: Flow) -> dict[str, Any]:
        ask = ChangeTest.model_validate({**flow.input, "project_id": flow.project_id})
        folder, place = await self._projects.path(flow.project_id), self._places / flow.run_id
        entries: list[Entry] = []
        # before the look: what is taken back is looked at anew when the run is resumed, since what was kept of it is gone
        flow.undo("change", lambda: self._put_back(flow, folder, place, entries))
        looked = await flow.step("look", lambda: self._looked(folder, place, ask))
        entries += [Entry.of(told) for told in looked["files"]]
        ground = Ground(**looked["ground"])
        await flow.step("change", lambda: self._change(flow, folder, place, entries))
        tested = await flow.step("test", lambda: self._test(flow, ask.test))
        if tested["problem"] is not None:
            raise Retold({**tested["problem"], "test": tested["summary"]})
        paths = [entry.path for entry in entries]
        made = await flow.step("commit", lambda: self._commit(flow, folder, place, entries, ask, ground))
        await flow.step("tell", lambda: self._tell_commit(flow, made))
        return {"files": paths, "test": tested["summary"], **made}

    async def _looked(self, folder: Path, place: Path, ask: ChangeTest) -> dict[str, Any]:
        ground = await committing.find_ground(folder, ask.branch)
        entries = await survey(folder, place, ask)
        if not ask.allow_dirty:
            await committing.must_be_clean(folder, [entry.path for entry in entries])
        return {"files": [entry.told for entry in entries], "ground": asdict(ground)}

    async def _change(self, flow: Flow, folder: Path, place: Path, entries: list[Entry]) -> dict[str, Any]:
        async with self._turn(flow.project_id):
            pass  # what the git room began before this run is done, and what comes after is refused
        made = await _whole(_apply, Inside(folder), place, entries)
        await self._tell(flow, "code.changed", changed("applied", [entry.path for entry in entries]))
        return {"changed": made}

    async def _test(self, flow: Flow, selection: Selection) -> dict[str, Any]:
        summary, problem = await self._tester(flow, selection)
        told = None if problem is None else problem.document(request_id=flow.call.request_id)
        return {"summary": summary, "problem": told}

    async def _commit(
        self, flow: Flow, folder: Path, place: Path, entries: list[Entry], ask: ChangeTest, ground: Ground
    ) -> dict[str, Any]:
        """The commit of what was tested, and of nothing that was written since."""

        async def check(chosen: set[str]) -> None:
            mine = [entry for entry in entries if entry.path in chosen]
            others = await asyncio.to_thread(_differing, Inside(folder), mine)
            if others:
                raise FilesChanged(
                    f"{', '.join(others[:5])}: changed while the tests ran; what was not tested is not committed.",
                    paths=others[:100],
                )

        paths, moment = [entry.path for entry in entries], _moment(flow.created_at)
        return await committing.commit(folder, place, paths, ask.message, ground, moment, check)

    async def _put_back(self, flow: Flow, folder: Path, place: Path, entries: list[Entry]) -> dict[str, Any]:
        if not entries:  # nothing was looked at, so nothing was done
            return {"put_back": 0}
        uncommitted = await committing.take_back(folder, place)
        left = await _whole(_restore, Inside(folder), place, entries)
        if uncommitted:
            await committing.refresh(folder, [entry.path for entry in entries])
        await self._tell(flow, "code.changed", changed("undone", [entry.path for entry in entries]))
        if left:
            await asyncio.to_thread((place / KEEP).touch)
            raise FilesChanged(
                f"{', '.join(left[:5])}: changed by somebody else, and left as they are. How they were before is kept in {place}.",
                paths=left[:100],
            )
        return {"put_back": len(entries), "commit_taken_back": uncommitted}

    async def _tell_commit(self, flow: Flow, made: dict[str, Any]) -> None:
        """As the git room does: the message stays out, since it may hold anything."""
        if made["commit"] is not None:
            told = {"commit": made["commit"], "branch": made["branch"], "amended": False}
            await self._tell(flow, "git.commit", told)

    async def _tell(self, flow: Flow, event_type: str, payload: dict[str, Any]) -> None:
        await self._events.append(
            event_type,
            project_id=flow.project_id,
            payload={**payload, "run_id": flow.run_id},
            actor=flow.call.actor,
            request_id=flow.call.request_id,
        )


def _apply(inside: Inside, place: Path, entries: list[Entry]) -> int:
    """Put every file into its new state; a file that is in it already was put there before a crash."""
    changed = 0
    for number, entry in enumerate(entries):
        try:
            changed += put(inside, entry.path, entry.after, place / f"after-{number}", (entry.before,))
        except FileChangedMeanwhile:
            raise FilesChanged(f"{entry.path} was changed by somebody else.", paths=[entry.path]) from None
    return changed


def _differing(inside: Inside, entries: list[Entry]) -> list[str]:
    """The paths that are not as the change has left them."""
    return [entry.path for entry in entries if save(inside, entry.path, None)[0] != entry.after]


def _restore(inside: Inside, place: Path, entries: list[Entry]) -> list[str]:
    """Put every file back; the paths that somebody else has changed."""
    left = []
    for number, entry in enumerate(entries):
        blob = place / f"before-{number}"
        try:
            put(inside, entry.path, entry.before, blob, (entry.after,), entry.before_mtime)
        except FileChangedMeanwhile:
            left.append(entry.path)
    folders = {folder for entry in entries for folder in entry.folders}
    for folder in sorted(folders, key=lambda name: name.count("/"), reverse=True):
        remove_folder(inside, folder)
    return left


async def _whole(work: Callable[..., T], *given: Any) -> T:
    """Run it in a thread, to its end also when we are cancelled: nothing may be taken back while it still goes on."""
    task = asyncio.create_task(asyncio.to_thread(work, *given))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _places(folder: Path) -> list[Path]:
    return [place for place in folder.iterdir() if place.is_dir()] if folder.is_dir() else []


def _message(text: str) -> None:
    if not text.strip():
        raise EmptyMessage("The message is empty.", fields=[{"field": "message", "message": "is empty"}])
    if not kept(text):
        why = "holds NUL or a character that is none"
        raise InvalidMessage(f"The message {why}.", fields=[{"field": "message", "message": why}])


def _moment(stamp: str) -> str:
    """A time as git takes it."""
    return f"{stamp[:19]}+00:00"
