"""Fetching archives: from no local address, by no way round, and with a name for all that a server does wrong."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import IO

import pytest
from aiohttp import web

from att.project import errors, importing
from att.project.download import is_local
from att.store.errors import DiskFull
from tests.att.project.archives import download, left, served, zipped
from tests.att.rooms import on_a_loop, rooms


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "１２７.0.0.1",  # digits of another width, which are made plain on the way
        "127。0。0。1",
        "①②⑦.0.0.1",
    ],
)
@on_a_loop
async def test_a_local_address_is_not_asked(tmp_path: Path, host: str) -> None:
    asked = []

    async def seen(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(body=zipped({"a": "a"}))

    async with rooms(tmp_path) as house, served({"/a.zip": seen}) as url:
        port = url.rpartition(":")[2]
        with pytest.raises((errors.AddressRefused, errors.DownloadUrlRefused)):
            await download(house, url=f"http://{host}:{port}/a.zip")
        assert asked == [] and left(house) == set()


@on_a_loop
async def test_a_redirect_is_judged_as_the_first_address_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first host is taken for a public one; where it sends on to is not."""
    asked = []

    async def away(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        raise web.HTTPFound(f"http://localhost:{request.url.port}/secret")

    monkeypatch.setattr("att.project.download.is_local", lambda address: (not asked and False) or bool(asked))
    async with rooms(tmp_path) as house, served({"/a.zip": away, "/secret": zipped({"a": "a"})}) as url:
        with pytest.raises(errors.AddressRefused):
            await download(house, url=f"{url}/a.zip")
        assert asked == ["/a.zip"] and left(house) == set()


@on_a_loop
async def test_what_a_server_does_wrong_has_a_name(tmp_path: Path) -> None:
    async def round_and_round(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/round")

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("file:///etc/passwd")

    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(b"PK")
        assert request.transport is not None
        request.transport.close()
        return response

    async def huge(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(1 << 40)})
        await response.prepare(request)
        return response

    routes = {"/round": round_and_round, "/file": elsewhere, "/broken": broken, "/huge": huge}
    wanted = {
        "/round": errors.DownloadFailed,
        "/file": errors.DownloadUrlRefused,
        "/broken": errors.DownloadFailed,
        "/huge": errors.ArchiveTooLarge,
        "/none": errors.DownloadFailed,
    }
    async with rooms(tmp_path, fetch_local=True) as house, served(routes) as url:
        for path, kind in wanted.items():
            with pytest.raises(kind):
                await download(house, url=url + path, name="got")
            assert left(house) == set()


def always_full(_: Path) -> IO[bytes]:
    return Path("/dev/full").open("wb", buffering=0)


@on_a_loop
async def test_a_full_disk_is_told_as_that_wherever_it_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = zipped({"a": os.urandom(200_000)})
    async with rooms(tmp_path, fetch_local=True) as house, served({"/a.zip": packed}) as url:
        with monkeypatch.context() as patch:  # while it is fetched
            patch.setattr(importing, "_nameless", always_full)
            with pytest.raises(DiskFull):
                await download(house, url=f"{url}/a.zip")
        real = os.open

        def full(path: str, flags: int, *more: int, **named: int) -> int:
            return real("/dev/full" if Path(path).name == "a" else path, flags & ~os.O_EXCL, *more, **named)

        monkeypatch.setattr(os, "open", full)  # while it is unpacked
        with pytest.raises(DiskFull):
            await download(house, url=f"{url}/a.zip")
        assert left(house) == set()


@on_a_loop
async def test_a_server_that_is_silent_is_left_in_the_end(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    async with (
        rooms(tmp_path, fetch_local=True, clone_timeout=0.2) as house,
        served({"/a.zip": silent}) as url,
    ):
        with pytest.raises(errors.DownloadTimedOut):
            await download(house, url=f"{url}/a.zip")
        over.set()
        assert left(house) == set()


@on_a_loop
async def test_a_download_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        begun.set()
        await over.wait()
        return web.Response()

    async with rooms(tmp_path, fetch_local=True) as house, served({"/a.zip": slow}) as url:
        task = asyncio.create_task(download(house, url=f"{url}/a.zip"))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        over.set()
        assert left(house) == set() and (await house.projects.page()).projects == []


@pytest.mark.parametrize(
    ("address", "local"),
    [
        *[
            (a, True)
            for a in (
                "127.0.0.1",
                "127.9.9.9",
                "::1",
                "0.0.0.0",
                "0.1.2.3",
                "::",
                "169.254.1.1",
                "fe80::1%eth0",
            )
        ],
        *[
            (a, True)
            for a in (
                "::ffff:127.0.0.1",
                "::127.0.0.1",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
                "224.0.0.1",
                "fec0::1",
            )
        ],
        *[
            (a, False)
            for a in (
                "93.184.216.34",
                "10.1.2.3",
                "192.168.1.1",
                "2606:4700::1111",
                "::ffff:8.8.8.8",
                "fd00::1",
            )
        ],
    ],
)
def test_an_address_that_means_this_machine_or_its_link_is_known(address: str, local: bool) -> None:
    assert is_local(address) is local
