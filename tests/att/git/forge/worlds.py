"""A project with a forge, at the double of GitHub or on this machine, so that one test can be held against both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from att.catalogue import Call
from att.git.forge.forges import ForgeOptions, Forges
from att.git.forge.interface import Forge
from att.git.forge.models import CreatePull, ListChecks, PullRequest
from att.project.models import CreateProject
from tests.att.git.forge.hub import Hub, git
from tests.att.git.forge.serving import serving
from tests.att.rooms import Rooms, rooms
from tests.support import eventually

DEV, REV = Call(request_id="r-dev", actor="dev"), Call(request_id="r-rev", actor="rev")
CI = """#!/bin/sh
echo "checking $(git rev-parse HEAD)"
while [ ! -e "{gate}" ]; do sleep 0.02; done
cat "{gate}" message
exit "$(cat "{gate}")"
"""


@dataclass
class World:
    """`dev` makes pull requests, `rev` reviews them. `finish`: let the checks of now end."""

    kind: str
    rooms: Rooms
    folder: Path
    bare: Path
    dev: Forge
    rev: Forge
    finish: Callable[[bool], object]
    hub: Hub | None = None
    forges: list[Forges] = field(default_factory=list)

    def write(self, name: str, text: str, message: str = "change") -> str:
        """A commit on the branch that is checked out; its id."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", message)
        return git(self.folder, "rev-parse", "HEAD")

    async def push(self, *branches: str) -> None:
        await asyncio.to_thread(git, self.folder, "push", "-qf", "origin", *branches)

    async def branch(
        self, name: str, *, file: str = "work.txt", text: str = "work\n", start: str = "main"
    ) -> str:
        """A branch with one commit, pushed; its id."""
        git(self.folder, "checkout", "-q", "-B", name, start)
        sha = self.write(file, text, f"work on {name}")
        await self.push(name)
        return sha

    async def pull(self, head: str = "feature", title: str = "The feature") -> PullRequest:
        return await self.dev.create(CreatePull(project_id="app", title=title, head=head, base="main"), DEV)

    async def checked(self, number: int, good: bool = True) -> None:
        """The checks of a pull request have ended."""
        self.finish(good)

        async def ended() -> bool:
            page = await self.dev.checks(ListChecks(project_id="app", number=number))
            return page.state == ("success" if good else "failure")

        await eventually(ended)

    def tip(self, branch: str = "main") -> str:
        return git(self.bare, "rev-parse", "--verify", "-q", f"refs/heads/{branch}", check=False)

    def log(self, branch: str = "main") -> list[str]:
        return git(self.bare, "log", "--format=%s", branch).splitlines()


def repository(folder: Path, gate: Path) -> None:
    """A repository whose CI waits for a gate, and ends as that says."""
    (folder / ".ci").mkdir(parents=True)
    (folder / ".ci" / "run").write_text(CI.format(gate=gate))
    (folder / ".ci" / "run").chmod(0o755)
    (folder / "message").write_text("all is said\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Dev")
    git(folder, "config", "user.email", "dev@example.org")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "begin")


def forges(found: Rooms, environ: dict[str, str] | None = None, **options: object) -> Forges:
    """A service as the daemon has it."""
    home = found.home
    return Forges(
        found.store,
        found.events,
        found.projects,
        home=home,
        roots=(home / "projects",),
        environ={"PATH": "/usr/bin:/bin"} if environ is None else environ,
        options=ForgeOptions(**options),  # type: ignore[arg-type]
    )


@asynccontextmanager
async def registered(home: Path) -> AsyncIterator[tuple[Rooms, Path]]:
    """Rooms with the project `app`, whose CI waits for the file `gate` in the home."""
    folder = home / "projects" / "app"
    repository(folder, home / "gate")
    async with rooms(home) as found:
        await found.projects.create(CreateProject(path=str(folder)), DEV)
        yield found, folder


@asynccontextmanager
async def local(home: Path, **options: object) -> AsyncIterator[World]:
    async with registered(home) as (found, folder):
        bare = home / "projects" / "remote.git"
        bare.mkdir()
        git(bare, "init", "-q", "--bare", "--initial-branch=main")
        git(folder, "remote", "add", "origin", str(bare))
        git(folder, "push", "-q", "origin", "main")
        service = forges(found, **options)
        await service.open()
        held = [service]

        def finish(good: bool) -> None:
            (home / "gate").write_text("0" if good else "1")

        try:
            forge = await service.of("app")
            yield World("local", found, folder, bare, forge, forge, finish, forges=held)
        finally:
            for each in held:
                await each.aclose()


@asynccontextmanager
async def github(home: Path, *, prefix: str = "") -> AsyncIterator[World]:
    async with registered(home) as (found, folder), serving(home / "hub", prefix=prefix) as hub:
        git(folder, "remote", "add", "origin", hub.url)
        await asyncio.to_thread(git, folder, "push", "-q", "origin", "main")
        both = [forges(found, github_url=hub.api, token=f"token-of-{who}") for who in ("dev", "rev")]

        def finish(good: bool) -> None:
            hub.finish("success" if good else "failure")

        try:
            dev, rev = [await service.of("app") for service in both]
            yield World("github", found, folder, hub.bare, dev, rev, finish, hub, both)
        finally:
            for service in both:
                await service.aclose()


WORLDS = {"github": github, "local": local}
