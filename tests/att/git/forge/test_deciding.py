"""The files of the forge that decide: limits and retries, remotes, what may be merged, cursors of texts, which command checks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from att.git.errors import MergeConflict
from att.git.forge import ci, errors
from att.git.forge.models import (
    Check,
    Conclusion,
    CreatePull,
    Mergeable,
    PullState,
    Review,
    ReviewState,
    Status,
)
from att.git.forge.pages import piece, whole
from att.git.forge.policy import GiveUp, Limited, Policy, Wait, again, blocked_until, decide, limited_until
from att.git.forge.remote import Repository, choose, local_path, repository
from att.git.forge.verdict import Rules, Situation, approvals, mergeable, objection, sum_of
from att.problems import BadCursor

GITHUB = "https://api.github.com"
SHA, OTHER = "a" * 40, "b" * 40

# -- limits and retries


def after(
    status: int, headers: dict[str, str], message: str = "", attempt: int = 1, waited: float = 0
) -> object:
    return decide(Policy(), status, headers, message, attempt=attempt, waited=waited, now=1000.0)


def test_a_fault_of_the_server_is_tried_again_a_few_times_ever_later() -> None:
    assert [after(502, {}, attempt=n) for n in (1, 2, 3)] == [Wait(0.5), Wait(1.0), Wait(2.0)]
    assert after(502, {}, attempt=4) == GiveUp()
    assert after(502, {}, waited=19.8) == GiveUp()


def test_a_limit_is_waited_for_when_that_is_short_and_told_when_it_is_long() -> None:
    assert after(403, {"retry-after": "3"}, "secondary rate limit") == Wait(3.0)
    assert after(429, {"retry-after": "3600"}) == Limited(4600.0)
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1005"}
    assert after(403, spent) == Wait(6.0)
    assert after(403, {**spent, "x-ratelimit-reset": "2000"}) == Limited(2001.0)
    assert after(403, {}, "You have exceeded a secondary rate limit") == Limited(1060.0)


def test_a_refusal_is_no_limit() -> None:
    assert after(403, {"x-ratelimit-remaining": "12"}, "Resource not accessible") == GiveUp()
    assert after(404, {"retry-after": "1"}) == GiveUp()
    assert limited_until(403, {"retry-after": "soon"}, "", 0) is None


@given(
    status=some.integers(400, 599),
    headers=some.dictionaries(
        some.sampled_from(["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset"]),
        some.one_of(some.integers(-10, 10**12).map(str), some.text(max_size=5)),
    ),
    message=some.sampled_from(["", "rate limit", "no"]),
)
def test_trying_again_ends_within_its_bounds_whatever_is_answered(
    status: int, headers: dict[str, str], message: str
) -> None:
    policy, waited, attempt, now = Policy(), 0.0, 0, 1000.0
    while True:
        attempt += 1
        answer = decide(policy, status, headers, message, attempt=attempt, waited=waited, now=now)
        if not isinstance(answer, Wait):
            break
        waited, now = waited + answer.seconds, now + answer.seconds
    assert attempt <= policy.attempts
    assert waited <= policy.patience
    assert not isinstance(answer, Limited) or answer.retry_at >= now


def test_no_request_is_made_before_a_used_up_quota_is_new() -> None:
    assert blocked_until(0, 1010, 1000) == 1011
    assert blocked_until(1, 1010, 1000) is None
    assert blocked_until(0, 990, 1000) is None
    assert again(Policy(attempts=1), attempt=1, waited=0) == GiveUp()


# -- remotes


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/octo/app.git",
        "https://github.com/octo/app",
        "https://user:secret@github.com/octo/app.git/",
        "git@github.com:octo/app.git",
        "ssh://git@github.com/octo/app.git",
        "ssh://git@ssh.github.com:443/octo/app.git",
        "https://GITHUB.com/octo/app",
        "https://www.github.com/octo/app",
    ],
)
def test_a_repository_at_github_is_known_by_each_of_its_urls(url: str) -> None:
    assert repository(url, GITHUB) == Repository("octo", "app")


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com.evil.example/octo/app",
        "https://evil.example/github.com/app",
        "https://github.com:8443/octo/app",
        "https://github.com/octo",
        "https://github.com/octo/app/more",
        "https://github.com/../app",
        "https://gitlab.com/octo/app",
        "/srv/github.com/octo/app",
        "file:///github.com/octo/app",
        "C:/octo/app",
        "",
    ],
)
def test_what_is_not_at_github_is_not_taken_for_it(url: str) -> None:
    assert repository(url, GITHUB) is None
    assert choose("auto", url, GITHUB) is None
    with pytest.raises(errors.NoForge):
        choose("github", url, GITHUB)


def test_an_enterprise_and_a_port_are_told_apart() -> None:
    api = "https://git.example.org/api/v3"
    assert repository("git@git.example.org:octo/app.git", api) == Repository("octo", "app")
    assert repository("https://github.com/octo/app", api) is None
    assert repository("http://127.0.0.1:81/octo/app", "http://127.0.0.1:80") is None
    assert choose("local", "https://github.com/octo/app", GITHUB) is None


def test_a_refusal_does_not_tell_the_password_of_a_remote() -> None:
    with pytest.raises(errors.NoForge) as caught:
        choose("github", "https://me:hunter2@example.org/octo/app", GITHUB)
    assert "hunter2" not in str(caught.value.document())


@given(some.text(max_size=80))
def test_any_text_is_a_remote_or_not(url: str) -> None:
    found = repository(url, GITHUB)
    assert found is None or "/" not in found.owner + found.name
    assert local_path(url) is None or found is None


# -- what may be merged


def check(
    name: str = "ci", conclusion: Conclusion | None = Conclusion.SUCCESS, at: str = "1", **more: Any
) -> Check:
    status = Status.COMPLETED if conclusion else Status.IN_PROGRESS
    fixed = {"id": f"x{at}", "started_at": None, "ended_at": None, "created_at": at, "head_sha": SHA}
    return Check(name=name, status=status, conclusion=conclusion, **{**fixed, **more})


def review(author: str, state: ReviewState) -> Review:
    return Review(id="1", number=1, author=author, state=state, body="", commit_sha=SHA, submitted_at=None)


def situation(**more: Any) -> Situation:
    usual: dict[str, Any] = {
        "number": 1,
        "state": PullState.OPEN,
        "author": "dev",
        "head_sha": SHA,
        "ahead": True,
    }
    return Situation(**{**usual, "conflicts": None, "checks": [check()], "reviews": [], **more})


@pytest.mark.parametrize(
    ("now", "rules", "sha", "kind", "word"),
    [
        (situation(), Rules(), SHA, type(None), Mergeable.CLEAN),
        (situation(state=PullState.CLOSED), Rules(), None, errors.PullNotOpen, Mergeable.UNKNOWN),
        (situation(), Rules(), OTHER, errors.HeadMoved, Mergeable.CLEAN),
        (situation(ahead=False), Rules(), None, errors.NothingToMerge, Mergeable.UNKNOWN),
        (situation(conflicts=["a"]), Rules(), None, MergeConflict, Mergeable.CONFLICT),
        (situation(conflicts=[]), Rules(), None, MergeConflict, Mergeable.CONFLICT),
        (situation(checks=[check(conclusion=None)]), Rules(), None, errors.ChecksPending, Mergeable.BLOCKED),
        (
            situation(checks=[check(conclusion=Conclusion.CANCELLED)]),
            Rules(),
            None,
            errors.ChecksFailed,
            Mergeable.BLOCKED,
        ),
        (situation(checks=[]), Rules(), None, type(None), Mergeable.CLEAN),
        (situation(checks=[check(conclusion=None)]), Rules(checks=False), None, type(None), Mergeable.CLEAN),
        (situation(), Rules(reviews=1), None, errors.ReviewRequired, Mergeable.BLOCKED),
    ],
)
def test_each_reason_not_to_merge_has_its_own_answer(
    now: Situation, rules: Rules, sha: str | None, kind: type, word: Mergeable
) -> None:
    assert type(objection(now, rules, sha)) is kind
    assert mergeable(now, rules) is word


def test_of_a_check_that_was_run_again_the_last_run_counts() -> None:
    failed = check(conclusion=Conclusion.FAILURE, at="1")
    assert sum_of([check(at="2"), failed]) == "success"
    assert sum_of([failed, check("lint", None, "2")]) == "failure"
    assert sum_of([check(), check("lint", None, "2")]) == "pending"
    assert sum_of([]) == "none"


def test_the_last_word_of_each_reviewer_counts_and_the_authors_does_not() -> None:
    said = [
        review("rev", ReviewState.CHANGES_REQUESTED),
        review("rev", ReviewState.APPROVED),
        review("rev", ReviewState.COMMENTED),
        review("dev", ReviewState.APPROVED),
        review("eve", ReviewState.DISMISSED),
    ]
    assert approvals(said, "dev") == (1, [])
    against = [*said, review("eve", ReviewState.CHANGES_REQUESTED)]
    assert type(objection(situation(reviews=against), Rules(reviews=1))) is errors.ReviewRequired
    assert objection(situation(reviews=said), Rules(reviews=1)) is None


# -- cursors of texts


@given(some.text(max_size=200), some.integers(4, 40))
def test_a_text_is_read_whole_in_pieces_of_whole_characters(text: str, limit: int) -> None:
    data = text.encode("utf-8", "replace")
    read, cursor = "", None
    while True:
        found = piece(data, cursor, limit, 0)
        assert "\ufffd" not in found.text or "\ufffd" in text
        assert found.last or found.next_cursor != cursor
        read, cursor = read + found.text, found.next_cursor
        if found.last:
            break
    assert read == data.decode()


@given(some.binary(max_size=12))
def test_of_any_bytes_at_most_the_beginning_of_a_character_is_held_back(data: bytes) -> None:
    assert data.startswith(whole(data, end=False))
    assert len(data) - len(whole(data, end=False)) <= 3
    assert whole(data, end=True) == data


@given(some.text(max_size=20))
def test_a_cursor_is_a_number_or_refused(cursor: str) -> None:
    try:
        piece(b"text", cursor, 10, 0)
    except BadCursor:
        assert not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 15)


# -- which command checks


def test_the_command_is_what_is_said_or_what_is_found() -> None:
    said = ci.parse('[runtime]\nport = 1\n[ci]\ncommand = ["make", "check"]\n')
    assert ci.command(said.ci, {".ci/run": ci.EXECUTABLE}) == ("make", "check")
    usual = ci.CiSettings()
    assert ci.command(usual, {".ci/run": ci.EXECUTABLE, "tests": "040000"}) == ("./.ci/run",)
    assert ci.command(usual, {".ci/run": "100644", "tests": "040000"}) == ci.PYTEST
    assert ci.command(usual, {"att.toml": "100644"}) is None


@pytest.mark.parametrize(
    "text",
    [
        "[ci]\ncomand = ['x']",
        "[ci]\ncommand = []",
        "[ci]\ntimeout = 0",
        "[git]\nforge = 'gitlab'",
        "ci = 1",
        "[ci",
        "[git]\ngithub_token = 'x'",
        "[git]\ngithub_url = 'https://evil.example'",
    ],
)
def test_what_is_not_understood_in_att_toml_is_refused_by_name(text: str) -> None:
    with pytest.raises(errors.InvalidForgeSettings):
        ci.parse(text)


@pytest.mark.parametrize(
    "wish", [{"head": "a b"}, {"head": "a\0"}, {"base": ""}, {"title": " \n"}, {"title": "T\0"}]
)
def test_what_git_could_not_keep_is_refused_at_the_door(wish: dict[str, str]) -> None:
    CreatePull(project_id="app", title=" Tïtle ", head="a/b-ü@x{", base="-x")
    with pytest.raises(ValidationError):
        CreatePull.model_validate({"project_id": "app", "title": "T", **wish})
