"""GitHub in particular: quota, limits, lost answers, where the token goes, logs in a zip, requests as GitHub describes them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from att.git.forge import archive, errors
from att.git.forge.client import Client
from att.git.forge.models import (
    AddReview,
    ListChecks,
    ListPulls,
    ReadCheckLog,
    Verdict,
)
from att.git.forge.policy import Policy
from tests.att.git.forge.description import CUT, Description, fetch
from tests.att.git.forge.hub import Fault, Hub, git
from tests.att.git.forge.serving import serving
from tests.att.git.forge.test_forge import asks, refused
from tests.att.git.forge.worlds import DEV, REV, forges, github
from tests.att.rooms import on_a_loop
from tests.support import free_port

LIST = ListPulls(project_id="app")
GET = "/repos/{owner}/{repo}"
NAMES = {"owner": "octo", "repo": "app"}


class Time:
    """A clock that goes on by sleeping only."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@asynccontextmanager
async def client(tmp_path: Path, token: str = "token-of-dev") -> AsyncIterator[tuple[Hub, Client, Time]]:
    async with serving(tmp_path) as hub:
        time = Time()
        hub.reset = int(time.now) + 3000
        made = Client(hub.api, token, policy=Policy(), clock=time, sleep=time.sleep)
        try:
            yield hub, made, time
        finally:
            await made.aclose()


@on_a_loop
async def test_asking_again_for_what_has_not_changed_costs_no_quota(tmp_path: Path) -> None:
    async with client(tmp_path) as (hub, made, _):
        for _ in range(5):
            assert (await made.get(GET, **NAMES))["full_name"] == "octo/app"
        assert (hub.not_modified, hub.remaining) == (4, 4999)


@on_a_loop
async def test_faults_and_short_limits_are_waited_out(tmp_path: Path) -> None:
    async with client(tmp_path) as (hub, made, time):
        hub.faults = [
            Fault(502),
            Fault(403, {"Retry-After": "7"}, "You have exceeded a secondary rate limit"),
            Fault(503),
        ]
        assert (await made.get(GET, **NAMES))["default_branch"] == "main"
        assert time.slept == [0.5, 7.0, 2.0]


@on_a_loop
async def test_a_used_up_quota_is_told_with_its_end_and_nothing_more_is_asked(tmp_path: Path) -> None:
    async with client(tmp_path) as (hub, made, time):
        hub.remaining = 0
        for _ in range(3):
            problem = await refused(errors.RateLimited, made.get(GET, **NAMES))
            assert datetime.fromisoformat(problem.extra["retry_at"]).timestamp() == hub.reset + 1
        assert len(hub.asked) == 1
        hub.remaining, time.now = 5000, hub.reset + 2.0
        await made.get(GET, **NAMES)


@on_a_loop
async def test_a_long_secondary_limit_holds_back_what_comes_after_it(tmp_path: Path) -> None:
    async with client(tmp_path) as (hub, made, time):
        hub.faults = [Fault(429, {"Retry-After": "600"}, "slow down")]
        await refused(errors.RateLimited, made.get(GET, **NAMES))
        await refused(errors.RateLimited, made.get(GET, **NAMES))
        assert len(hub.asked) == 1
        time.now += 601
        await made.get(GET, **NAMES)


@on_a_loop
async def test_a_server_that_stays_broken_is_given_up(tmp_path: Path) -> None:
    async with client(tmp_path) as (hub, made, time):
        hub.faults = [Fault(502)] * 9
        await refused(errors.ForgeUnreachable, made.get(GET, **NAMES))
        assert (len(hub.asked), len(time.slept)) == (4, 3)


@on_a_loop
async def test_nobody_there_is_said_so() -> None:
    time = Time()
    made = Client(f"http://127.0.0.1:{free_port()}", None, clock=time, sleep=time.sleep)
    await refused(errors.ForgeUnreachable, made.get(GET, **NAMES))
    await made.aclose()
    assert len(time.slept) == 3


@on_a_loop
async def test_a_wrong_token_is_refused_and_never_told(tmp_path: Path) -> None:
    async with github(tmp_path) as world:
        assert world.hub is not None
        service = forges(world.rooms, github_url=world.hub.api, token="ghp_wrongwrongwrongwrong")
        problem = await refused(errors.ForgeUnauthorized, (await service.of("app")).pulls(LIST))
        assert "wrong" not in str(problem.document())
        await service.aclose()


@on_a_loop
async def test_a_token_by_reference_is_looked_up_and_a_missing_one_is_named(tmp_path: Path) -> None:
    async with github(tmp_path) as world:
        assert world.hub is not None
        (world.rooms.home / "hub-token").write_text("token-of-dev\n")
        for token, environ in (("${file:hub-token}", {}), ("${env:HUB}", {"HUB": "token-of-dev"})):
            service = forges(world.rooms, environ, github_url=world.hub.api, token=token)
            assert (await (await service.of("app")).pulls(LIST)).pulls == []
            await service.aclose()
        service = forges(world.rooms, {}, github_url=world.hub.api, token="${env:NOT_SET}")
        problem = await refused(errors.ForgeTokenMissing, service.of("app"))
        assert "NOT_SET" in problem.detail


@on_a_loop
async def test_an_answer_that_was_lost_does_not_make_two_of_anything(tmp_path: Path) -> None:
    async with github(tmp_path) as world:
        assert world.hub is not None
        await world.branch("feature")
        world.hub.faults = [Fault(502, after=True, method="POST")]
        assert (await world.pull()).number == 1
        assert len(await world.rooms.told("git.pr.created")) == len(world.hub.pulls) == 1
        world.hub.faults = [Fault(502, after=True, method="POST")]
        comment = AddReview(project_id="app", number=1, verdict=Verdict.COMMENT, body="Well.")
        await refused(errors.ForgeUnreachable, world.rev.review(comment, REV))
        assert len(world.hub.reviews[1]) == 1
        world.hub.faults = [Fault(502, after=True, method="PUT")]
        done = await world.dev.merge(asks(1), DEV)
        assert world.tip() == done.sha
        assert len(await world.rooms.told("git.pr.merged")) == 1


@on_a_loop
async def test_a_head_that_moves_in_the_middle_of_a_merge_is_not_merged(tmp_path: Path) -> None:
    async with github(tmp_path) as world:
        assert world.hub is not None
        await world.branch("feature")
        await world.pull()
        before = world.tip()
        world.hub.faults = [Fault(409, message="Head branch was modified.", method="PUT")]
        await refused(errors.HeadMoved, world.dev.merge(asks(1), DEV))
        assert world.tip() == before


@on_a_loop
async def test_logs_are_fetched_once_and_without_the_token(tmp_path: Path) -> None:
    async with github(tmp_path) as world:
        assert world.hub is not None
        await world.branch("feature")
        await world.pull()
        [check] = (await world.dev.checks(ListChecks(project_id="app", number=1))).checks
        world.hub.finish("failure", "FAILED ü\n")
        reading = ReadCheckLog(project_id="app", run=check.id)
        for _ in range(3):
            found = await world.dev.log(reading)
            assert (found.text, found.conclusion) == ("== 1_test ==\nFAILED ü\n", "failure")
        assert sum(path.endswith("/logs") for _, path, _ in world.hub.asked) == 1
        assert not world.hub.leaked
        world.hub.logs.clear()
        world.hub.runs[int(check.id)]["run_attempt"] = 2
        await refused(errors.LogGone, world.dev.log(reading))


@on_a_loop
async def test_checks_of_other_apps_are_told_beside_the_runs_of_actions(tmp_path: Path) -> None:
    async with github(tmp_path) as world:
        assert world.hub is not None
        sha = await world.branch("feature")
        await world.pull()
        world.hub.finish("success")
        usual = {"head_sha": sha, "status": "completed", "started_at": None, "completed_at": None}
        output = {"title": "one hole", "summary": "in x.py", "text": None}
        world.hub.check_runs = [
            {
                **usual,
                "id": 5,
                "name": "scan",
                "conclusion": "failure",
                "app": {"slug": "scan"},
                "output": output,
            },
            {**usual, "id": 6, "name": "job", "conclusion": "success", "app": {"slug": "github-actions"}},
        ]
        page = await world.dev.checks(ListChecks(project_id="app", sha=sha))
        assert {check.name: check.conclusion for check in page.checks} == {"ci": "success", "scan": "failure"}
        assert page.state == "failure"
        assert (await world.dev.log(ReadCheckLog(project_id="app", run="c5"))).text == "one hole\nin x.py"
        assert (await world.dev.checks(ListChecks(project_id="app", sha="f" * 40))).checks == []


@on_a_loop
async def test_a_merge_waits_until_github_knows_whether_it_can(tmp_path: Path) -> None:
    async with github(tmp_path) as world:
        assert world.hub is not None
        await world.branch("feature")
        await world.pull()
        world.hub.undecided = 1
        assert (await world.dev.merge(asks(1), DEV)).sha == world.tip()


@on_a_loop
async def test_an_enterprise_is_asked_below_its_own_path(tmp_path: Path) -> None:
    async with github(tmp_path, prefix="/api/v3") as world:
        await world.branch("feature")
        assert (await world.pull()).number == 1


@on_a_loop
async def test_a_project_does_not_choose_where_the_token_goes(tmp_path: Path) -> None:
    async with github(tmp_path) as world, serving(tmp_path / "evil") as evil:
        assert world.hub is not None
        toml = world.folder / "att.toml"
        toml.write_text(f"[git]\ngithub_url = '{evil.api}'\n")
        service = forges(world.rooms, github_url=world.hub.api, token="token-of-dev")
        await refused(errors.InvalidForgeSettings, service.of("app"))
        toml.unlink()
        git(world.folder, "remote", "set-url", "origin", evil.url)
        toml.write_text("[git]\nforge = 'github'\n")
        await refused(errors.NoForge, service.of("app"))
        assert evil.asked == []
        await service.aclose()


# -- the archive of a log


def packed(**files: str) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in files.items():
            zipped.writestr(name.replace("__", "/"), text)
    out.seek(0)
    return out


def test_jobs_are_told_in_their_order_without_their_steps_twice() -> None:
    text, left_out = archive.read(packed(**{"10_z.txt": "ten\n", "2_a.txt": "two", "a__1.txt": "step"}))
    assert (text, left_out) == (b"== 2_a ==\ntwo\n== 10_z ==\nten\n", 0)


def test_a_bomb_is_unpacked_to_its_bound_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST", 1 << 20)
    text, left_out = archive.read(packed(**{"1_a.txt": "0" * (64 << 20), "2_b.txt": "never"}))
    assert len(text) <= (1 << 20) + 64
    assert left_out >= 63 << 20
    assert b"never" not in text


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive_is_no_log(content: bytes) -> None:
    with pytest.raises(errors.LogGone):
        archive.read(io.BytesIO(content))


# -- GitHub's description


@pytest.fixture(scope="module")
def description() -> Description:
    found = Description.load()
    if found is None:
        pytest.skip(fetch() or f"{CUT.name} is not there")
    return found


def test_requests_are_held_against_githubs_own_description(description: Description) -> None:
    good = b'{"title": "T", "head": "f", "base": "main", "body": ""}'
    assert description.faults("POST", "/repos/octo/app/pulls", {}, good) == []
    assert description.faults("GET", "/repos/octo/app/pulls", {"state": "all", "page": "2"}, b"") == []
    assert description.faults("DELETE", "/repos/octo/app/git/refs/heads/a/b", {}, b"") == []
    for method, path, query, body in (
        ("POST", "/repos/octo/app/pulls", {}, b'{"title": "T", "head": "f"}'),
        ("POST", "/repos/octo/app/pulls", {}, b'{"titel": "T", "head": "f", "base": "main"}'),
        ("POST", "/repos/octo/app/pulls", {}, b""),
        ("GET", "/repos/octo/app/pulls", {"state": "merged"}, b""),
        ("GET", "/repos/octo/app/pulls", {"number": "1"}, b""),
        ("PUT", "/repos/octo/app/pulls/1/merge", {}, b'{"merge_method": "fast"}'),
        ("GET", "/repos/octo/app/pulls/one", {}, b""),
        ("POST", "/repos/octo/app/actions/runs/1/logs", {}, b""),
    ):
        assert description.faults(method, path, query, body), (method, path, query, body)


@on_a_loop
async def test_a_request_that_github_would_not_take_is_caught(
    description: Description, tmp_path: Path
) -> None:
    async with client(tmp_path) as (hub, made, _):
        await made.get(GET + "/pulls{?state}", state="merged", **NAMES)
        assert len(hub.invalid) == 1
        hub.invalid.clear()
