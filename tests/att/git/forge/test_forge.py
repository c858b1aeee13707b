"""What holds for every forge: the same operations, the same answers, the same problems, at GitHub and on this machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from att.git.errors import MergeConflict
from att.git.forge import errors
from att.git.forge.models import (
    AddReview,
    CreatePull,
    ListChecks,
    ListPulls,
    Mergeable,
    MergePull,
    Method,
    PullState,
    ReadCheckLog,
    ReviewState,
    Verdict,
)
from att.problems import BadCursor, Problem
from tests.att.git.forge.hub import git
from tests.att.git.forge.worlds import DEV, REV, WORLDS, World
from tests.att.rooms import on_a_loop

Test = Callable[[World], Awaitable[None]]


def at_each(test: Test) -> Callable[[str, Path], None]:
    """Run a test at each forge."""

    @pytest.mark.parametrize("kind", WORLDS)
    @on_a_loop
    async def run(kind: str, tmp_path: Path) -> None:
        async with WORLDS[kind](tmp_path) as world:
            await test(world)

    run.__name__ = test.__name__
    return run  # type: ignore[return-value]


def asks(number: int, **more: object) -> MergePull:
    return MergePull(project_id="app", number=number, **more)  # type: ignore[arg-type]


async def refused(kind: type[Problem], doing: Awaitable[object]) -> Problem:
    with pytest.raises(Problem) as caught:
        await doing
    assert type(caught.value) is kind, caught.value
    return caught.value


@at_each
async def test_a_pull_request_is_made_and_found_again(world: World) -> None:
    sha = await world.branch("feature")
    made = await world.pull()
    assert (made.number, made.state, made.author) == (1, PullState.OPEN, "dev")
    assert (made.head, made.head_sha, made.base, made.base_sha) == ("feature", sha, "main", world.tip())
    assert (await world.dev.pull(1)).title == "The feature"
    listed = await world.dev.pulls(ListPulls(project_id="app"))
    assert [pull.number for pull in listed.pulls] == [1]
    [event] = await world.rooms.told("git.pr.created")
    assert (event.project_id, event.actor, event.request_id) == ("app", "dev", "r-dev")
    assert event.payload["number"] == 1
    assert event.payload["head_sha"] == sha


@at_each
async def test_head_and_base_are_the_branch_of_now_and_the_usual_one(world: World) -> None:
    await world.branch("feature")
    made = await world.dev.create(CreatePull(project_id="app", title="T"), DEV)
    assert (made.head, made.base) == ("feature", "main")


@at_each
async def test_a_second_pull_request_for_the_same_branch_is_refused_by_name(world: World) -> None:
    await world.branch("feature")
    await world.pull()
    problem = await refused(errors.PullExists, world.pull())
    assert problem.extra["number"] == 1
    assert len(await world.rooms.told("git.pr.created")) == 1


@at_each
async def test_a_branch_that_the_forge_does_not_have_is_named(world: World) -> None:
    problem = await refused(errors.BranchNotOnForge, world.pull("nowhere"))
    assert problem.extra["branch"] == "nowhere"
    await world.branch("feature")
    wish = CreatePull(project_id="app", title="T", head="feature", base="nowhere")
    problem = await refused(errors.BranchNotOnForge, world.dev.create(wish, DEV))
    assert problem.extra["branch"] == "nowhere"


@at_each
async def test_a_branch_without_anything_new_is_refused(world: World) -> None:
    git(world.folder, "branch", "feature")
    await world.push("feature")
    await refused(errors.NothingToMerge, world.pull())


@at_each
async def test_what_is_not_there_is_not_found(world: World) -> None:
    await world.branch("feature")
    await world.pull()
    await refused(errors.PullNotFound, world.dev.pull(77))
    await refused(errors.PullNotFound, world.dev.merge(asks(77), DEV))
    await refused(errors.PullNotFound, world.dev.close(77, DEV))
    await refused(errors.PullNotFound, world.dev.reviews(77))
    await refused(errors.PullNotFound, world.dev.checks(ListChecks(project_id="app", number=77)))
    for run in ("999999", "nonsense"):
        await refused(errors.CheckNotFound, world.dev.log(ReadCheckLog(project_id="app", run=run)))
        await refused(errors.CheckNotFound, world.dev.cancel(run, DEV))
        await refused(errors.CheckNotFound, world.dev.rerun(run, DEV))


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("kind", WORLDS)
@on_a_loop
async def test_a_merge_brings_the_work_into_the_base(kind: str, method: Method, tmp_path: Path) -> None:
    async with WORLDS[kind](tmp_path) as world:
        head = await world.branch("feature")
        git(world.folder, "checkout", "-q", "main")
        world.write("other.txt", "meanwhile\n", "meanwhile")
        await world.push("main")
        base = world.tip()
        await world.pull()
        await world.checked(1)
        done = await world.dev.merge(asks(1, method=method, sha=head, title="A title of its own"), DEV)
        assert (done.number, done.method, done.sha, done.base) == (1, method, world.tip(), "main")
        log = world.log()
        assert {"meanwhile", "begin"} < set(log)
        parents = git(world.bare, "log", "-1", "--format=%P", done.sha).split()
        assert parents == {Method.MERGE: [base, head]}.get(method, [base])
        assert log[0] == ("work on feature" if method is Method.REBASE else "A title of its own")
        assert git(world.bare, "show", f"{done.sha}:work.txt") == "work"
        found = await world.dev.pull(1)
        assert (found.state, found.merge_sha) == (PullState.MERGED, done.sha)
        [event] = await world.rooms.told("git.pr.merged")
        assert (event.payload["merge_sha"], event.payload["method"]) == (done.sha, method.value)
        await refused(errors.PullNotOpen, world.dev.merge(asks(1), DEV))
        await refused(errors.PullNotOpen, world.dev.close(1, DEV))
        assert (await world.dev.pulls(ListPulls(project_id="app"))).pulls == []
        merged = await world.dev.pulls(ListPulls(project_id="app", state="merged"))
        assert [pull.number for pull in merged.pulls] == [1]


@at_each
async def test_a_branch_goes_with_its_merge_when_that_is_wished(world: World) -> None:
    await world.branch("feature")
    await world.pull()
    await world.checked(1)
    assert (await world.dev.merge(asks(1, delete_branch=True), DEV)).branch_deleted
    assert world.tip("feature") == ""


@at_each
async def test_a_head_that_moved_is_not_merged(world: World) -> None:
    seen = await world.branch("feature")
    await world.pull()
    moved = world.write("more.txt", "more\n")
    await world.push("feature")
    await world.checked(1)
    before = world.tip()
    problem = await refused(errors.HeadMoved, world.dev.merge(asks(1, sha=seen), DEV))
    assert problem.extra["head_sha"] == moved
    assert world.tip() == before
    assert await world.rooms.told("git.pr.merged") == []


@at_each
async def test_a_conflict_names_the_files_and_changes_nothing(world: World) -> None:
    await world.branch("feature", file="same name ü.txt", text="mine\n")
    git(world.folder, "checkout", "-q", "main")
    world.write("same name ü.txt", "theirs\n")
    await world.push("main")
    await world.pull()
    await world.checked(1)
    found = await world.dev.pull(1)
    assert (found.mergeable, found.conflicts) == (Mergeable.CONFLICT, ["same name ü.txt"])
    before = world.tip()
    problem = await refused(MergeConflict, world.dev.merge(asks(1), DEV))
    assert problem.extra["files"] == ["same name ü.txt"]
    assert world.tip() == before


@at_each
async def test_required_checks_must_pass_before_the_merge(world: World) -> None:
    if world.hub is not None:
        world.hub.required = True
    await world.branch("feature")
    await world.pull()
    pending = await refused(errors.ChecksPending, world.dev.merge(asks(1), DEV))
    assert pending.extra["checks"] == ["ci"]
    assert (await world.dev.pull(1)).mergeable is Mergeable.BLOCKED
    await world.checked(1, good=False)
    await refused(errors.ChecksFailed, world.dev.merge(asks(1), DEV))
    (world.rooms.home / "gate").unlink(missing_ok=True)
    world.write("mended.txt", "mended\n")
    await world.push("feature")
    await refused(errors.ChecksPending, world.dev.merge(asks(1), DEV))
    await world.checked(1)
    assert (await world.dev.pull(1)).mergeable is Mergeable.CLEAN
    await world.dev.merge(asks(1), DEV)


@at_each
async def test_required_reviews_come_from_others(world: World) -> None:
    if world.hub is not None:
        world.hub.reviews_required = 1
    git(world.folder, "checkout", "-q", "main")
    world.write("att.toml", "[git]\nreviews = 1\n")
    await world.push("main")
    await world.branch("feature")
    await world.pull()
    await world.checked(1)
    await refused(errors.ReviewRequired, world.dev.merge(asks(1), DEV))
    approve = AddReview(project_id="app", number=1, verdict=Verdict.APPROVE)
    await refused(errors.OwnReview, world.dev.review(approve, DEV))
    await world.rev.review(approve, REV)
    await world.dev.merge(asks(1), DEV)
    await refused(errors.PullNotOpen, world.rev.review(approve, REV))


@at_each
async def test_reviews_are_kept_in_order_with_what_they_say(world: World) -> None:
    sha = await world.branch("feature")
    await world.pull()
    for verdict, body in (
        (Verdict.REQUEST_CHANGES, "Mend `x` – ü"),
        (Verdict.COMMENT, "?"),
        (Verdict.APPROVE, ""),
    ):
        await world.rev.review(AddReview(project_id="app", number=1, verdict=verdict, body=body), REV)
    reviews = (await world.dev.reviews(1)).reviews
    assert [review.state for review in reviews] == [
        ReviewState.CHANGES_REQUESTED,
        ReviewState.COMMENTED,
        ReviewState.APPROVED,
    ]
    assert reviews[0].body == "Mend `x` – ü"
    assert {(review.author, review.commit_sha, review.number) for review in reviews} == {("rev", sha, 1)}
    assert len(await world.rooms.told("git.pr.reviewed")) == 3


@at_each
async def test_a_closed_pull_request_is_not_merged_and_makes_way(world: World) -> None:
    await world.branch("feature")
    await world.pull()
    assert (await world.dev.close(1, DEV)).state is PullState.CLOSED
    await refused(errors.PullNotOpen, world.dev.merge(asks(1), DEV))
    assert (await world.pull()).number == 2
    closed = await world.dev.pulls(ListPulls(project_id="app", state="closed"))
    assert [pull.number for pull in closed.pulls] == [1]
    assert len(await world.rooms.told("git.pr.closed")) == 1


@at_each
async def test_lists_are_paged_newest_first(world: World) -> None:
    for n in range(3):
        await world.branch(f"b{n}", file=f"{n}.txt")
        await world.pull(f"b{n}")
    first = await world.dev.pulls(ListPulls(project_id="app", limit=2))
    assert [pull.number for pull in first.pulls] == [3, 2]
    rest = await world.dev.pulls(ListPulls(project_id="app", limit=2, cursor=first.next_cursor))
    assert [pull.number for pull in rest.pulls] == [1]
    one = await world.dev.pulls(ListPulls(project_id="app", head="b1"))
    assert [pull.number for pull in one.pulls] == [2]
    for cursor in ("x", "9" * 30):
        await refused(BadCursor, world.dev.pulls(ListPulls(project_id="app", cursor=cursor)))


@at_each
async def test_checks_are_told_with_their_output(world: World) -> None:
    sha = await world.branch("feature")
    await world.pull()
    page = await world.dev.checks(ListChecks(project_id="app", number=1))
    [check] = page.checks
    assert (page.state, check.head_sha, check.branch, check.conclusion) == ("pending", sha, "feature", None)
    reading = ReadCheckLog(project_id="app", run=check.id)
    assert not (await world.dev.log(reading)).complete
    await world.checked(1)
    by_sha = await world.dev.checks(ListChecks(project_id="app", sha=sha))
    assert [each.conclusion for each in by_sha.checks] == ["success"]
    found = await world.dev.log(reading)
    assert found.complete
    assert "all is said" in found.text
    text, cursor = "", None
    while True:
        piece = await world.dev.log(reading.model_copy(update={"cursor": cursor, "limit": 7}))
        text, cursor = text + piece.text, piece.next_cursor
        if piece.complete:
            break
    assert text == found.text
    await refused(errors.CheckNotRunning, world.dev.cancel(check.id, DEV))
    await refused(BadCursor, world.dev.log(reading.model_copy(update={"cursor": "x"})))


@at_each
async def test_a_check_is_cancelled_and_run_again(world: World) -> None:
    await world.branch("feature")
    await world.pull()
    [check] = (await world.dev.checks(ListChecks(project_id="app", number=1))).checks
    await refused(errors.CheckRunning, world.dev.rerun(check.id, DEV))
    assert (await world.dev.cancel(check.id, DEV)).conclusion == "cancelled"
    again = await world.dev.rerun(check.id, DEV)
    assert (again.id, again.attempt, again.conclusion) == (check.id, 2, None)
    await world.checked(1)
