"""Status, log, diff and branches of real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from att.confine_errors import PathOutsideProject
from att.git import errors
from att.problems import BadCursor, InvalidRequest
from tests.att.git.house import elsewhere, house, refused
from tests.att.project.repositories import git
from tests.att.rooms import on_a_loop


@on_a_loop
async def test_the_status_tells_what_is_staged_changed_and_untracked(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        told = await h.status()
        assert (told.branch, told.clean, told.detached, told.upstream) == ("main", True, False, None)
        for name in ("gone", "both", "old"):
            h.write(name, f"{name}\n" * 20)
        await h.commit()
        os.remove(h.folder / "gone")
        os.rename(h.folder / "old", h.folder / "new name\n")
        h.write("both", "staged\n")
        await h.add("both", "old", "new name\n")
        h.write("both", "and changed\n")
        h.write("sub/ü \t", "?")
        told = await h.status()
        assert {(f.path, f.change, f.old_path) for f in told.staged} == {
            ("both", "modified", None),
            ("new name\n", "renamed", "old"),
        }
        assert {(f.path, f.change) for f in told.unstaged} == {("both", "modified"), ("gone", "deleted")}
        assert told.untracked == ["sub/ü \t"]
        assert (await h.status(untracked="normal")).untracked == ["sub/"]
        assert (await h.status(untracked="no")).untracked == []
        assert not told.clean and not told.truncated
        short = await h.status(limit=1)
        assert short.truncated and len(short.staged) == 1


@on_a_loop
async def test_the_status_tells_upstream_detached_head_and_what_is_under_way(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        _, other = h.remote()
        elsewhere(other, "theirs", "x")
        await h.fetch()
        h.write("ours", "x")
        await h.commit()
        told = await h.status()
        assert (told.upstream, told.ahead, told.behind) == ("origin/main", 1, 1)
        h.write("theirs", "conflict")
        await h.commit()
        with pytest.raises(subprocess.CalledProcessError):
            h.by_hand("merge", "origin/main")
        told = await h.status()
        assert told.in_progress == "merge"
        assert [(c.path, c.conflict) for c in told.conflicts] == [("theirs", "both added")]
        async with refused(errors.MergeConflict):
            await h.make_commit("not yet")
        h.by_hand("merge", "--abort")
        h.by_hand("checkout", "-q", "--detach")
        told = await h.status()
        assert (told.branch, told.detached, told.upstream, told.ahead) == (None, True, None, None)


@on_a_loop
async def test_a_repository_without_a_commit_can_be_read(tmp_path: Path) -> None:
    async with house(tmp_path, commit=False) as h:
        h.write("a", "1\n")
        told = await h.status()
        assert (told.branch, told.commit, told.detached) == ("main", None, False)
        assert told.untracked == ["a"]
        assert (await h.log()).commits == []
        assert (await h.branches()).branches == []
        await h.add("a")
        assert [f.path for f in (await h.diff(staged=True)).files] == ["a"]
        async with refused(errors.NoCommits):
            await h.diff(from_revision="HEAD")
        async with refused(errors.NoCommits):
            await h.branch("side")


@on_a_loop
async def test_the_log_comes_in_pages_that_new_commits_do_not_shift(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        made = [(await h.commit(f"number {n}", allow_empty=True)).id for n in range(5)]
        first = await h.log(limit=2)
        assert [c.id for c in first.commits] == [made[4], made[3]]
        await h.commit("newer", allow_empty=True)
        second = await h.log(limit=2, cursor=first.next_cursor)
        assert [c.id for c in second.commits] == [made[2], made[1]]
        third = await h.log(limit=2, cursor=second.next_cursor)
        assert [c.subject for c in third.commits] == ["number 0", "first"]
        assert third.next_cursor is None
        for cursor in ("x", f"{'0' * 40}..1", "HEAD..1"):
            async with refused(BadCursor):
                await h.log(cursor=cursor)


@on_a_loop
async def test_the_log_of_a_path_a_revision_and_a_range(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        start = (await h.log()).commits[0].id
        h.write("a")
        a = await h.commit("a\n\nwith a body\n")
        h.write("b")
        b = await h.commit("b")
        assert [c.id for c in (await h.log(path="a")).commits] == [a.id]
        assert [c.id for c in (await h.log(revision=a.id[:10])).commits] == [a.id, start]
        page = await h.log(base=start, limit=1)
        assert [c.id for c in page.commits] == [b.id]
        assert [c.id for c in (await h.log(cursor=page.next_cursor)).commits] == [a.id]
        [told] = (await h.log(path="a")).commits
        assert (told.subject, told.message, told.parents) == ("a", "a\n\nwith a body\n", [start])
        for revision in ("nothing", "HEAD~99", "--all", "-n1", "HEAD..main", "a\0b", "HEAD:a", ""):
            async with refused(errors.UnknownRevision):
                await h.log(revision=revision or "\n")


@on_a_loop
async def test_differences_are_told_as_text_and_as_counts(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.write("text", "1\n2\n3\n")
        h.write("old", "same\n" * 10)
        h.write("bin", b"\0\1")
        base = await h.commit()
        h.write("text", "1\ntwo\n3\n4\n")
        h.write("bin", b"\0\2")
        os.rename(h.folder / "old", h.folder / "new\tname")
        now = await h.diff()
        assert {(f.path, f.insertions, f.deletions, f.binary) for f in now.files} >= {
            ("text", 2, 1, False),
            ("bin", None, None, True),
        }
        assert "-2\n+two\n" in now.diff
        assert "diff --git a/text b/text" in now.diff
        await h.add(all=True)
        assert (await h.diff()).files == []
        staged = await h.diff(staged=True)
        assert {(f.path, f.change, f.old_path) for f in staged.files} == {
            ("text", "modified", None),
            ("bin", "modified", None),
            ("new\tname", "renamed", "old"),
        }
        after = await h.commit("after")
        between = await h.diff(from_revision=base.id, to_revision=after.id)
        assert (between.files, between.diff) == (staged.files, staged.diff)
        only = await h.diff(from_revision=base.id, path=["text"], stat_only=True)
        assert [f.path for f in only.files] == ["text"] and only.diff == ""
        cut = await h.diff(from_revision=base.id, max_bytes=50)
        assert cut.truncated and len(cut.diff) == 50 and len(cut.files) == 3
        async with refused(InvalidRequest):
            await h.diff(to_revision="HEAD")
        async with refused(InvalidRequest):
            await h.diff(staged=True, from_revision="HEAD", to_revision="HEAD")
        async with refused(errors.UnknownRevision):
            await h.diff(from_revision="--output=x")


@on_a_loop
async def test_branches_are_listed_with_their_upstream_page_by_page(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        _, other = h.remote()
        elsewhere(other, "x", "y")
        await h.fetch()
        h.by_hand("branch", "side")
        h.by_hand("branch", "side.more")
        h.by_hand("branch", "lost", "--track", "main")
        h.by_hand("config", "branch.lost.merge", "refs/heads/never")
        h.by_hand("remote", "set-head", "origin", "main")
        told = await h.branches()
        assert told.current == "main"
        assert [b.name for b in told.branches] == ["lost", "main", "side", "side.more", "origin/main"]
        main = told.branches[1]
        assert (main.current, main.upstream, main.ahead, main.behind) == (True, "origin/main", 0, 1)
        assert (told.branches[0].gone, told.branches[0].ahead) == (True, None)
        assert told.branches[4].remote and told.branches[4].subject == "theirs"
        names, cursor = [], None
        while True:
            page = await h.branches(limit=1, cursor=cursor)
            names += [b.name for b in page.branches]
            if (cursor := page.next_cursor) is None:
                break
        assert names == [b.name for b in told.branches]
        assert [b.name for b in (await h.branches(kind="remote")).branches] == ["origin/main"]


@on_a_loop
async def test_a_project_is_its_own_repository_or_none(tmp_path: Path) -> None:
    async with house(tmp_path, init=False) as h:
        async with refused(errors.NotARepository):
            await h.status()
        git(h.root, "init", "-q")
        for ask in (h.status, h.log, h.diff, h.branches, h.fetch):
            async with refused(errors.RepositoryAbove):
                await ask()
        told = await h.init("trunk")
        assert (told.branch, told.commit) == ("trunk", None)
        async with refused(errors.RepositoryExists):
            await h.init("trunk")
        assert git(h.root, "status", "--porcelain", "--untracked-files=no") == ""


@on_a_loop
async def test_a_linked_worktree_is_a_project(tmp_path: Path) -> None:
    async with house(tmp_path, init=False) as h:
        (main := h.root / "main").mkdir()
        git(main, "init", "-q")
        git(main, "commit", "-q", "--allow-empty", "-m", "first")
        h.folder.rmdir()
        git(main, "worktree", "add", "-q", "-b", "linked", str(h.folder))
        h.write("a")
        made = await h.commit("in the worktree")
        assert git(main, "rev-parse", "linked").strip() == made.id
        assert (await h.status()).branch == "linked"
        async with refused(errors.BranchCheckedOut):
            await h.branch("main", "switch")
        async with refused(errors.BranchCheckedOut):
            await h.branch("main", "delete")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x"])
@on_a_loop
async def test_paths_outside_of_the_project_are_refused(tmp_path: Path, path: str) -> None:
    async with house(tmp_path) as h:
        async with refused(PathOutsideProject):
            await h.log(path=path)
        async with refused(PathOutsideProject):
            await h.diff(path=[path])
        async with refused(PathOutsideProject):
            await h.add(path)
        async with refused(PathOutsideProject):
            await h.make_commit("x", path=[path])
