"""Remotes over HTTP, by git's own server: passwords, failures that pass, and connections that end in the middle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from att.git import errors
from tests.att.git.house import House, elsewhere, house, refused
from tests.att.git.served import Served, serving
from tests.att.project.repositories import git
from tests.att.rooms import on_a_loop
from tests.support import eventually, free_port


@contextmanager
def over_http(h: House, **named: Any) -> Iterator[tuple[Served, Path]]:
    """The project's remote is at an HTTP server; somebody else reaches it as files."""
    _, other = h.remote()
    with serving(h.root, **named) as served:
        h.by_hand("remote", "set-url", "origin", f"http://{served.host}/bare.git")
        yield served, other


def gits() -> list[str]:
    """The commands of the gits that run below this process."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            found.append(" ".join(child.cmdline()))
    return [line for line in found if "git" in line]


@on_a_loop
async def test_a_remote_over_http_is_fetched_pulled_and_pushed(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        with over_http(h) as (_, other):
            theirs = elsewhere(other, "theirs", "x")
            assert (await h.fetch()).updated[0].new == theirs
            assert (await h.pull()).result == "fast_forward"
            h.write("big", b"\0" * 3_000_000)  # more than git sends in one piece
            made = await h.commit()
            assert (await h.push()).result == "updated"
            assert git(h.root / "bare.git", "rev-parse", "main").strip() == made.id


@on_a_loop
async def test_a_remote_that_asks_for_a_password_is_told_and_nobody_is_asked(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        with over_http(h, user="ada", password="s3cr3t-pass") as (served, _):
            for ask in (h.fetch, h.pull, h.push):
                async with refused(errors.AuthFailed):
                    await ask()
            wrong = f"http://ada:wr0ng-pass@{served.host}/bare.git"
            h.by_hand("remote", "set-url", "origin", wrong)
            async with refused(errors.AuthFailed) as told:
                await h.push()
            assert "wr0ng" not in str(told.value.document())
            h.by_hand("remote", "set-url", "origin", f"http://ada:s3cr3t-pass@{served.host}/bare.git")
            await h.fetch()
            await h.commit("x", allow_empty=True)
            told_ = await h.push()
            said = "".join(event.model_dump_json() for event in await h.rooms.told("git.*"))
            assert "s3cr3t" not in said + told_.model_dump_json()


@on_a_loop
async def test_the_users_own_credential_helper_is_asked(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        with over_http(h, user="ada", password="s3cr3t-pass") as (served, _):
            helper = "!f() { echo username=ada; echo password=s3cr3t-pass; }; f"
            (tmp_path / "user" / ".gitconfig").write_text(f'[credential]\n\thelper = "{helper}"\n')
            assert (await h.fetch()).attempts == 1
            evil = f"!touch {tmp_path}/pwned; false"
            h.by_hand("config", "credential.helper", evil)
            h.by_hand("config", f"credential.http://{served.host}.helper", evil)
            assert (await h.fetch()).attempts == 1
            assert not (tmp_path / "pwned").exists()


@on_a_loop
async def test_what_fails_for_a_moment_is_tried_again_and_that_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        with over_http(h) as (served, other):
            theirs = elsewhere(other, "theirs", "x")
            served.fail = 2
            told = await h.fetch()
            assert (told.attempts, told.updated[0].new) == (3, theirs)
            served.fail = 1
            assert (await h.pull()).attempts == 2
            await h.commit("x", allow_empty=True)
            served.fail = 1
            pushed = await h.push()
            assert (pushed.attempts, pushed.result) == (2, "updated")
            served.fail = 100
            for ask in (h.fetch, h.pull, h.push):
                async with refused(errors.RemoteUnreachable) as failed:
                    await ask()
                assert failed.value.extra["attempts"] == 3


@on_a_loop
async def test_a_remote_that_nobody_serves_is_unreachable(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.by_hand("remote", "add", "origin", f"http://127.0.0.1:{free_port()}/x.git")
        for ask in (h.fetch, h.push):
            async with refused(errors.RemoteUnreachable) as told:
                await ask()
            assert told.value.extra["attempts"] == 3


@on_a_loop
async def test_a_fetch_that_breaks_off_is_tried_again_a_push_is_not(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        with over_http(h) as (served, other):
            theirs = elsewhere(other, "theirs", "x" * 10_000)
            served.cut = 1
            told = await h.fetch()
            assert (told.attempts, told.updated[0].new) == (2, theirs)
            await h.pull()
            await h.commit("x", allow_empty=True)
            served.asked.clear()
            served.cut = 1
            async with refused(errors.RemoteBrokeOff) as broken:
                await h.push()
            assert broken.value.extra["attempts"] == 1
            assert sum(asked.startswith("POST") for asked in served.asked) == 1
            assert (await h.push()).result == "up_to_date"  # it had come through


@on_a_loop
async def test_a_cancelled_fetch_leaves_no_git_and_frees_the_repository(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        with over_http(h, hang=threading.Event()):
            fetching = asyncio.create_task(h.fetch())
            await eventually(lambda: any("remote-http" in line for line in gits()))
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            assert gits() == []
            await asyncio.wait_for(h.commit("free", allow_empty=True), 10)


@on_a_loop
async def test_a_repository_that_a_server_does_not_have(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        with over_http(h) as (served, _):
            h.by_hand("remote", "set-url", "origin", f"http://{served.host}/none.git")
            for ask in (h.fetch, h.pull, h.push):
                async with refused(errors.RemoteMissing):
                    await ask()


@on_a_loop
async def test_a_servers_own_refusal_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        with over_http(h):
            hook = h.root / "bare.git" / "hooks" / "pre-receive"
            hook.parent.mkdir(exist_ok=True)
            hook.write_text("#!/bin/sh\necho main is protected >&2\nexit 1\n")
            hook.chmod(0o755)
            await h.commit("x", allow_empty=True)
            async with refused(errors.PushRejected) as told:
                await h.push()
            assert "main is protected" in told.value.detail
