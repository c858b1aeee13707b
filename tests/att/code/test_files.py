"""Reading and writing files through the code room: the same bytes, one winner, nothing torn, each change told."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from att.bulk import LARGE, aside
from att.code.content import HASHED
from att.code.errors import FileChanged, FileMissing, FolderNotEmpty, NotAFile, NotText, PathTaken
from att.confine import GitInternals, PathOutsideProject
from att.event.files import changed
from att.problems import InvalidRequest, ProjectNotFound
from tests.att.code.house import house
from tests.att.rooms import on_a_loop


def bytes_of(read: Any) -> bytes:
    return base64.b64decode(read.content) if read.encoding == "base64" else read.content.encode()


def all_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.name.startswith("att.db"))


@on_a_loop
async def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        for content in ("", "a\r\nb\n", "ü 🎉\u2028\x1b", "no end", "\ufeffbom"):
            written = await app.ask("write", path="src/new.txt", content=content)
            read = await app.ask("read", path="src/new.txt")
            assert (read.content, read.encoding, read.etag) == (content, "utf-8", written.etag)
            assert (app.folder / "src/new.txt").read_bytes() == content.encode()


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), text=st.text(max_size=60))
def test_any_content_comes_back_as_it_was(data: bytes, text: str, tmp_path_factory: Any) -> None:
    from att.code.content import content_of
    from att.code.files import _data, _read, _write
    from att.code.models import ReadFile, WriteFile

    folder = tmp_path_factory.getbasetemp()
    for given_as in (
        {"content": base64.b64encode(data).decode(), "encoding": "base64"},
        {"content": text},
    ):
        ask = WriteFile.model_validate({"project_id": "app", "path": "any/content", **given_as})
        _write(folder, ask, _data(ask))
        wanted = data if "encoding" in given_as else text.encode()
        assert (folder / "any/content").read_bytes() == wanted
        reading = ReadFile(project_id="app", path="any/content")
        assert bytes_of(content_of(_read(folder, reading), reading.path, None)) == wanted


@on_a_loop
async def test_a_disk_that_does_not_answer_keeps_no_large_value_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on, read = threading.Event(), threading.Event(), os.pread

    def slow(*given: int) -> bytes:
        reached.set()
        go_on.wait(10)
        return read(*given)

    async with house(tmp_path) as app:
        app.has({"large.txt": "x" * (LARGE * 2)})
        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", slow)
            reading = asyncio.create_task(app.ask("read", path="large.txt"))
            await asyncio.to_thread(reached.wait, 10)
            try:
                assert await asyncio.wait_for(aside(len, "abc"), 5) == 3
            finally:
                go_on.set()
        assert (await reading).length == LARGE * 2


@on_a_loop
@pytest.mark.parametrize("encoding", ["utf-8", "base64"])
async def test_large_content_comes_back_as_it_was(tmp_path: Path, encoding: str) -> None:
    async with house(tmp_path) as app:
        content = "as it was €\n" * 10_000
        sent = content if encoding == "utf-8" else base64.b64encode(content.encode()).decode()
        await app.ask("write", path="large.txt", content=sent, encoding=encoding)
        assert (app.folder / "large.txt").read_text("utf-8") == content
        read = await app.ask("read", path="large.txt", encoding=encoding)
        assert bytes_of(read) == content.encode() and read.length == len(content.encode())


@on_a_loop
async def test_a_large_file_is_read_in_parts_that_never_cut_a_character(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        text = "aü🎉€" * 50
        app.has({"a": text})
        for limit in (5, 7, 64):
            found, offset = "", 0
            while offset is not None:
                part = await app.ask("read", path="a", offset=offset, limit=limit)
                assert part.encoding == "utf-8" and part.length <= limit
                found, offset = found + part.content, part.next_offset
            assert found == text


@on_a_loop
async def test_a_gigabyte_is_neither_read_nor_in_the_way(tmp_path: Path) -> None:
    """The file is sparse, so that only who reads it all is slow."""
    async with house(tmp_path) as app:
        with (app.folder / "large").open("wb") as opened:
            opened.truncate(1 << 30)
            opened.seek((1 << 30) - 4)
            opened.write(b"end\n")
        async with asyncio.timeout(2):
            part = await app.ask("read", path="large", offset=(1 << 30) - 4)
            assert (part.content, part.size, part.next_offset) == ("end\n", 1 << 30, None)
            first = await app.ask("read", path="large", limit=16)
            assert first.encoding == "base64" and first.next_offset == 16
            assert first.etag == part.etag
        with pytest.raises(FileChanged):
            await app.ask("delete", path="large", if_match="another")
        await app.ask("delete", path="large", if_match=first.etag)


@on_a_loop
async def test_text_is_asked_of_what_is_none(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({"a": b"\xff\xfe"})
        with pytest.raises(NotText):
            await app.ask("read", path="a", encoding="utf-8")
        assert bytes_of(await app.ask("read", path="a")) == b"\xff\xfe"
        app.has({"b": "text"})
        assert (await app.ask("read", path="b", encoding="base64")).content == "dGV4dA=="


@on_a_loop
async def test_a_lost_update_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        first = await app.ask("write", path="a", content="1", if_none_match="*")
        with pytest.raises(FileChanged):
            await app.ask("write", path="a", content="again", if_none_match="*")
        second = await app.ask("write", path="a", content="2", if_match=f'"{first.etag}"')
        for tag in (first.etag, f'"{first.etag}"', "none"):
            with pytest.raises(FileChanged) as refused:
                await app.ask("write", path="a", content="3", if_match=tag)
            assert refused.value.extra["etag"] == second.etag
        with pytest.raises(FileChanged):
            await app.ask("write", path="new/none", content="3", if_match="*")
        assert not (app.folder / "new").exists()
        await app.ask("write", path="a", content="4", if_match=f'"x", "{second.etag}"')
        await app.ask("write", path="a", content="5", if_match="*")
        (app.folder / "a").touch()
        assert (await app.ask("read", path="a")).content == "5"


@on_a_loop
async def test_of_those_who_edit_one_file_at_once_one_wins(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        etag = (await app.ask("write", path="a", content="begin")).etag
        texts = [f"{number}" * 200_000 for number in range(8)]
        answers = await asyncio.gather(
            *(app.ask("write", path="a", content=text, if_match=etag) for text in texts),
            return_exceptions=True,
        )
        won = [text for text, answer in zip(texts, answers, strict=True) if not isinstance(answer, Exception)]
        lost = [answer for answer in answers if isinstance(answer, Exception)]
        assert len(won) == 1 and all(isinstance(each, FileChanged) for each in lost)
        assert (app.folder / "a").read_text() == won[0]
        assert os.listdir(app.folder) == ["a"]


@on_a_loop
async def test_a_file_beyond_the_digest_has_an_etag_too(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        text = "x" * (HASHED + 1)
        written = await app.ask("write", path="a", content=text)
        assert (await app.ask("read", path="a", limit=1)).etag == written.etag
        again = await app.ask("write", path="a", content=text, if_match=written.etag)
        with pytest.raises(FileChanged):
            await app.ask("write", path="a", content="", if_match=written.etag)
        assert again.etag != written.etag


@on_a_loop
async def test_each_change_is_told_without_its_content(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        made = await app.ask("write", path="a", content="SECRET")
        await app.ask("write", path="a", content="SECRET 2")
        await app.ask("move", source="a", target="b/c")
        await app.ask("delete", path="b", recursive=True)
        await app.ask("list")
        told = await app.rooms.told("code.changed")
        assert [(e.payload["change"], e.payload["paths"]) for e in told] == [
            ("created", ["a"]),
            ("modified", ["a"]),
            ("moved", ["b/c", "a"]),
            ("deleted", ["b"]),
        ]
        assert {frozenset(e.payload) for e in told} == {frozenset(changed("deleted", []))}
        assert told[0].payload["etag"] == made.etag and told[0].payload["size"] == 6
        assert {(e.actor, e.request_id, e.project_id) for e in told} == {("tester", "req-1", "app")}
        assert "SECRET" not in "".join(e.model_dump_json() for e in told)


@pytest.mark.parametrize(
    ("name", "asked", "kind"),
    [
        ("read", {"path": "../x"}, PathOutsideProject),
        ("read", {"path": "none"}, FileMissing),
        ("read", {"path": "folder"}, NotAFile),
        ("read", {"path": "a", "project_id": "none"}, ProjectNotFound),
        ("write", {"path": "/etc/x", "content": ""}, PathOutsideProject),
        ("write", {"path": "out/x", "content": ""}, PathOutsideProject),
        ("write", {"path": ".git/hooks/pre-commit", "content": ""}, GitInternals),
        ("write", {"path": "folder", "content": ""}, NotAFile),
        ("write", {"path": "a", "content": "?", "encoding": "base64"}, InvalidRequest),
        ("delete", {"path": "folder"}, FolderNotEmpty),
        ("delete", {"path": "out/secret"}, PathOutsideProject),
        ("delete", {"path": "none"}, FileMissing),
        ("delete", {"path": "folder", "recursive": True, "if_match": "*"}, NotAFile),
        ("move", {"source": "a", "target": "folder/b"}, PathTaken),
        ("move", {"source": "a", "target": "out/x"}, PathOutsideProject),
        ("move", {"source": "none", "target": "b"}, FileMissing),
        ("move", {"source": "a", "target": "b", "if_match": "old"}, FileChanged),
        ("list", {"path": "none"}, FileMissing),
        ("list", {"path": "out"}, PathOutsideProject),
        ("search", {"path": "..", "query": "x"}, PathOutsideProject),
        ("diff", {"path": ["../x"]}, PathOutsideProject),
    ],
)
@on_a_loop
async def test_a_mistake_has_a_name_and_changes_nothing(
    tmp_path: Path, name: str, asked: dict[str, Any], kind: type[Exception]
) -> None:
    async with house(tmp_path) as app:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "secret").write_text("secret")
        app.has({"a": "a", "folder/b": "b"})
        (app.folder / "out").symlink_to(tmp_path / "outside")
        before = all_below(tmp_path)
        with pytest.raises(kind):
            await app.ask(name, **asked)
        assert all_below(tmp_path) == before
        assert await app.rooms.told("code.changed") == []


@on_a_loop
async def test_a_moved_file_keeps_its_content_and_may_take_anothers_place(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({"a": "a", "b": "b"})
        moved = await app.ask("move", source="a", target="b", replace=True)
        assert (moved.source, moved.target) == ("a", "b")
        assert (app.folder / "b").read_text() == "a" and not (app.folder / "a").exists()
