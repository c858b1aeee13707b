"""The local forge in particular: where its branches are, its checks as processes, what a dead daemon leaves."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

from att.git.errors import DetachedHead, MergeConflict, NotARepository, RemoteRefused
from att.git.forge import checks, errors, rows
from att.git.forge.models import Check, CreatePull, ListChecks, Method, PullState, ReadCheckLog
from att.git.forge.output import Output, read
from att.project.models import CreateProject
from att.store.tables import checks as table
from tests.att.git.forge.hub import git
from tests.att.git.forge.test_forge import asks, refused
from tests.att.git.forge.worlds import DEV, World, forges, local, registered
from tests.att.rooms import on_a_loop
from tests.support import eventually

CHECKS = ListChecks(project_id="app")


async def only_check(world: World) -> Check:
    [check] = (await world.dev.checks(CHECKS)).checks
    return check


async def ended(world: World) -> Check:
    async def look() -> Check | None:
        check = await only_check(world)
        return check if check.conclusion else None

    found = await eventually(look)
    assert found is not None
    return found


def lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


async def with_ci(world: World, script: str, more: str = "") -> None:
    """A pull request whose check runs `script`."""
    git(world.folder, "checkout", "-q", "-B", "feature", "main")
    world.write("att.toml", f"[ci]\ncommand = {json.dumps(['sh', '-c', script])}\n{more}")
    await world.push("feature")
    await world.pull()


# -- where the branches are


@on_a_loop
async def test_a_project_without_a_remote_gets_one_and_needs_no_push(tmp_path: Path) -> None:
    async with registered(tmp_path) as (found, folder):
        (tmp_path / "gate").write_text("0")
        service = forges(found)
        await service.open()
        git(folder, "checkout", "-q", "-b", "feature")
        world = World(
            "local", found, folder, tmp_path / "forge" / "app.git", *[await service.of("app")] * 2, print
        )
        sha = world.write("work.txt", "work\n")
        await refused(errors.BranchNotOnForge, world.pull("nowhere"))
        assert not world.bare.exists()
        assert (await world.dev.create(CreatePull(project_id="app", title="T"), DEV)).head_sha == sha
        assert git(folder, "remote", "get-url", "origin") == str(world.bare)
        await ended(world)
        done = await world.dev.merge(asks(1), DEV)
        git(folder, "fetch", "-q", "origin")
        assert git(folder, "rev-parse", "origin/main") == done.sha
        world.dev = await service.of("app")  # it has a remote now, which is the same repository
        assert (await world.dev.pull(1)).state is PullState.MERGED
        await service.aclose()


@on_a_loop
async def test_what_another_project_of_the_same_name_left_is_not_taken_over(tmp_path: Path) -> None:
    async with registered(tmp_path) as (found, folder):
        service = forges(found)
        shelf = service._shelf
        first = await found.projects.get("app")
        bare = await shelf.make(first, None)
        (bare.folder / "kept").write_text("of the first")
        elsewhere = first.model_copy(update={"path": str(tmp_path / "projects" / "b")})
        (tmp_path / "projects" / "b").mkdir()
        git(tmp_path / "projects" / "b", "init", "-q")
        assert await shelf.find(elsewhere, None) is None
        other = await shelf.make(elsewhere, None)
        assert not (other.folder / "kept").exists()
        assert (other.folder.parent / "app.1.git" / "kept").exists()
        os.rename(elsewhere.path, tmp_path / "gone")
        assert (await shelf.make(first, None)).folder == other.folder
        assert not (other.folder.parent / "app.2.git").exists()
        assert folder.exists()


@on_a_loop
async def test_a_remote_outside_of_the_allowed_roots_is_refused(tmp_path: Path) -> None:
    async with local(tmp_path / "home") as world:
        outside = tmp_path / "outside.git"
        os.rename(world.bare, outside)
        git(world.folder, "remote", "set-url", "origin", str(outside))
        world.dev = await world.forges[0].of("app")
        await refused(RemoteRefused, world.pull("main"))
        os.symlink(outside, world.bare)
        git(world.folder, "remote", "set-url", "origin", str(world.bare))
        world.dev = await world.forges[0].of("app")
        await refused(RemoteRefused, world.pull("main"))


@on_a_loop
async def test_no_repository_and_no_branch_are_said_so(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        (tmp_path / "projects" / "plain").mkdir()
        await world.rooms.projects.create(CreateProject(path=str(tmp_path / "projects" / "plain")), DEV)
        await refused(NotARepository, world.forges[0].of("plain"))
        git(world.folder, "checkout", "-q", "--detach")
        await refused(DetachedHead, world.dev.create(CreatePull(project_id="app", title="T"), DEV))


@on_a_loop
async def test_any_branch_that_git_allows_is_merged(tmp_path: Path) -> None:
    names = ["ü'/b", "-dash", "a{b@", "HEAD"]
    subject = "Ünïcode “subject”\n\n-- body --"
    async with local(tmp_path) as world:
        (tmp_path / "gate").write_text("0")
        for number, branch in enumerate(names, 1):
            git(world.folder, "checkout", "-q", "--detach", world.tip())
            sha = world.write("work.txt", branch, subject)
            git(world.bare, "fetch", "-q", str(world.folder), sha)
            git(world.bare, "update-ref", f"refs/heads/{branch}", sha)
            assert (await world.pull(branch)).head == branch
            await world.checked(number)
            await world.dev.merge(asks(number, method=Method.REBASE, delete_branch=True), DEV)
            assert git(world.bare, "log", "-1", "--format=%B", "refs/heads/main") == subject
            assert git(world.bare, "for-each-ref", f"refs/heads/{branch}") == ""
            git(world.folder, "fetch", "-q", str(world.bare), "main")


@on_a_loop
async def test_a_rebase_leaves_out_what_the_base_has_and_keeps_who_wrote_it(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        git(world.folder, "checkout", "-q", "-b", "feature")
        world.write("both.txt", "same\n", "on both sides")
        world.write("mine.txt", "mine\n", "mine")
        git(world.folder, "commit", "-q", "--amend", "--no-edit", "--author=Ada Ü <ada@example.org>")
        await world.push("feature")
        git(world.folder, "checkout", "-q", "main")
        world.write("both.txt", "same\n", "theirs")
        await world.push("main")
        await world.pull()
        await world.checked(1)
        await world.dev.merge(asks(1, method=Method.REBASE), DEV)
        assert world.log() == ["mine", "theirs", "begin"]
        assert git(world.bare, "log", "-1", "--format=%an", "main") == "Ada Ü"


@on_a_loop
async def test_a_rebase_that_conflicts_where_a_merge_does_not_changes_nothing(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        git(world.folder, "checkout", "-q", "-b", "feature")
        world.write("file.txt", "one\n", "one")
        world.write("file.txt", "two\n", "two")
        await world.push("feature")
        git(world.folder, "checkout", "-q", "main")
        world.write("file.txt", "two\n", "the same in the end")
        await world.push("main")
        await world.pull()
        await world.checked(1)
        before = world.tip()
        problem = await refused(MergeConflict, world.dev.merge(asks(1, method=Method.REBASE), DEV))
        assert problem.extra["files"] == ["file.txt"]
        assert world.tip() == before


# -- checks


@on_a_loop
async def test_a_check_runs_in_a_clean_copy_that_cannot_move_a_branch(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        (world.folder / "not-committed").write_text("x")
        script = "git status --short; git remote; ls; echo $CI; git update-ref refs/heads/main HEAD; touch $TMPDIR/x"
        before = world.tip()
        git(world.folder, "config", "core.excludesFile", "/dev/null")
        (world.folder / ".git" / "info" / "exclude").write_text("not-committed\n")
        await with_ci(world, script)
        check = await ended(world)
        assert (check.conclusion, check.exit_code) == ("success", 0)
        text = (await world.dev.log(ReadCheckLog(project_id="app", run=check.id))).text
        assert text.splitlines()[1:] == ["att.toml", "message", "true"]
        assert world.tip() == before
        await eventually(lambda: list((tmp_path / "forge" / "work").iterdir()) == [])
        [event] = await world.rooms.told("git.check.completed")
        assert event.payload["conclusion"] == "success"


@on_a_loop
async def test_each_push_is_checked_and_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        first = await world.branch("feature")
        await world.pull()
        await eventually(lambda: (tmp_path / "forge" / "work").exists())
        second = world.write("more.txt", "more\n")
        await world.push("feature")
        page = await world.dev.checks(CHECKS)
        assert [check.head_sha for check in page.checks] == [second, first]
        assert page.checks[1].conclusion == "cancelled"
        assert "newer commit" in (page.checks[1].reason or "")
        await world.checked(1)
        assert [check.head_sha for check in (await world.dev.checks(CHECKS)).checks] == [second, first]


@on_a_loop
async def test_a_push_is_noticed_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LOOK", 0.05)
    async with local(tmp_path) as world:
        (tmp_path / "gate").write_text("0")
        await world.branch("feature")
        await world.pull()
        await ended(world)
        world.write("more.txt", "more\n")
        await world.push("feature")

        async def two() -> bool:
            return len(await world.rooms.told("git.check.completed")) == 2

        await eventually(two)


@pytest.mark.parametrize("how", ["timeout", "cancel", "delete"])
@on_a_loop
async def test_the_whole_tree_of_a_check_ends_with_it(how: str, tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        script = f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait"
        await with_ci(world, script, "timeout = 1.5\n" if how == "timeout" else "")
        pids = [tmp_path / "child", tmp_path / "self"]
        await eventually(lambda: all(pid.exists() and pid.read_text().strip() for pid in pids))
        check = await only_check(world)
        if how == "cancel":
            assert (await world.dev.cancel(check.id, DEV)).reason == "cancelled by dev"
        elif how == "delete":
            await world.rooms.projects.delete("app", DEV)
        else:
            assert (await ended(world)).conclusion == "timed_out"
        assert not any(lives(int(pid.read_text())) for pid in pids)
        if how == "delete":
            assert not (tmp_path / "forge" / "checks" / "app").exists()


@on_a_loop
async def test_what_cannot_be_run_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        git(world.folder, "checkout", "-q", "-b", "feature")
        world.write("att.toml", "[ci]\ncommand = ['no-such-program']\n")
        await world.push("feature")
        await world.pull()
        check = await ended(world)
        assert check.conclusion == "failure"
        assert "no-such-program cannot be run" in (check.reason or "")
        world.write("att.toml", "[ci]\nno = 1\n")
        await world.push("feature")
        newest = (await world.dev.checks(CHECKS)).checks[0]
        assert (newest.conclusion, "ci.no" in (newest.reason or "")) == ("failure", True)


@on_a_loop
async def test_one_check_runs_at_a_time(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        for n in range(3):
            await world.branch(f"b{n}", file=f"{n}.txt")
            await world.pull(f"b{n}")

        async def states() -> list[str]:
            return sorted(check.status for check in (await world.dev.checks(CHECKS)).checks)

        async def one_runs() -> bool:
            return await states() == ["in_progress", "queued", "queued"]

        await eventually(one_runs)
        (tmp_path / "gate").write_text("0")

        async def all_ended() -> bool:
            return await states() == ["completed"] * 3

        await eventually(all_ended)
        told = (await world.dev.checks(CHECKS)).checks
        times = sorted((check.started_at or "", check.ended_at or "") for check in told)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(times))


# -- what a dead daemon leaves


async def reborn(world: World) -> None:
    """The next life. The one before says nothing of what it ran, as one that was killed."""
    await world.forges.pop().aclose()
    service = forges(world.rooms)
    world.forges.append(service)
    await service.open()
    world.dev = await service.of("app")


@on_a_loop
async def test_a_check_that_a_dead_daemon_ran_is_run_again_but_not_for_ever(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        await world.branch("feature")
        await world.pull()

        async def runs() -> bool:
            return (await only_check(world)).status == "in_progress"

        for _ in range(rows.INTERRUPTED - 1):
            await eventually(runs)
            (tmp_path / "forge" / "work" / "left").mkdir(parents=True, exist_ok=True)
            await reborn(world)
            assert not (tmp_path / "forge" / "work" / "left").exists()
            assert (await only_check(world)).conclusion is None
        await eventually(runs)
        await reborn(world)
        check = await only_check(world)
        assert check.conclusion == "cancelled"
        assert "the daemon ended" in (check.reason or "")


@on_a_loop
async def test_a_merge_that_a_dead_daemon_began_is_finished_or_forgotten(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        head = await world.branch("feature")
        await world.pull()
        await world.checked(1)
        row = await world.rooms.store.read(lambda c: rows.pull(c, "app", 1))
        assert row is not None
        meant = {**row["details"], "meant": {"sha": head, "method": "rebase"}}
        await world.rooms.store.write(lambda c: rows.change_pull(c, "app", 1, meant))
        assert (await world.dev.pull(1)).state is PullState.OPEN
        await world.rooms.store.write(lambda c: rows.change_pull(c, "app", 1, meant))
        git(world.bare, "update-ref", "refs/heads/main", head)
        found = await world.dev.pull(1)
        assert (found.state, found.merge_sha) == (PullState.MERGED, head)
        assert len(await world.rooms.told("git.pr.merged")) == 1


@on_a_loop
async def test_old_checks_are_forgotten_with_their_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "KEPT", 2)
    async with local(tmp_path) as world:
        (tmp_path / "gate").write_text("0")
        for n in range(4):
            await world.branch("feature", text=f"{n}\n")
            await (world.pull() if n == 0 else world.dev.checks(CHECKS))
            await world.checked(1)
        count = await world.rooms.store.read(lambda c: len(c.execute(table.select()).all()))
        assert count == 2
        assert len(list((tmp_path / "forge" / "checks" / "app").iterdir())) == 2


# -- the output of a check


def test_the_end_of_a_long_output_is_kept_and_what_is_lost_is_told(tmp_path: Path) -> None:
    out = Output(tmp_path / "o", segment=1000)
    lines = [f"line {n:05d} ü" for n in range(500)]
    whole = "".join(f"{line}\n" for line in lines)
    text, lost, cursor = "", 0, None
    for n, line in enumerate(lines):
        out.line(line)
        if n == 50:  # a reader that then falls behind
            found = read(tmp_path / "o", None, 300, over=False)
            assert found is not None
            text, cursor = found.text, found.next_cursor
    out.close()
    assert sum(file.stat().st_size for file in (tmp_path / "o").iterdir()) <= 2000
    while True:
        found = read(tmp_path / "o", cursor, 333, over=True)
        assert found is not None
        lost, cursor = lost + found.lost, found.next_cursor
        text += "…" * bool(found.lost) + found.text
        if found.last:
            break
    begin, _, end = text.partition("…")
    assert whole.startswith(begin)
    assert whole.endswith(end)
    assert len(begin.encode()) + lost + len(end.encode()) == len(whole.encode())
