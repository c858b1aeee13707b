"""The repository that the local forge makes for a project without a remote: by a push as by a pull request, and gone with it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from att.git.errors import BranchMissing, NoRemote
from att.git.forge.forges import Forges
from att.git.forge.models import CreatePull
from att.git.models import AskGitStatus, GitStatus, PullBranch, Pulled, PushBranch, Pushed
from att.git.service import Git
from att.project.models import CreateProject
from tests.att.git.forge.hub import git
from tests.att.git.forge.worlds import DEV, forges, repository
from tests.att.rooms import Rooms, on_a_loop, rooms


@dataclass
class Yard:
    """The project `app`, whose repository has one commit on `main` and no remote."""

    rooms: Rooms
    forges: Forges
    git: Git
    folder: Path
    bare: Path

    async def push(self, **named: object) -> Pushed:
        return await self.git.push(PushBranch.model_validate({"project_id": "app", **named}), DEV)

    async def pull(self) -> Pulled:
        return await self.git.pull(PullBranch(project_id="app"), DEV)

    async def status(self) -> GitStatus:
        return await self.git.status(AskGitStatus(project_id="app"))

    def commit(self, name: str) -> None:
        (self.folder / name).write_text(name)
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", name)

    async def pull_request(self, head: str) -> int:
        forge = await self.forges.of("app")
        return (await forge.create(CreatePull(project_id="app", title="T", head=head), DEV)).number


@asynccontextmanager
async def yard(home: Path, *, made: bool = False, **options: object) -> AsyncIterator[Yard]:
    """`made`: ATT makes the project's folder itself, and so removes it as well."""
    folder = home / "projects" / "app"
    async with rooms(home) as found:
        if made:
            await found.projects.create(CreateProject(template="echo", name="app"), DEV)
        repository(folder, home / "gate")
        if not made:
            await found.projects.create(CreateProject(path=str(folder)), DEV)
        service = forges(found, **options)
        await service.open()
        room = Git(found.projects, found.events, give_remote=service.give_remote)
        try:
            yield Yard(found, service, room, folder, home / "forge" / "app.git")
        finally:
            await service.aclose()


@on_a_loop
async def test_the_first_push_of_a_project_makes_its_remote_and_all_works_right_after(tmp_path: Path) -> None:
    async with yard(tmp_path) as y:
        pushed = await y.push()
        assert (pushed.remote, pushed.result, pushed.upstream) == ("origin", "created", "origin/main")
        assert pushed.remote_made
        assert git(y.folder, "remote", "get-url", "origin") == str(y.bare)
        status = await y.status()
        assert (status.upstream, status.ahead, status.behind) == ("origin/main", 0, 0)
        assert (await y.pull()).result == "up_to_date"
        y.commit("more")
        assert (await y.status()).ahead == 1
        again = await y.push()
        assert (again.result, again.remote_made) == ("updated", False)
        (told,) = await y.rooms.told("git.remote")
        assert told.payload == {"action": "added", "name": "origin", "url": str(y.bare)}
        git(y.folder, "checkout", "-q", "-b", "feature")
        y.commit("work")
        assert (await y.push()).upstream == "origin/feature"
        assert await y.pull_request("feature") == 1
        assert git(y.folder, "remote") == "origin"


@on_a_loop
async def test_the_branch_that_is_pushed_is_the_one_that_a_clone_gets(tmp_path: Path) -> None:
    async with yard(tmp_path) as y:
        git(y.folder, "branch", "-m", "main", "trunk")
        await y.push()
        assert git(y.bare, "symbolic-ref", "--short", "HEAD") == "trunk"


@on_a_loop
async def test_after_the_first_pull_request_pull_and_status_work_on_both_branches(tmp_path: Path) -> None:
    async with yard(tmp_path) as y:
        git(y.folder, "checkout", "-q", "-b", "feature")
        y.commit("work")
        await y.pull_request("feature")
        (told,) = await y.rooms.told("git.remote")
        assert told.payload == {"action": "added", "name": "origin", "url": str(y.bare)}
        assert (await y.rooms.projects.get("app")).git_remote == str(y.bare)
        assert (await y.status()).upstream == "origin/feature"
        assert (await y.pull()).result == "up_to_date"
        git(y.folder, "checkout", "-q", "main")
        status = await y.status()
        assert (status.upstream, status.ahead, status.behind) == ("origin/main", 0, 0)
        git(y.bare, "update-ref", "refs/heads/main", "refs/heads/feature")
        assert (await y.pull()).result == "fast_forward"


@on_a_loop
async def test_a_remote_that_was_removed_is_taken_up_again_with_all_that_followed_it(tmp_path: Path) -> None:
    async with yard(tmp_path) as y:
        await y.push()
        git(y.folder, "remote", "remove", "origin")
        git(y.folder, "checkout", "-q", "-b", "feature")
        y.commit("work")
        pushed = await y.push()
        assert (pushed.remote_made, pushed.upstream) == (True, "origin/feature")
        git(y.folder, "checkout", "-q", "main")
        assert (await y.status()).upstream == "origin/main"


@on_a_loop
async def test_a_branch_that_follows_another_place_goes_on_following_it(tmp_path: Path) -> None:
    async with yard(tmp_path) as y:
        git(y.folder, "checkout", "-q", "-b", "feature", "--track", "main")
        y.commit("work")
        await y.pull_request("feature")
        assert git(y.folder, "config", "branch.feature.remote") == "."


@on_a_loop
async def test_nothing_is_made_for_a_push_that_cannot_be_nor_where_github_is_the_forge(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path / "one") as y:
        with pytest.raises(BranchMissing):
            await y.push(branch="nowhere")
        with pytest.raises(NoRemote):
            await y.push(remote="elsewhere")
        assert not y.bare.exists() and git(y.folder, "remote") == ""
    async with yard(tmp_path / "two", kind="github") as y:
        with pytest.raises(NoRemote):
            await y.push()
        assert not y.bare.exists()


@on_a_loop
async def test_the_forge_s_repository_goes_with_the_files_of_the_project(tmp_path: Path) -> None:
    async with yard(tmp_path, made=True) as y:
        await y.push()
        assert y.bare.is_dir()
        assert (await y.rooms.projects.delete("app", DEV)).files_removed
        assert not y.bare.exists()


@pytest.mark.parametrize("made", [True, False])
def test_files_that_stay_keep_their_remote_and_are_taken_up_again(made: bool, tmp_path: Path) -> None:
    @on_a_loop
    async def run() -> None:
        async with yard(tmp_path, made=made) as y:
            await y.push()
            await y.rooms.projects.delete("app", DEV, keep_files=made)
            y.commit("by hand")
            git(y.folder, "push", "-q")
            await y.rooms.projects.create(CreateProject(path=str(y.folder)), DEV)
            assert (await y.pull()).result == "up_to_date"
            git(y.folder, "checkout", "-q", "-b", "feature")
            y.commit("work")
            assert await y.pull_request("feature") == 1
            assert git(y.folder, "remote", "get-url", "origin") == str(y.bare)

    run()


@on_a_loop
async def test_what_a_daemon_left_that_died_while_it_deleted_goes_at_the_next_start(tmp_path: Path) -> None:
    async with yard(tmp_path, made=True) as y:
        await y.push()
        kept = tmp_path / "away"
        shutil.move(y.folder, kept)
        known = forges(y.rooms)
        await known.open()
        assert y.bare.is_dir()  # the folder is gone, but the project is known
        await known.aclose()
        y.rooms.projects.after_delete.clear()
        await y.rooms.projects.delete("app", DEV)
        assert y.bare.is_dir()
        next_life = forges(y.rooms)
        await next_life.open()
        assert not y.bare.exists()
        await next_life.aclose()
