"""Building an artefact: the files, their environment, the checks, the seal; and nothing is left of one that did not get so far.

An artefact lies at `artefacts/PROJECT/ID` below the home: `files` (a copy, with its own environment inside, since environments do
not move), `manifest` and, written last, `artefact.json`. What has no such file, or no row in the store, is half done and is
cleared at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from att.catalogue import Call
from att.deploy import files as listing
from att.deploy import rows, settings
from att.deploy.errors import ArtefactFolderUnusable, NoRepository, RevisionNotFound, TooLarge
from att.deploy.models import Artefact
from att.event.models import Outcome
from att.git.command import git
from att.problems import Problem
from att.project.files import remove_tree
from att.runtime import disk, environment, preflight
from att.runtime.build import Build
from att.runtime.errors import InvalidNatConfig
from att.runtime.rows import Note
from att.runtime.sources import FILES, SEALED
from att.store.store import Store
from att.store.times import now

Step = Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]
Report = Callable[[str], None]
_log = structlog.get_logger("att.deploy")


class Builder:
    def __init__(self, home: Path, store: Store, environ: Mapping[str, str]) -> None:
        self._home, self._root, self._store = home, home / "artefacts", store
        self._environ = environ

    def folder(self, project_id: str, artefact_id: str) -> Path:
        return self._root / project_id / artefact_id

    async def clear(self) -> list[str]:
        """At the start: away with what is half done, and with rows of what is not there; the ids."""
        known = set(await self._store.read(rows.known))
        gone, lost = await asyncio.to_thread(self._clear, known)
        if lost:
            await self._store.write(rows.forget_artefacts(lost))
        return [*gone, *lost]

    def _clear(self, known: set[tuple[str, str]]) -> tuple[list[str], list[str]]:
        gone = []
        for place in self._root.glob("*/*"):
            if (place.parent.name, place.name) not in known or not (place / SEALED).is_file():
                remove_tree(place)
                gone.append(place.name)
        lost = [one for project, one in known if not (self.folder(project, one) / SEALED).is_file()]
        return gone, lost

    async def remove(self, project_id: str, ids: list[str]) -> None:
        await self._store.write(rows.forget_artefacts(ids))
        for artefact_id in ids:
            await asyncio.to_thread(remove_tree, self.folder(project_id, artefact_id))

    async def remove_all(self, project_id: str) -> None:
        await asyncio.to_thread(remove_tree, self._root / project_id)

    async def build(
        self,
        project_id: str,
        source: Path,
        call: Call,
        *,
        revision: str | None,
        rebuild: bool,
        step: Step,
        report: Report,
    ) -> Artefact:
        """The artefact of these files; the one that is there when it holds the same, unless `rebuild`."""
        making = _Making(self, project_id, source, revision, report)
        await self._tell("build.started", making, call)
        try:
            await step("copy", making.copy)
            same = None if rebuild else await self._store.read(rows.same_content(project_id, making.content))
            if same is not None and (self.folder(project_id, same.artefact_id) / SEALED).is_file():
                report(f"There is an artefact of the same content: {same.artefact_id}")
                await asyncio.to_thread(remove_tree, making.place)
                await self._tell("build.completed", making, call, artefact_id=same.artefact_id, reused=True)
                return same
            await step("environment", making.environment)
            await step("validate", making.validate)
            await step("seal", making.seal)
            artefact = making.artefact()
            told: dict[str, Any] = {
                "artefact_id": artefact.artefact_id,
                "digest": artefact.digest,
                "reused": False,
            }
            note = self._note("build.completed", making, call, **told)
            await self._store.write(rows.add_artefact(artefact, {"content": making.content}, note))
        except BaseException as fault:
            await asyncio.shield(self._give_up(making, call, fault))
            if isinstance(fault, OSError):
                raise disk.refusal(
                    fault, f"{making.place}: {fault.strerror}.", ArtefactFolderUnusable
                ) from fault
            raise
        return artefact

    async def _give_up(self, making: _Making, call: Call, fault: BaseException) -> None:
        await asyncio.to_thread(remove_tree, making.place)
        if isinstance(fault, Problem):
            why = {"reason": fault.detail, "code": fault.code}
        elif isinstance(fault, asyncio.CancelledError):
            why = {"reason": "cancelled", "code": "cancelled"}
        else:
            why = {"reason": type(fault).__name__, "code": "internal_error"}
        with contextlib.suppress(Problem):  # a store that is full or closed has been told of already
            await self._tell("build.failed", making, call, Outcome.FAILED, **why)

    async def _tell(
        self, event: str, making: _Making, call: Call, outcome: Outcome = Outcome.OK, **more: object
    ) -> None:
        await self._store.write(self._note(event, making, call, outcome, **more).write)

    def _note(
        self, event: str, making: _Making, call: Call, outcome: Outcome = Outcome.OK, **more: object
    ) -> Note:
        told = {"what": "artefact", "artefact_id": making.artefact_id, "revision": making.revision, **more}
        return Note(event, making.project_id, told, call.actor, call.request_id or None, outcome)

    @property
    def environ(self) -> Mapping[str, str]:
        return self._environ

    def scratch(self, project_id: str) -> Path:
        return self._home / "run" / project_id / "build-tmp"


class _Making:
    """One artefact while it is made."""

    def __init__(
        self, builder: Builder, project_id: str, source: Path, revision: str | None, report: Report
    ) -> None:
        self.project_id, self.revision = project_id, revision
        self.artefact_id = _new_id()
        self.place = builder.folder(project_id, self.artefact_id)
        self.files = self.place / FILES
        self.content = ""
        self._builder, self._source, self._report = builder, source, report
        self._changed = False
        self._found: environment.Environment | None = None
        self._listed = listing.Listed(0, 0, "")
        self._digest = ""
        self._created_at = now()

    async def copy(self) -> None:
        await asyncio.to_thread(self.files.mkdir, parents=True)
        if self.revision is not None:
            await self._archive(self.revision)
        else:
            await self._note_revision()
            await asyncio.to_thread(listing.copy, self._source, self.files)
        _, self._listed = await asyncio.to_thread(listing.listed, self.files)
        await asyncio.to_thread(preflight.read_config, self.files, self._builder.environ)
        self._report(f"{self._listed.files} files, {self._listed.size} bytes")
        plan, _ = await asyncio.to_thread(preflight.plan_environment, self.files)
        self.content = hashlib.sha256(f"{self._listed.digest} {plan.digest}".encode()).hexdigest()

    async def _note_revision(self) -> None:
        """Which commit these files come from, where that can be told; whether they differ from it."""
        with contextlib.suppress(Problem):  # no repository, no git: the files are what counts
            head = await git(self._source, "rev-parse", "--verify", "HEAD", check=False)
            if head.code == 0:
                self.revision = head.text.strip()
                state = await git(
                    self._source, "status", "--porcelain", "--", ".", check=False, cut=True, limit=4096
                )
                self._changed = bool(state.out)

    async def _archive(self, revision: str) -> None:
        inside = await git(self._source, "rev-parse", "--git-dir", check=False)
        if inside.code:
            raise NoRepository(f"{self.project_id}: {inside.err.strip() or 'no repository'}")
        asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        found = await git(self._source, *asked, check=False)
        commit = found.text.strip()
        if found.code or len(commit) not in (40, 64):
            message = "there is no such commit"
            raise RevisionNotFound(
                f"{revision}: {message}", fields=[{"field": "revision", "message": message}]
            )
        self.revision = commit
        packed = self.place / "files.tar"
        await git(self._source, "archive", "--format=tar", f"--output={packed}", commit, timeout=600)
        await asyncio.to_thread(_unpack, packed, self.files)

    async def environment(self) -> None:
        """Made in its place; where the command brings its own program and the project no packages, none is needed."""
        found = await asyncio.to_thread(preflight.read_settings, self.files)
        brings = any(
            (self.files / name).is_file()
            for name in ("pyproject.toml", "requirements.txt", "requirements.lock")
        )
        if found.command and "/" in found.command[0] and not brings:
            self._report("No environment is needed")
            return
        plan, _ = await asyncio.to_thread(preflight.plan_environment, self.files)
        build = Build(self.files, plan, self._builder.environ)
        build.start()
        try:
            async for _, lines in build.follow():
                self._report(lines[-1])
        except asyncio.CancelledError:
            await asyncio.shield(build.cancel())
            raise
        if build.problem is not None:
            raise build.problem

    async def validate(self) -> None:
        """All that is looked at before a start, and `nat validate` where it is NAT."""
        scratch = self._builder.scratch(self.project_id)
        ready = await preflight.look_over(
            self.project_id, self.files, tmp=scratch, environ=self._builder.environ
        )
        await asyncio.to_thread(settings.read, self.files)
        config = ready.place.config
        if config is None or not ready.place.nat_version:
            return
        self._report("nat validate")
        code, said = await preflight.nat_says(ready, config)
        if code and said is not None:
            preflight.refuse(said)
        if code:
            raise InvalidNatConfig(said.text if said is not None else f"`nat validate` ended with {code}")

    async def seal(self) -> None:
        await asyncio.to_thread(self._seal)

    def _seal(self) -> None:
        manifest, self._listed = listing.listed(self.files)
        found = environment.look(self.files)
        self._found = found if found.usable else None
        self._digest = listing.digest_of(manifest, found.installed)
        (self.place / listing.MANIFEST).write_text(manifest, "utf-8")
        listing.lock(self.files)
        listing.seal(self.place / SEALED, self.artefact().model_dump())

    def artefact(self) -> Artefact:
        found = self._found
        return Artefact(
            artefact_id=self.artefact_id,
            project_id=self.project_id,
            digest=self._digest,
            created_at=self._created_at,
            revision=self.revision,
            changed=self._changed,
            files=self._listed.files,
            size=self._listed.size,
            environment=found.source or None if found else None,
            nat_version=found.nat_version or None if found else None,
            packages=len(found.installed) if found else 0,
        )


def _unpack(packed: Path, target: Path) -> None:
    if packed.stat().st_size > listing.MOST_BYTES:
        raise TooLarge(f"more than {listing.MOST_BYTES >> 30} GiB")
    # Made by git just now: no name leads out, and links stay what they are, as in a copy of the files.
    with tarfile.open(packed) as archive:
        archive.extractall(target, filter="tar")  # nosec B202
    packed.unlink()


def _new_id() -> str:
    """Sorts by the time at which it was given."""
    at = datetime.now(UTC)
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}-{secrets.token_hex(4)}"
