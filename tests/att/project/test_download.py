"""Projects from archives: what is good comes whole; what is bad is refused by name and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from att.problems import InvalidRequest, Problem
from att.project import errors
from att.project.archive_names import Contents
from att.project.download_source import checked_url, name_in
from tests.att.project.archives import download, left, link, put, served, special, tarred, zipped
from tests.att.rooms import on_a_loop, rooms


def names(folder: Path) -> set[str]:
    """Of all that is below it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


FILES = {"app/a.py": b"a = 1\n", "app/src/b.bin": b"\0\1", "app/run.sh": b"#!/bin/sh\n"}


@pytest.mark.parametrize("kind", ["zip", "stored", "w", "w:gz", "w:bz2"])
@on_a_loop
async def test_an_archive_becomes_a_project(tmp_path: Path, kind: str) -> None:
    async with rooms(tmp_path) as house:
        entries: list[Any] = list(FILES.items())
        packed = tarred(entries, kind) if kind.startswith("w") else zipped(FILES, 8 if kind == "zip" else 0)
        project = await download(house, file=put(house, packed), name="got")
        folder = Path(project.path)
        assert (project.id, project.status, folder) == ("got", "created", house.home / "projects" / "got")
        assert names(folder) == {
            "a.py",
            "src",
            "src/b.bin",
            "run.sh",
        }
        assert (folder / "src/b.bin").read_bytes() == b"\0\1"
        assert left(house) == {"got", "x.zip"}
        assert (await house.told("project.created"))[0].payload["archive"].endswith("/x.zip")


@on_a_loop
async def test_the_directory_at_the_top_is_kept_on_wish_and_links_inside_always(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        packed = tarred([("app/src/a", b"a"), link("app/in", "src/a"), link("app/src/up", "../src")])
        folder = Path((await download(house, file=put(house, packed), name="one", strip=False)).path)
        assert (folder / "app/in").read_bytes() == b"a" and os.readlink(folder / "app/in") == "src/a"
        folder = Path((await download(house, file=put(house, packed), name="two")).path)
        assert (folder / "src/up/a").read_bytes() == b"a"


@on_a_loop
async def test_an_archive_is_fetched_over_redirects_and_named_by_its_address(tmp_path: Path) -> None:
    async def moved(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/v1/my%20app.tar.gz?token=SECRET")

    async with (
        rooms(tmp_path, fetch_local=True) as house,
        served({"/v1/my app.tar.gz": tarred([("a", b"a")]), "/my-app.zip": moved}) as url,
    ):
        project = await download(house, url=f"{url}/my-app.zip?key=SECRET")
        assert project.id == "my-app" and (Path(project.path) / "a").exists()
        told = await house.told("project.*")
        assert "SECRET" not in "".join(event.model_dump_json() for event in told)


EVIL_GIT = {
    ".git/HEAD": b"ref: refs/heads/main\n",
    ".git/objects/x": b"",
    ".git/config": b"[core]\n\tfsmonitor = touch /tmp/owned\n",
    ".git/hooks/post-checkout": b"#!/bin/sh\n",
    ".git/objects/info/alternates": b"/etc\n",
    ".git/commondir": b"/elsewhere\n",
    "sub/.GIT/hooks/x": b"",
    "linked/.git": b"gitdir: /elsewhere\n",
    "a": b"a",
}


@on_a_loop
async def test_a_repository_in_it_loses_what_could_run_or_lead_elsewhere(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        folder = Path((await download(house, file=put(house, zipped(EVIL_GIT)), name="got")).path)
        kept = {name for name in names(folder) if (folder / name).is_file()}
        assert kept == {".git/HEAD", ".git/objects/x", ".git/config", "a"}
        assert "fsmonitor" not in (folder / ".git/config").read_text()


def many(count: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for number in range(count):
            packed.writestr(zipfile.ZipInfo(f"{number}"), b"")
    return out.getvalue()


def many_tarred(count: int) -> bytes:
    return gzip.compress(special("d", tarfile.DIRTYPE).tobuf() * count + os.urandom(64) * 20_000, 1)


def claiming(content: bytes, offset: int, form: str, value: int) -> bytes:
    """A zip whose end says something else."""
    at = content.rindex(b"PK\5\6") + offset
    return content[:at] + struct.pack(form, value) + content[at + struct.calcsize(form) :]


def overlapping() -> bytes:
    """Many entries of the list share one packed megabyte of zeros."""
    one = zipped({"0": b"\0" * (4 << 20)})
    start, end = one.index(b"PK\1\2"), one.rindex(b"PK\5\6")
    listed = one[start:end]
    entries = b"".join(listed.replace(b"0", b"%c" % (48 + n), 1) if n else listed for n in range(40))
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 40, 40, len(entries), start, 0)
    return one[:start] + entries + tail


ATTACKS: dict[str, tuple[bytes, type[Problem]]] = {
    "up": (zipped({"../x": "x"}), errors.ArchiveRefused),
    "up below": (zipped({"a/../../x": "x"}), errors.ArchiveRefused),
    "absolute": (zipped({"/etc/x": "x"}), errors.ArchiveRefused),
    "backslash": (zipped({"..\\x": "x"}), errors.ArchiveRefused),
    "drive": (zipped({"C:/x": "x"}), errors.ArchiveRefused),
    "tar up": (tarred([("../x", b"x")]), errors.ArchiveRefused),
    "tar absolute": (tarred([("/etc/x", b"x")]), errors.ArchiveRefused),
    "link up": (tarred([link("a", "../x")]), errors.ArchiveRefused),
    "link absolute": (tarred([link("a", "/etc")]), errors.ArchiveRefused),
    "link then file": (tarred([link("a", "b"), ("a/x", b"x")]), errors.ArchiveRefused),
    "file then link": (tarred([("a", b"x"), link("a", "b")]), errors.ArchiveRefused),
    "file below a file": (tarred([("a", b"x"), ("a/b", b"x")]), errors.ArchiveRefused),
    "link over link": (
        tarred([("d/f", b""), link("d/b", ".."), link("d/l", "b/../x")]),
        errors.ArchiveRefused,
    ),
    "zip link": (zipped({"a": "../../etc"}, mode=0o120777), errors.ArchiveRefused),
    "hard link": (tarred([special("a", tarfile.LNKTYPE, "/etc/passwd")]), errors.ArchiveRefused),
    "device": (tarred([special("a", tarfile.CHRTYPE)]), errors.ArchiveRefused),
    "pipe": (tarred([special("a", tarfile.FIFOTYPE)]), errors.ArchiveRefused),
    "zip device": (zipped({"a": ""}, mode=0o020666), errors.ArchiveRefused),
    "twice": (tarred([("a", b"1"), ("a", b"2")]), errors.ArchiveRefused),
    "long name": (tarred([("x" * 300, b"")]), errors.ArchiveRefused),
    "deep": (tarred([("a/" * 300 + "x", b"")]), errors.ArchiveRefused),
    "huge header": (
        gzip.compress(special("x", tarfile.XHDTYPE, size=1 << 33).tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096),
        errors.ArchiveRefused,
    ),
    "bomb": (zipped({"a": b"\0" * (64 << 20)}), errors.ArchiveTooLarge),
    "tar bomb": (gzip.compress(b"\0" * (64 << 20)), errors.ArchiveTooLarge),
    "tar bomb in a file": (tarred([("a", b"\0" * (64 << 20))]), errors.ArchiveTooLarge),
    "bomb behind the end": (
        gzip.compress(gzip.decompress(tarred([("a", b"a")])) + b"\0" * (64 << 20)),
        errors.ArchiveTooLarge,
    ),
    "overlapping": (overlapping(), errors.NotAnArchive),
    "list too long": (claiming(zipped({"a": ""}), 12, "<I", 1 << 30), errors.ArchiveTooLarge),
    "many told": (claiming(zipped({"a": ""}), 10, "<H", 0xFFFF), errors.ArchiveTooLarge),
    "not one": (b"hello", errors.NotAnArchive),
    "empty": (b"", errors.NotAnArchive),
    "cut zip": (zipped({"a": "x" * 1000})[:-30], errors.NotAnArchive),
    "cut tar": (tarred([("a", os.urandom(10_000))])[:-2000], errors.NotAnArchive),
    "damaged": (b"\x1f\x8b\x08" + b"\0" * 100, errors.NotAnArchive),
    "xz": (tarred([("a", b"a")], "w:xz"), errors.NotAnArchive),
}


@pytest.mark.parametrize("attack", ATTACKS)
@on_a_loop
async def test_an_archive_that_means_harm_is_refused_and_leaves_nothing(tmp_path: Path, attack: str) -> None:
    content, kind = ATTACKS[attack]
    async with rooms(tmp_path) as house:
        file = put(house, content)
        with pytest.raises(kind):
            await download(house, file=file, name="got")
        assert left(house) == {"x.zip"}
        assert {name for name in names(tmp_path) if "/" not in name} <= {
            "projects",
            "att.db",
            "att.db-wal",
            "att.db-shm",
        }
        assert (await house.projects.page()).projects == []
        project = await download(
            house, file=put(house, zipped({"a": "a"})), name="got"
        )  # the name is free again
        assert project.id == "got"


@pytest.mark.parametrize("make", [many, many_tarred])
@on_a_loop
async def test_a_hundred_thousand_entries_are_refused(tmp_path: Path, make: Any) -> None:
    async with rooms(tmp_path) as house:
        file = put(house, await asyncio.to_thread(make, 65_000 if make is many else 100_000))
        with pytest.raises(errors.ArchiveTooLarge):
            await download(house, file=file, name="got")
        assert left(house) == {"x.zip"}


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({}, InvalidRequest),
        ({"url": "http://a.example/x.zip", "file": "/x"}, InvalidRequest),
        ({"url": "file:///etc/passwd"}, errors.DownloadUrlRefused),
        ({"url": "ftp://a.example/x"}, errors.DownloadUrlRefused),
        ({"url": "http://me:word@a.example/x.zip"}, errors.DownloadUrlRefused),
        ({"url": "http:///x"}, errors.DownloadUrlRefused),
        ({"url": "http://a.example/x\r\nHost: b"}, errors.DownloadUrlRefused),
        ({"file": "/etc/passwd"}, errors.PathOutsideRoots),
        ({"file": "relative.zip"}, errors.PathNotFound),
    ],
)
@on_a_loop
async def test_a_wish_that_cannot_be_met_is_refused(tmp_path: Path, asked: Any, kind: type[Problem]) -> None:
    async with rooms(tmp_path) as house:
        with pytest.raises(kind) as refused:
            await download(house, name="got", **asked)
        assert "word" not in refused.value.detail


@on_a_loop
async def test_a_link_among_the_roots_leads_to_no_file_outside(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        outside = tmp_path / "x.zip"
        outside.write_bytes(zipped({"a": "a"}))
        (tmp_path / "projects").mkdir()
        (tmp_path / "projects" / "l.zip").symlink_to(outside)
        with pytest.raises(errors.PathOutsideRoots):
            await download(house, file=str(tmp_path / "projects" / "l.zip"))


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["a", "..", ".", "", ".git", "C:", "\\"]), max_size=5).map("/".join)
)
@settings(max_examples=300)
def test_a_name_goes_to_a_place_inside_or_nowhere(name: str) -> None:
    try:
        parts = Contents(100).entry(name, "file")
    except errors.ArchiveRefused:
        return
    assert parts is None or all(part not in ("", ".", "..") and "/" not in part for part in parts)


def test_a_project_is_called_as_its_archive() -> None:
    assert name_in("https://a.example/b/c-1.2.tar.gz?x=y.zip") == "c-1.2"
    assert name_in("/a/b.zip") == "b"
    assert checked_url("https://a.example:8443/x") == "https://a.example:8443/x"


def many_long_names() -> bytes:
    out = io.BytesIO()
    for _ in range(3000):
        out.write(
            special("@", tarfile.GNUTYPE_LONGNAME, size=4).tobuf(tarfile.GNU_FORMAT)
            + b"abc\0".ljust(512, b"\0")
        )
    return out.getvalue() + special("x", tarfile.REGTYPE).tobuf() + bytes(1024)


def broken(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return (
        packed[:middle] + bytes(byte ^ 0xFF for byte in packed[middle : middle + 20]) + packed[middle + 20 :]
    )


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(many_long_names(), id="names of names"),
        pytest.param(broken(tarred([("a", os.urandom(9000))], "w:bz2")), id="bz2"),
        pytest.param(broken(zipped({"a": os.urandom(9000)}, zipfile.ZIP_BZIP2)), id="bz2 in zip"),
        pytest.param(broken(zipped({"a": os.urandom(9000)}, zipfile.ZIP_LZMA)), id="lzma in zip"),
    ],
)
@on_a_loop
async def test_a_damaged_archive_is_told_as_one_however_it_is_packed(tmp_path: Path, packed: bytes) -> None:
    async with rooms(tmp_path) as house:
        with pytest.raises(errors.NotAnArchive):
            await download(house, file=put(house, packed), name="x")


def test_a_branch_may_have_the_name_of_what_is_left_out() -> None:
    contents = Contents(1000)
    assert contents.entry(".git/refs/heads/config", "file") is not None
    assert contents.entry(".git/modules/a/config", "file") is None
    assert contents.entry(".git/refs/heads/link", "link") is None
