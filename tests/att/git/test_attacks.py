"""A downloaded repository that wants to run programs, read or write elsewhere: none of it happens.

Each program that it names would leave the file `pwned`. That such a trap works at all is shown with plain git.
"""

# ruff: noqa: ASYNC221  (small files of the test's own, and plain git beside)

from __future__ import annotations

import os
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from att.confine_errors import PathOutsideProject
from att.git import errors
from att.git.command import git as run_git
from att.git.errors import GitFailed
from att.problems import Problem
from tests.att.git.house import House, elsewhere, house, refused
from tests.att.project.repositories import git, repository
from tests.att.rooms import on_a_loop


def trap(h: House, name: str = "") -> Path:
    """A program that leaves a trace."""
    name = name.replace(" ", "-")
    script = h.root / f"trap{name}.sh"
    script.write_text(f"#!/bin/sh\ntouch {h.root}/pwned{name}\ncat\n")
    script.chmod(0o755)
    return script


async def everything(h: House) -> None:
    """Whatever the room can do, well or not."""
    h.write("new.txt", "new\n")
    h.write("README.md", "changed\n")
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: h.status(),
        lambda: h.diff(),
        lambda: h.log(path="README.md"),
        lambda: h.branches(),
        lambda: h.add(all=True),
        lambda: h.diff(staged=True),
        lambda: h.make_commit("x"),
        lambda: h.branch("side", start="HEAD~1", switch=True),
        lambda: h.branch("main", "switch"),
        lambda: h.fetch(),
        lambda: h.pull(mode="merge"),
        lambda: h.make_commit("y", amend=True),
        lambda: h.pull(mode="rebase"),
        lambda: h.push(set_upstream=True),
        lambda: h.push(force_with_lease=True),
    ]
    for step in steps:
        with suppress(Problem):
            await step()


CONFIGS = {
    "fsmonitor": "[core]\n fsmonitor = {trap}\n",
    "ssh": '[core]\n sshCommand = {trap}\n[remote "origin"]\n url = git@127.0.0.1:x.git\n',
    "proxy": '[core]\n gitProxy = {trap}\n[remote "origin"]\n url = git://127.0.0.1:9/x.git\n',
    "editor": "[core]\n editor = {trap}\n[sequence]\n editor = {trap}\n",
    "pager": "[core]\n pager = {trap}\n[pager]\n log = true\n diff = true\n status = true\n branch = true\n",
    "askpass": "[core]\n askPass = {trap}\n",
    "external diff": "[diff]\n external = {trap}\n",
    "diff driver": '[diff "evil"]\n command = {trap}\n textconv = {trap}\n',
    "filter": '[filter "evil"]\n clean = {trap}\n smudge = {trap}\n required = true\n',
    "filter process": '[filter "evil"]\n process = {trap}\n required = true\n',
    "merge driver": '[merge "evil"]\n driver = {trap}\n',
    "signing": "[gpg]\n program = {trap}\n[commit]\n gpgSign = true\n[log]\n showSignature = true\n",
    "ssh signing": '[gpg]\n format = ssh\n[gpg "ssh"]\n program = {trap}\n defaultKeyCommand = {trap}\n'
    "[commit]\n gpgSign = true\n[push]\n gpgSign = true\n",
    "hooks": "[core]\n hooksPath = {hooks}\n",
    "upload pack": '[remote "origin"]\n uploadpack = {trap}\n receivepack = {trap}\n',
    "ext": '[remote "origin"]\n url = ext::{trap}\n[protocol "ext"]\n allow = always\n[protocol]\n allow = always\n',
    "rewritten to ext": '[url "ext::{trap} "]\n insteadOf = {root}/\n[protocol "ext"]\n allow = always\n',
    "vcs": '[remote "origin"]\n vcs = ext\n url = {trap}\n[protocol "ext"]\n allow = always\n',
    "included": "[include]\n path = {root}/more.config\n",
    "included when": '[includeIf "gitdir:**"]\n path = {root}/more.config\n',
    "alternates": "[core]\n alternateRefsCommand = {trap}\n",
    "alias": "[alias]\n status = !{trap}\n log = !{trap}\n diff = !{trap}\n",
    "submodule": '[submodule]\n recurse = true\n[submodule "x"]\n update = !{trap}\n active = true\n',
    "promisor": "[core]\n repositoryFormatVersion = 1\n[extensions]\n partialClone = origin\n"
    '[remote "origin"]\n promisor = true\n uploadpack = {trap}\n',
    "options of merging": '[branch "main"]\n mergeOptions = -S --verify-signatures\n[gpg]\n program = {trap}\n',
}


ALONE = ["ssh", "proxy", "ssh signing", "filter process", "upload pack", "ext", "rewritten to ext", "vcs"]
ALONE += ["included", "included when", "promisor"]
TOGETHER = [name for name in CONFIGS if name not in ALONE]


@pytest.mark.parametrize("names", [TOGETHER, *([name] for name in ALONE)], ids=lambda names: names[0])
@on_a_loop
async def test_no_program_of_a_hostile_configuration_runs(tmp_path: Path, names: list[str]) -> None:
    async with house(tmp_path) as h:
        h.write(".gitattributes", "* filter=evil diff=evil merge=evil\n")
        await h.commit()
        _, other = h.remote()
        elsewhere(other, "README.md", "theirs\n")
        (h.root / "more.config").write_text(_config(h, "filter") + _config(h, "fsmonitor"))
        with (h.folder / ".git" / "config").open("a") as config:
            config.writelines(_config(h, name) for name in names)
        await everything(h)
        assert list(h.root.glob("pwned*")) == []


def _config(h: House, name: str) -> str:
    """Each names a trap that tells its name."""
    script, hooks = trap(h, name), h.root / "hooks"
    _hooks(hooks, script)
    return CONFIGS[name].format(trap=script, root=h.root, hooks=hooks)


def _hooks(folder: Path, script: Path) -> None:
    folder.mkdir(exist_ok=True)
    names = ["pre-commit", "commit-msg", "prepare-commit-msg", "post-commit", "post-checkout", "post-merge"]
    names += ["pre-rebase", "post-rewrite", "pre-push", "reference-transaction", "post-index-change"]
    names += [
        "pre-merge-commit",
        "fsmonitor-watchman",
        "pre-receive",
        "update",
        "post-receive",
        "proc-receive",
    ]
    for name in [*names, "post-update", "push-to-checkout"]:
        (folder / name).write_bytes(script.read_bytes())
        (folder / name).chmod(0o755)


@on_a_loop
async def test_the_trap_works_for_plain_git(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.by_hand("config", "core.fsmonitor", str(trap(h)))
        subprocess.run(["git", "status"], cwd=h.folder, capture_output=True, check=False)
        assert (h.root / "pwned").exists()


@on_a_loop
async def test_no_hook_runs_here_nor_in_a_repository_that_is_pushed_to(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        bare, other = h.remote()
        elsewhere(other, "theirs", "x")
        for folder in (h.folder / ".git", bare):
            _hooks(folder / "hooks", trap(h))
        git(bare, "config", "core.hooksPath", str(bare / "hooks"))
        h.write("ours")
        await h.commit()
        await h.pull(mode="merge")
        assert (await h.push()).result == "updated"
        assert not (h.root / "pwned").exists()


@on_a_loop
async def test_a_repository_inside_of_the_project_runs_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        inner = h.folder / "inner"
        inner.mkdir()
        git(inner, "init", "-q")
        git(inner, "commit", "-q", "--allow-empty", "-m", "x")
        await h.commit("with a repository inside")
        h.write("inner/x")
        with (inner / ".git" / "config").open("a") as config:
            config.write(CONFIGS["fsmonitor"].format(trap=trap(h)))
        await everything(h)
        await h.make_commit("z", allow_empty=True)
        async with refused(errors.NothingStaged):
            await h.make_commit("z")
        assert not (h.root / "pwned").exists()


@on_a_loop
async def test_the_users_own_filter_stays_in_force(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        (tmp_path / "user" / ".gitconfig").write_text('[filter "up"]\n clean = tr a-z A-Z\n')
        h.by_hand("config", "filter.up.clean", f"touch {h.root}/pwned; cat")
        h.write(".gitattributes", "*.txt filter=up\n")
        h.write("a.txt", "loud\n")
        await h.commit()
        assert h.by_hand("show", "HEAD:a.txt") == "LOUD\n"
        assert not (h.root / "pwned").exists()


@on_a_loop
async def test_a_work_tree_elsewhere_is_not_written(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        (victim := h.root / "victim").mkdir()
        (victim / "README.md").write_text("precious\n")
        h.by_hand("config", "core.worktree", str(victim))
        h.write("README.md", "changed\n")
        assert [f.path for f in (await h.status()).unstaged] == ["README.md"]
        made = await h.commit()
        assert (await run_git(h.folder, "show", f"{made.id}:README.md")).out == b"changed\n"
        await h.branch("old", start="HEAD~1", switch=True)
        assert (victim / "README.md").read_text() == "precious\n"


@pytest.mark.parametrize("kind", ["link", "file", "nul", "commondir", "refs", "worktree"])
@on_a_loop
async def test_a_dot_git_that_leads_elsewhere_is_refused(tmp_path: Path, kind: str) -> None:
    async with house(tmp_path, init=False) as h:
        (victim := h.root / "victim").mkdir()
        git(victim, "init", "-q")
        git(victim, "commit", "-q", "--allow-empty", "-m", "precious")
        dot = h.folder / ".git"
        if kind == "link":
            dot.symlink_to(victim / ".git")
        elif kind == "file":
            dot.write_text(f"gitdir: {victim}/.git\n")
        elif kind == "nul":
            dot.write_text("gitdir: a\0b\n")
        elif kind == "worktree":
            git(victim, "worktree", "add", "-q", "-b", "tree", str(h.root / "tree"))
            dot.write_text(f"gitdir: {victim}/.git/worktrees/tree\n")
        else:
            git(h.folder, "init", "-q")
        if kind == "commondir":
            (dot / "commondir").write_text(f"{victim}/.git\n")
        if kind == "refs":
            (dot / "refs" / "heads").rmdir()
            (dot / "refs" / "tags").rmdir()
            (dot / "refs").rmdir()
            (dot / "refs").symlink_to(victim / ".git" / "refs")
        for ask in (h.status, h.log, h.fetch):
            async with refused(errors.RepositoryElsewhere):
                await ask()
        async with refused(errors.RepositoryElsewhere):
            await h.make_commit("x", allow_empty=True)
        with pytest.raises(errors.RepositoryElsewhere):
            await run_git(h.folder, "status")


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% {root}/pwned",
        "{outside}",
        "file://{outside}",
        "../../outside.git",
        "-oProxyCommand=x",
        "fd::17",
    ],
)
@on_a_loop
async def test_a_remote_of_a_form_that_is_not_allowed_is_not_talked_to(tmp_path: Path, url: str) -> None:
    outside = repository(tmp_path / "outside.git")
    async with house(tmp_path) as h:
        h.by_hand("remote", "add", "origin", "x")
        told = url.format(root=h.root, outside=outside)
        h.by_hand("config", "remote.origin.url", told)
        h.by_hand("config", "branch.main.remote", "origin")
        h.by_hand("config", "branch.main.merge", "refs/heads/main")
        for ask in (h.fetch, h.pull, h.push):
            async with refused(errors.RemoteRefused):
                await ask()
        h.by_hand("config", "remote.origin.url", "http://127.0.0.1:9/x.git")
        h.by_hand("config", "remote.origin.pushurl", told)
        async with refused(errors.RemoteRefused):
            await h.push()
        assert not (h.root / "pwned").exists()


@on_a_loop
async def test_what_looks_like_a_flag_or_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for name in ("--upload-pack=touch pwned", "-u", ":(top)x", ":!a", "*.py", "[a]", "--", "\\x"):
            h.write(name)
            assert [f.path for f in (await h.add(name)).staged] == [name]
            await h.make_commit("x", path=[name])
            assert len((await h.log(path=name)).commits) == 1
            assert [f.path for f in (await h.diff(from_revision="HEAD~1", path=[name])).files] == [name]
        for path in (":(top)README.md", "*", ":/"):
            async with refused(errors.PathNotInRepository):
                await h.add(path)
            assert (await h.log(path=path)).commits == []
        h.write("x.py", "changed")
        assert (await h.add("*.py")).untracked == ["x.py"]


@on_a_loop
async def test_gits_own_files_are_not_staged(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for path in (".git/config", ".git", ".GIT/config", "sub/.git/hooks/x"):
            async with refused(PathOutsideProject):
                await h.add(path)


@on_a_loop
async def test_the_daemons_own_environment_does_not_point_git_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as h:
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"):
            monkeypatch.setenv(name, str(tmp_path / "nowhere"))
        monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(trap(h)))
        monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
        monkeypatch.setenv("ATT_TOKEN", "s3cr3t")
        h.write("README.md", "changed\n")
        assert "changed" in (await h.diff()).diff
        assert (await h.commit()).message == "change"
        assert not (h.root / "pwned").exists()
        assert not (tmp_path / "nowhere").exists()


@on_a_loop
async def test_a_damaged_repository_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        config = h.folder / ".git" / "config"
        kept = config.read_text()
        config.write_text("[core\n")
        for ask in (h.status, h.log, h.fetch):
            async with refused(errors.RepositoryDamaged):
                await ask()
        config.write_text("[core]\n\trepositoryFormatVersion = 99\n")
        for ask in (h.log, h.branches, h.pull, h.push):  # not as if there were no commit yet
            async with refused(errors.RepositoryDamaged):
                await ask()
        config.write_text(kept)
        (h.folder / ".git" / "index").write_bytes(b"DIRCgarbage")
        async with refused(errors.RepositoryDamaged):
            await h.status()
        os.remove(h.folder / ".git" / "index")
        for file in (h.folder / ".git" / "objects").rglob("*"):
            if file.is_file():
                file.chmod(0o644)
                file.write_bytes(b"x")
        async with refused(errors.RepositoryDamaged):
            await h.log()


@on_a_loop
async def test_an_answer_without_end_is_cut_or_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.write("big", "x\n" * 200_000)
        await h.commit()
        done = await run_git(h.folder, "show", "HEAD", limit=1000, cut=True)
        assert (len(done.out), done.cut) == (1000, True)
        with pytest.raises(errors.OutputTooLarge):
            await run_git(h.folder, "show", "HEAD", limit=1000)
        with pytest.raises(errors.GitTimedOut):
            await run_git(h.folder, "show", "HEAD", timeout=0.0)
        with pytest.raises(GitFailed) as told:
            await run_git(h.folder, "rev-parse", "--verify", "none")
        assert told.value.git_code == 128
