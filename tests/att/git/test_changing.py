"""Staging, committing and branches in real repositories."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from att.git import errors
from att.git.change import kept
from att.git.names import is_branch
from att.problems import InvalidRequest
from tests.att.git.house import House, house, refused, snapshot
from tests.att.rooms import on_a_loop


@on_a_loop
async def test_a_commit_holds_what_was_staged_and_tells_itself(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.write("a")
        h.write("b")
        assert [f.path for f in (await h.add("a")).staged] == ["a"]
        made = await h.make_commit("add a", author="Ada Lovelace <ada@example.org>")
        assert made.branch == "main"
        assert (made.commit.author_name, made.commit.author_email) == ("Ada Lovelace", "ada@example.org")
        assert (made.commit.committer_name, made.commit.committer_email) == ("ATT", "att@localhost")
        assert h.by_hand("show", "--name-only", "--format=%an %s", "HEAD") == "Ada Lovelace add a\n\na\n"
        [event] = await h.rooms.told("git.commit")
        assert event.payload["commit"] == made.commit.id
        assert (event.actor, event.request_id) == ("tester", "req-1")
        assert "add a" not in event.model_dump_json()


@on_a_loop
async def test_the_users_own_identity_is_taken(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        (tmp_path / "user" / ".gitconfig").write_text("[user]\n name = Grace\n email = grace@example.org\n")
        made = await h.commit("mine", allow_empty=True)
        assert (made.author_name, made.committer_email) == ("Grace", "grace@example.org")


@on_a_loop
async def test_all_takes_tracked_files_and_paths_take_only_themselves(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.write("a")
        h.write("b")
        await h.commit()
        h.write("a", "2\n")
        h.write("b", "2\n")
        h.write("new")
        only = (await h.make_commit("only a and new", path=["a", "new"])).commit
        assert h.by_hand("show", "--name-only", "--format=", only.id).split() == ["a", "new"]
        assert [f.path for f in (await h.status()).unstaged] == ["b"]
        os.remove(h.folder / "a")
        h.write("untracked")
        await h.make_commit("the rest", all=True)
        assert h.by_hand("show", "--name-status", "--format=").split() == ["D", "a", "M", "b"]
        assert (await h.status()).untracked == ["untracked"]
        await h.make_commit("gone too", path=["untracked"])
        os.remove(h.folder / "untracked")
        await h.make_commit("removed", path=["untracked"])
        assert h.by_hand("show", "--name-status", "--format=").split() == ["D", "untracked"]


@on_a_loop
async def test_a_commit_is_amended(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.write("a")
        first = await h.commit("wrong\n\nbody")
        h.write("b")
        await h.add("b")
        same = (await h.make_commit(None, amend=True)).commit
        assert (same.message, same.parents) == (first.message, first.parents)
        assert h.by_hand("show", "--name-only", "--format=").split() == ["a", "b"]
        assert (await h.make_commit("right", amend=True)).commit.message == "right"
        assert [e.payload["amended"] for e in await h.rooms.told("git.commit")] == [False, True, True]


@on_a_loop
async def test_what_cannot_be_committed_is_told_apart_and_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, commit=False) as h:
        async with refused(errors.NothingToAmend):
            await h.make_commit("x", amend=True)
        async with refused(errors.NothingStaged):
            await h.make_commit("x")
        h.write("a")
        for message in ("", " \n\t", None):
            async with refused(errors.EmptyMessage):
                await h.make_commit(message)
        async with refused(errors.InvalidMessage):
            await h.make_commit("a\0b")
        for author in ("Ada", "Ada <a@b> x", "<a@b>", "A\n <x>", " <a@b>", "--amend"):
            async with refused(errors.InvalidAuthor):
                await h.make_commit("x", author=author)
        async with refused(errors.NothingStaged):  # `a` is not tracked
            await h.make_commit("x", all=True)
        async with refused(InvalidRequest):
            await h.make_commit("x", all=True, path=["a"])
        async with refused(errors.PathNotInRepository):
            await h.make_commit("x", path=["none"])
        assert (await h.status()).commit is None
        await h.commit("first")
        async with refused(errors.NothingStaged):
            await h.make_commit("again", path=["a"])
        assert len(await h.rooms.told("git.*")) == 1


@on_a_loop
async def test_what_cannot_be_staged_is_told_apart(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.write(".gitignore", "*.log\n")
        h.write("x.log")
        (h.folder / "link").symlink_to("/etc")
        async with refused(errors.PathIgnored):
            await h.add("x.log")
        for path in ("none", "link/passwd", "*"):
            async with refused(errors.PathNotInRepository):
                await h.add(path)
        async with refused(InvalidRequest):
            await h.add()
        async with refused(InvalidRequest):
            await h.add("x.log", all=True)
        assert (await h.status()).staged == []
        assert [f.path for f in (await h.add("x.log", force=True)).staged] == ["x.log"]
        assert [f.path for f in (await h.add("link")).staged] == ["link", "x.log"]


@on_a_loop
async def test_another_git_at_work_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.write("a")
        lock = h.folder / ".git" / "index.lock"
        lock.touch()
        async with refused(errors.IndexLocked) as told:
            await h.add("a")
        assert "index.lock" in told.value.detail
        async with refused(errors.IndexLocked):
            await h.make_commit("x", path=["a"])
        assert (await h.status()).untracked == ["a"]  # reading needs no lock
        lock.unlink()
        (h.folder / ".git" / "refs" / "heads" / "main.lock").touch()
        await h.add("a")
        async with refused(errors.IndexLocked):
            await h.make_commit("x")


@on_a_loop
async def test_changes_of_one_repository_stand_in_line(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        made = await asyncio.gather(*(h.make_commit(f"{n}", allow_empty=True) for n in range(8)))
        assert len({m.commit.id for m in made}) == 8
        assert len((await h.log()).commits) == 9


@on_a_loop
async def test_branches_are_made_switched_renamed_and_deleted(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        first = (await h.log()).commits[0].id
        h.write("a")
        second = await h.commit()
        made = await h.branch("feature/x", start=first, switch=True)
        assert (made.commit, made.current) == (first, "feature/x")
        assert not (h.folder / "a").exists()
        h.write("b")
        third = await h.commit()
        assert (await h.branch("main", "switch")).commit == second.id
        assert (await h.branch("feature/x", "rename", new_name="feature/y")).name == "feature/y"
        async with refused(errors.BranchNotMerged) as told:
            await h.branch("feature/y", "delete")
        assert told.value.extra["commit"] == third.id
        assert (await h.branch("feature/y", "delete", force=True)).commit == third.id
        await h.branch("merged", start=first)
        await h.branch("merged", "delete")
        assert [b.name for b in (await h.branches()).branches] == ["main"]
        told_ = [(e.payload["action"], e.payload["branch"]) for e in await h.rooms.told("git.branch")]
        assert told_[:3] == [("create", "feature/x"), ("switch", "main"), ("rename", "feature/y")]


@on_a_loop
async def test_what_cannot_be_done_to_a_branch_is_told_apart(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.write("a", "1\n")
        await h.commit()
        await h.branch("side", start="HEAD~1")
        before = snapshot(h.folder)
        for name, action, kind, more in (
            ("side", "create", errors.BranchExists, {}),
            ("side/x", "create", errors.BranchExists, {}),
            ("none", "switch", errors.BranchMissing, {}),
            ("none", "delete", errors.BranchMissing, {}),
            ("none", "rename", errors.BranchMissing, {"new_name": "x"}),
            ("side", "rename", errors.BranchExists, {"new_name": "main"}),
            ("side", "rename", errors.InvalidBranch, {"new_name": "a..b"}),
            ("main", "delete", errors.BranchCheckedOut, {}),
            ("new", "create", errors.UnknownRevision, {"start": "none"}),
            ("new", "create", errors.UnknownRevision, {"start": "--help"}),
            ("a b", "create", errors.InvalidBranch, {}),
            ("--upload-pack=x", "create", errors.InvalidBranch, {}),
            ("x" * 251, "create", errors.InvalidBranch, {}),
            ("side", "switch", InvalidRequest, {"force": True}),
            ("side", "rename", InvalidRequest, {}),
        ):
            async with refused(kind):
                await h.branch(name, action, **more)
        h.write("a", "not committed\n")
        async with refused(errors.DirtyTree) as told:
            await h.branch("side", "switch")
        assert told.value.extra["files"] == ["a"]
        async with refused(errors.DirtyTree):
            await h.branch("new", start="HEAD~1", switch=True)
        h.by_hand("checkout", "-q", "--", "a")
        assert snapshot(h.folder) == before
        assert sorted(b.name for b in (await h.branches()).branches) == ["main", "side"]


MESSAGES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200).filter(str.strip)
HARD = [
    "#comment",
    "a\n\n\n",
    "\n\na",
    "a\r\nb\rc",
    " lead",
    "x" * 70_000,
    "diff --git a/x b/x\n",
    "\x1b[31mred",
]
HARD += [
    "# ------------------------ >8 ------------------------\nx",
    "é\u2028\ufeff\ufffd",
    "\x01",
    "-m x",
    "scissors",
]


async def _keeps(h: House, message: str) -> None:
    if not kept(message):
        async with refused(errors.InvalidMessage):
            await h.make_commit(message, allow_empty=True)
        return
    made = (await h.make_commit(message, allow_empty=True)).commit
    assert made.message == message
    [told] = (await h.log(limit=1)).commits
    assert told.message == message
    assert (await h.make_commit(None, amend=True)).commit.message == message


@on_a_loop
async def test_messages_that_git_would_like_to_change_stay_as_they_are(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for message in HARD:
            await _keeps(h, message)


@pytest.mark.slow
@given(messages=st.lists(MESSAGES, min_size=1, max_size=5))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_message_that_git_keeps_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, messages: list[str]
) -> None:
    @on_a_loop
    async def round_trips() -> None:
        async with house(tmp_path_factory.mktemp("messages")) as h:
            for message in messages:
                await _keeps(h, message)

    round_trips()


PARTS = st.text(
    st.one_of(st.sampled_from("ab./@{}-_~^:?*[\\ \x7f\x01ü漢"), st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=12,
)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
ODD = [
    "@",
    "HEAD",
    "-x",
    "a.lock",
    "a.lock/b",
    ".a",
    "a/.b",
    "a.",
    "a..b",
    "a@{b",
    "a{",
    "/a",
    "a/",
    "a//b",
    "@a",
    "a@",
]
ODD += [
    "refs/heads/x",
    "origin/main",
    "main~1",
    "a\\b",
    "FETCH_HEAD",
    "\u202e",
    "'; touch x; '",
    "$(x)",
    "(top)",
    "!x",
]


@on_a_loop
async def test_odd_names_of_branches_stay_as_they_are(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for name in filter(is_branch, ODD):
            await _round_trip(h, name)


@pytest.mark.slow
@given(names=st.lists(NAMES.filter(is_branch), min_size=1, max_size=4))
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
    ],
)
def test_any_branch_name_that_git_takes_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    @on_a_loop
    async def round_trips() -> None:
        async with house(tmp_path_factory.mktemp("names")) as h:
            for name in names:
                await _round_trip(h, name)

    round_trips()


async def _round_trip(h: House, name: str) -> None:
    assert (await h.branch(name, switch=True)).current == name
    assert (await h.status()).branch == name
    assert name in [b.name for b in (await h.branches()).branches]
    made = (await h.make_commit("x", allow_empty=True)).commit
    assert (await h.log(revision=f"refs/heads/{name}", limit=1)).commits == [made]
    await h.branch("main", "switch")
    await h.branch(name, "rename", new_name=f"new/{name}" if name != "new" else "newer")
    await h.branch(f"new/{name}" if name != "new" else "newer", "delete", force=True)
    assert [b.name for b in (await h.branches()).branches] == ["main"]


@on_a_loop
async def test_a_file_that_is_being_written_is_not_staged_with_all(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.write("a")
        (h.folder / "sub").mkdir()
        h.write("sub/.att-writing-0123456789abcdef", "half")
        assert [f.path for f in (await h.add(all=True)).staged] == ["a"]
        assert (h.folder / "sub/.att-writing-0123456789abcdef").read_text() == "half"
