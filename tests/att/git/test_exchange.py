"""Fetch, pull and push, with a real bare remote and somebody else who pushes too."""

from __future__ import annotations

from pathlib import Path

import pytest

from att.git import errors
from tests.att.git.house import elsewhere, house, refused, snapshot
from tests.att.project.repositories import git
from tests.att.rooms import on_a_loop


@on_a_loop
async def test_a_push_brings_the_branch_and_lets_it_follow(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        bare, _ = h.remote()
        await h.branch("feature/ü", switch=True)
        h.write("a")
        made = await h.commit()
        pushed = await h.push(set_upstream=True)
        assert (pushed.result, pushed.remote, pushed.remote_branch) == ("created", "origin", "feature/ü")
        assert git(bare, "rev-parse", "refs/heads/feature/ü").strip() == made.id == pushed.commit
        assert (await h.status()).upstream == "origin/feature/ü"
        assert (await h.push()).result == "up_to_date"
        await h.commit("more", allow_empty=True)
        assert (await h.push()).result == "updated"
        assert (await h.push(branch="main", remote_branch="copy")).result == "created"
        events = await h.rooms.told("git.push")
        assert [e.payload["remote_branch"] for e in events] == ["feature/ü", "feature/ü", "copy"]


@on_a_loop
async def test_a_push_does_not_take_away_what_others_have_pushed(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        bare, other = h.remote()
        theirs = elsewhere(other, "theirs", "x")
        h.write("ours")
        await h.commit()
        async with refused(errors.NotFastForward):
            await h.push()
        async with refused(errors.LeaseLost):  # it is not where it was seen last
            await h.push(force_with_lease=True)
        assert git(bare, "rev-parse", "main").strip() == theirs
        await h.fetch()
        async with refused(errors.NotFastForward):
            await h.push()
        assert (await h.push(force_with_lease=True)).result == "forced"
        assert (await h.rooms.told("git.push"))[-1].payload["result"] == "forced"
        git(other, "push", "-q", "origin", "HEAD:never-seen")
        async with refused(errors.LeaseLost):
            await h.push(remote_branch="never-seen", force_with_lease=True)
        assert (await h.push(remote_branch="new", force_with_lease=True)).result == "created"


@on_a_loop
async def test_a_fetch_tells_what_moved(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        _, other = h.remote()
        old = (await h.status()).commit
        new = elsewhere(other, "theirs", "x")
        git(other, "push", "-q", "origin", "HEAD:side")
        before = snapshot(h.folder)
        told = await h.fetch()
        assert {(m.ref, m.old, m.new) for m in told.updated} == {
            ("refs/remotes/origin/main", old, new),
            ("refs/remotes/origin/side", None, new),
        }
        assert told.attempts == 1
        assert snapshot(h.folder) == before
        git(other, "push", "-q", "origin", ":side")
        assert (await h.fetch()).updated == []
        [gone] = (await h.fetch(prune=True)).updated
        assert (gone.ref, gone.new) == ("refs/remotes/origin/side", None)


@on_a_loop
async def test_a_pull_goes_forward_merges_or_rebases(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        _, other = h.remote()
        assert (await h.pull()).result == "up_to_date"
        theirs = elsewhere(other, "t1", "x")
        told = await h.pull()
        assert (told.result, told.after, told.commits) == ("fast_forward", theirs, 1)
        assert (h.folder / "t1").read_text() == "x"
        h.write("ours")
        mine = await h.commit("ours")
        theirs = elsewhere(other, "t2", "x")
        async with refused(errors.Diverged) as diverged:
            await h.pull()
        assert (diverged.value.extra["ahead"], diverged.value.extra["behind"]) == (1, 1)
        assert (await h.status()).commit == mine.id
        merged = await h.pull(mode="merge")
        [top] = (await h.log(limit=1)).commits
        assert (merged.result, top.id, top.parents) == ("merged", merged.after, [mine.id, theirs])
        await h.push()
        git(other, "pull", "-q")
        theirs = elsewhere(other, "t3", "x")
        h.write("more")
        await h.commit("on top")
        rebased = await h.pull(mode="rebase")
        [top] = (await h.log(limit=1)).commits
        assert (rebased.result, top.parents, top.message) == ("rebased", [theirs], "on top")
        assert (await h.status()).in_progress is None
        assert [e.payload["result"] for e in await h.rooms.told("git.pull")] == [
            "fast_forward",
            "merged",
            "rebased",
        ]


@pytest.mark.parametrize("mode", ["merge", "rebase"])
@on_a_loop
async def test_a_conflict_names_the_files_and_leaves_everything_as_it_was(tmp_path: Path, mode: str) -> None:
    async with house(tmp_path) as h:
        _, other = h.remote()
        elsewhere(other, "README.md", "theirs\n")
        h.write("fine")
        await h.commit("fine")
        h.write("README.md", "ours\n")
        mine = await h.commit("ours")
        h.write("untracked", "stays")
        before = snapshot(h.folder)
        async with refused(errors.MergeConflict) as told:
            await h.pull(mode=mode)
        assert told.value.extra["files"] == ["README.md"]
        after = await h.status()
        assert (after.branch, after.commit, after.in_progress) == ("main", mine.id, None)
        assert (after.staged, after.unstaged, after.untracked) == ([], [], ["untracked"])
        assert snapshot(h.folder) == before


@on_a_loop
async def test_a_dirty_tree_is_not_pulled_into(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        _, other = h.remote()
        elsewhere(other, "README.md", "theirs\n")
        h.write("README.md", "not committed\n")
        async with refused(errors.DirtyTree) as told:
            await h.pull()
        assert told.value.extra["files"] == ["README.md"]
        h.by_hand("checkout", "-q", "--", ".")
        h.write("ours")
        await h.commit()
        h.write("README.md", "not committed\n")
        for mode in ("merge", "rebase"):
            async with refused(errors.DirtyTree):
                await h.pull(mode=mode)
        assert (h.folder / "README.md").read_text() == "not committed\n"
        h.by_hand("checkout", "-q", "--", ".")
        elsewhere(other, "new", "theirs")
        h.write("new", "mine, untracked")
        async with refused(errors.DirtyTree):
            await h.pull(mode="merge")
        assert (h.folder / "new").read_text() == "mine, untracked"
        assert (await h.status()).in_progress is None


@on_a_loop
async def test_what_cannot_be_exchanged_is_told_apart(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for ask in (h.fetch, h.push, h.pull):
            async with refused(errors.NoRemote):
                await ask()
        bare, _ = h.remote()
        for ask in (h.fetch, h.push, h.pull):
            for remote in ("none", "--all", str(bare), "ext::sh -c true"):
                async with refused(errors.NoRemote):
                    await ask(remote=remote)
        async with refused(errors.BranchMissing):
            await h.push(branch="none")
        async with refused(errors.RemoteBranchMissing):
            await h.pull(branch="none")
        for name in ("--all", "a b", ":main", "main:other", "+main:x"):
            async with refused(errors.InvalidBranch):
                await h.push(branch=name)
            async with refused(errors.InvalidBranch):
                await h.pull(branch=name)
        await h.branch("alone", switch=True)
        async with refused(errors.NoUpstream):
            await h.pull()
        h.by_hand("checkout", "-q", "--detach")
        for ask in (h.push, h.pull):
            async with refused(errors.DetachedHead):
                await ask()
        assert (await h.push(branch="alone")).result == "created"
        h.by_hand("switch", "-q", "--orphan", "empty")
        async with refused(errors.NoCommits):
            await h.push()
        assert (await h.pull(branch="main")).result == "fast_forward"
        bare.rename(bare.with_name("moved.git"))
        async with refused(errors.RemoteMissing):
            await h.fetch()


@on_a_loop
async def test_what_others_refuse_is_told_in_their_words(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        bare, _ = h.remote()
        git(bare, "config", "receive.denyDeletes", "true")
        git(bare, "config", "receive.denyNonFastForwards", "true")
        await h.make_commit("other", amend=True)
        async with refused(errors.PushRejected) as told:
            await h.push(force_with_lease=True)
        assert "remote: error: denying non-fast-forward" in told.value.detail


@on_a_loop
async def test_what_is_under_way_is_not_pulled_into(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.remote()
        (h.folder / ".git" / "MERGE_HEAD").write_text(f"{(await h.status()).commit}\n")
        async with refused(errors.MergeInProgress) as told:
            await h.pull()
        assert told.value.extra["operation"] == "merge"
        async with refused(errors.MergeInProgress):
            await h.branch("x", switch=True)
        async with refused(errors.MergeInProgress):
            await h.make_commit("x", path=["README.md"])


@on_a_loop
async def test_a_branch_of_any_name_comes_from_the_remote(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        bare, _ = h.remote()
        for name in ("a\x85b", "a\u2028b"):  # where lines end elsewhere, but not to git
            git(bare, "branch", name, "main")
        moved = (await h.fetch()).updated
        assert {each.ref for each in moved} == {f"refs/remotes/origin/a{end}b" for end in "\x85\u2028"}
        assert {"origin/a\x85b", "origin/a\u2028b"} <= {
            b.name for b in (await h.branches(kind="remote")).branches
        }
