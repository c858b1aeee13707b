"""Archives of every kind, good and bad, and a server on loopback to fetch them from."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from att.problems import InvalidRequest, Problem
from att.project.models import DownloadProject
from att.project.operations import room
from tests.att.rooms import CALL, Rooms

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def zipped(files: Mapping[str, bytes | str], kind: int = zipfile.ZIP_DEFLATED, mode: int = 0o100644) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as packed:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = kind
            packed.writestr(info, content)
    return out.getvalue()


def tarred(entries: list[tarfile.TarInfo | tuple[str, bytes]], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for entry in entries:
            if isinstance(entry, tuple):
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                tar.addfile(info, io.BytesIO(entry[1]))
            else:
                tar.addfile(entry)
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def link(name: str, target: str) -> tarfile.TarInfo:
    return special(name, tarfile.SYMTYPE, target)


@asynccontextmanager
async def served(routes: Mapping[str, bytes | Handler]) -> AsyncIterator[str]:
    """The URL of a server on loopback that answers with these."""
    app = web.Application()
    for path, answer in routes.items():
        app.router.add_get(path, answer if callable(answer) else _body(answer))
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def _body(content: bytes) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=content)

    return answer


DECLARED = {kind for o in room.operations if o.name == "project.download" for kind in o.errors}


async def download(house: Rooms, **asked: Any) -> Any:
    try:
        return await house.projects.download(DownloadProject.model_validate(asked), CALL)
    except Problem as problem:
        assert type(problem) in DECLARED or type(problem) is InvalidRequest, type(problem)
        raise


def put(house: Rooms, content: bytes, name: str = "x.zip") -> str:
    (house.home / "projects").mkdir(exist_ok=True)
    path = house.home / "projects" / name
    path.write_bytes(content)
    return str(path)


def left(house: Rooms) -> set[str]:
    return {path.name for path in (house.home / "projects").iterdir()}
