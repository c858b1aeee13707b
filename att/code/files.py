"""The service of the code room: each change of a file goes through here and is told as an event, without its content.

All that touches the disk runs in a thread. The event is recorded once the change is on disk; the answer comes after both.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from pathlib import Path
from typing import Any

from att.bulk import LARGE, aside
from att.catalogue import Call
from att.code import content
from att.code.errors import FileChanged
from att.code.globs import Rules
from att.code.models import (
    AskDiff,
    DeletedFile,
    DeleteFile,
    Diff,
    Encoding,
    FileContent,
    FileEntry,
    FilePage,
    Kind,
    ListFiles,
    Matches,
    MovedFile,
    MoveFile,
    ReadFile,
    SearchFiles,
    WriteFile,
    WrittenFile,
)
from att.code.tree import Node, Tree
from att.confine import Inside, PathTaken, problem_of
from att.event.files import Change, changed
from att.event.log import EventLog
from att.problems import BadCursor, InvalidRequest, Problem
from att.project.projects import Projects


class Code:
    def __init__(self, projects: Projects, events: EventLog) -> None:
        self._projects = projects
        self._events = events
        self._searches = asyncio.Semaphore(2)

    async def list(self, ask: ListFiles) -> FilePage:
        return await asyncio.to_thread(_page, await self._projects.path(ask.project_id), ask)

    async def read(self, ask: ReadFile) -> FileContent:
        piece = await asyncio.to_thread(_read, await self._projects.path(ask.project_id), ask)
        told = (piece, ask.path, ask.encoding)
        return (
            await aside(content.content_of, *told) if len(piece.data) > LARGE else content.content_of(*told)
        )

    async def write(self, ask: WriteFile, call: Call) -> WrittenFile:
        folder = await self._projects.path(ask.project_id)
        data = await aside(_data, ask) if len(ask.content) > LARGE else _data(ask)
        written = await asyncio.to_thread(_write, folder, ask, data)
        change: Change = "created" if written.created else "modified"
        await self._tell(
            ask.project_id, call, changed(change, [written.path], etag=written.etag, size=written.size)
        )
        return written

    async def delete(self, ask: DeleteFile, call: Call) -> DeletedFile:
        folder = await self._projects.path(ask.project_id)
        check = content.checks(ask.if_match)
        directory = await asyncio.to_thread(
            Inside(folder).remove, ask.path, recursive=ask.recursive, check=check
        )
        await self._tell(ask.project_id, call, changed("deleted", [ask.path]))
        return DeletedFile(path=ask.path, directory=directory)

    async def move(self, ask: MoveFile, call: Call) -> MovedFile:
        folder = await self._projects.path(ask.project_id)
        moved, etag, size = await asyncio.to_thread(_move, folder, ask)
        told = changed("moved", [moved.target, moved.source], etag=etag, size=size)
        await self._tell(ask.project_id, call, told)
        return moved

    async def search(self, ask: SearchFiles) -> Matches:
        from att.code.search import search

        folder = await self._projects.path(ask.project_id)
        start = await asyncio.to_thread(_start, folder, ask.path)
        return await search(folder, start, ask, self._searches)

    async def diff(self, ask: AskDiff) -> Diff:
        from att.code.diff import diff

        return await diff(await self._projects.path(ask.project_id), ask)

    async def _tell(self, project_id: str, call: Call, told: dict[str, Any]) -> None:
        await self._events.append(
            "code.changed",
            project_id=project_id,
            payload=told,
            actor=call.actor,
            request_id=call.request_id,
        )


def _start(folder: Path, path: str) -> tuple[str, ...]:
    """The directory to begin at, as names from the project's own on, without links."""
    inside = Inside(folder)
    os.close(inside.folder(path))
    return inside.resolve(path).relative_to(inside.root).parts


def _page(folder: Path, ask: ListFiles) -> FilePage:
    inside = Inside(folder)
    start = _start(folder, ask.path)
    globs = Rules(ask.glob)
    after = _after(ask.cursor) if ask.cursor is not None else ()
    tree = Tree(str(inside.root), hidden=ask.hidden, ignored=ask.ignored, depth=ask.depth)
    found: list[FileEntry] = []
    last = ""
    try:
        for node in tree.walk(start, after):
            if globs and (node.kind == "directory" or not _meant(globs, node)):
                continue
            if len(found) == ask.limit:
                return FilePage(files=found, next_cursor=_cursor(last))
            found.append(_entry(node))
            last = node.path
    except OSError as error:
        raise problem_of(error, ask.path) from error
    return FilePage(files=found, next_cursor=None)


def _meant(globs: Rules, node: Node) -> bool:
    told = globs.decide_below(node.path, node.name)
    return told if told is not None else not globs.positive


def _entry(node: Node) -> FileEntry:
    try:
        found = os.stat(node.name, dir_fd=node.folder, follow_symlinks=False)
        target = os.readlink(node.name, dir_fd=node.folder) if node.kind == "link" else None
    except OSError:  # it is gone since, or exchanged
        return FileEntry.model_construct(
            path=_shown(node.path), kind=Kind(node.kind), size=None, modified_at=None, target=None
        )
    return FileEntry.model_construct(
        path=_shown(node.path),
        kind=Kind(node.kind),
        size=found.st_size if node.kind == "file" else None,
        modified_at=content.moment(found.st_mtime),
        target=None if target is None else _shown(target),
    )


def _shown(path: str) -> str:
    """A name as text; what is not UTF-8 in it is replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _cursor(path: str) -> str:
    return base64.urlsafe_b64encode(os.fsencode(path)).decode().rstrip("=")


def _after(cursor: str) -> tuple[str, ...]:
    try:
        path = os.fsdecode(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadCursor("This is no cursor of a list of files.") from error
    if not path or "\0" in path or _cursor(path) != cursor:
        raise BadCursor("This is no cursor of a list of files.")
    return tuple(path.split("/"))


def _read(folder: Path, ask: ReadFile) -> content.Piece:
    descriptor = Inside(folder).open(ask.path)
    try:
        return content.piece_of(descriptor, ask.offset, ask.limit)
    except OSError as error:
        raise problem_of(error, ask.path) from error
    finally:
        os.close(descriptor)


def _data(ask: WriteFile) -> bytes:
    """What is to be written."""
    try:
        return (
            base64.b64decode(ask.content, validate=True)
            if ask.encoding is Encoding.BASE64
            else ask.content.encode()
        )
    except ValueError as error:
        message = "is not base64" if ask.encoding is Encoding.BASE64 else "is not text in UTF-8"
        fields = [{"field": "content", "message": message}]
        raise InvalidRequest(f"`content` {message}.", fields=fields) from error


def _write(folder: Path, ask: WriteFile, data: bytes) -> WrittenFile:
    try:
        written = Inside(folder).write(
            ask.path, data, check=content.checks(ask.if_match), exclusive=ask.if_none_match is not None
        )
    except PathTaken as taken:
        raise FileChanged(f"There is a file {ask.path[:200]!r} already.") from taken
    return WrittenFile(
        path=ask.path,
        size=len(data),
        etag=content.etag_told(data, written.status),
        created=written.created,
        modified_at=content.moment(written.status.st_mtime),
    )


def _move(folder: Path, ask: MoveFile) -> tuple[MovedFile, str | None, int | None]:
    inside = Inside(folder)
    check = content.checks(ask.if_match)
    source, target = inside.move(ask.source, ask.target, replace=ask.replace, check=check)
    moved = MovedFile(source=source, target=target)
    try:
        descriptor = inside.open(target)
    except (
        Problem
    ):  # a directory has no etag, nor a link that leads away; and what was moved may be gone again
        return moved, None, None
    try:
        return moved, content.etag(descriptor), os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
