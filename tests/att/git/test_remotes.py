"""The remotes of a repository: given to a project, listed and taken away, with nothing that runs a program or tells a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from att.git import errors, names
from att.git.errors import InvalidRemote
from att.git.remotes import shown
from tests.att.git.house import house, refused
from tests.att.project.repositories import git
from tests.att.rooms import on_a_loop


def bare(h_root: Path, name: str = "bare.git") -> Path:
    git(h_root, "init", "-q", "--bare", "--initial-branch=main", name)
    return h_root / name


@on_a_loop
async def test_a_project_gets_a_remote_pushes_to_it_and_pulls(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        assert await h.remotes() == []
        where = bare(h.root)
        made = await h.add_remote(f"file://{where}")
        assert (made.name, made.url, made.push_url, made.refused) == ("origin", str(where), None, None)
        assert await h.remotes() == [made]
        assert (await h.rooms.projects.get("app")).git_remote == str(where)
        pushed = await h.push()
        assert (pushed.result, pushed.upstream, pushed.remote_made) == ("created", "origin/main", False)
        status = await h.status()
        assert (status.upstream, status.ahead, status.behind) == ("origin/main", 0, 0)
        assert (await h.pull()).result == "up_to_date"
        assert (await h.remove_remote()).url == str(where)
        assert await h.remotes() == []
        assert (await h.rooms.projects.get("app")).git_remote is None
        assert where.is_dir()
        told = await h.rooms.told("git.remote")
        assert [(e.payload["action"], e.payload["name"]) for e in told] == [
            ("added", "origin"),
            ("removed", "origin"),
        ]


@on_a_loop
async def test_a_branch_follows_where_it_is_pushed_first_and_only_there(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await h.add_remote(bare(h.root))
        await h.add_remote(bare(h.root, "copy.git"), "copy")
        assert (await h.push(remote="copy")).upstream is None
        assert (await h.push(set_upstream=False)).upstream is None
        assert (await h.push(remote="origin")).upstream == "origin/main"
        await h.branch("one", switch=True)
        assert (await h.push(remote_branch="other")).upstream is None
        assert (await h.push()).upstream == "origin/one"
        assert (await h.push(remote="copy")).upstream == "origin/one"
        assert (await h.push(remote="copy", set_upstream=True)).upstream == "copy/one"


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/x",
        "ext::x",
        "-oProxyCommand=x",
        "--upload-pack=x",
        "https://user:secret@example.org/a.git",
        "https://ghp_0123456789abcdefghij@example.org/a.git",
        "ftp://example.org/a.git",
        "https://example.org/a b.git",
        "https://-x/a.git",
        "/etc",
        "file:///etc",
        "relative",
        "a\nb",
    ],
)
def test_what_is_not_talked_to_is_not_added(url: str, tmp_path: Path) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as h:
            async with refused(errors.RemoteRefused) as told:
                await h.add_remote(url)
            assert "secret" not in str(told.value.document()) and "ghp_" not in str(told.value.document())
            assert h.by_hand("remote") == ""
            assert await h.rooms.told("git.remote") == []

    run()


@on_a_loop
async def test_a_path_must_be_a_repository_below_an_allowed_root(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        (h.root / "plain").mkdir()
        for path in (h.root / "plain", h.root / "nowhere.git"):
            async with refused(errors.RemoteMissing):
                await h.add_remote(path)
        git(tmp_path, "init", "-q", "--bare", "outside.git")
        (h.root / "link.git").symlink_to(tmp_path / "outside.git")
        async with refused(errors.RemoteRefused):
            await h.add_remote(h.root / "link.git")
        where = bare(h.root)
        assert (await h.add_remote("../bare.git")).url == str(where)


@on_a_loop
async def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        where = bare(h.root)
        await h.add_remote(where, "team/one")
        for taken in ("team/one", "team", "team/one/two"):
            async with refused(errors.RemoteExists):
                await h.add_remote(where, taken)
        await h.add_remote(where, "team-one")
        for wrong in ("-x", "a b", "a..b", "a/", "x.lock", "é" * 200):
            async with refused(InvalidRemote):
                await h.add_remote(where, wrong)
        for unknown in ("origin", "-x"):
            async with refused(errors.NoRemote):
                await h.remove_remote(unknown)
        assert (await h.remove_remote("team/one")).name == "team/one"


@on_a_loop
async def test_a_secret_that_was_written_by_hand_is_not_told(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.by_hand("remote", "add", "origin", "https://user:secret@example.org/a.git")
        h.by_hand("remote", "set-url", "--push", "origin", "ext::sh -c x")
        (found,) = await h.remotes()
        assert (found.url, found.push_url) == ("https://example.org/a.git", "ext::sh -c x")
        assert found.refused is not None
        assert (await h.remove_remote()).url == "https://example.org/a.git"
        assert "secret" not in str([event.payload for event in await h.rooms.told("git.remote")])


_USER = some.text(some.characters(codec="utf-8", exclude_characters="/?#"), max_size=20)


@given(_USER, some.text(alphabet="ghijklmnopq", min_size=12, max_size=20))
def test_no_credentials_of_a_url_are_ever_shown(user: str, password: str) -> None:
    assert password not in shown(f"https://{user}:{password}@example.org/a.git")


@given(some.text(max_size=30))
def test_a_name_of_a_remote_is_no_flag_and_can_have_branches(name: str) -> None:
    try:
        taken = names.remote(name)
    except InvalidRemote:
        return
    assert taken == name
    assert not name.startswith("-")
    assert names.is_branch(f"{name}/main")
