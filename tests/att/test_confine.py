"""Nothing that is named in a project leads out of it, whatever stands there and whatever is exchanged meanwhile."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from att.confine import (
    TEMPORARY,
    FileMissing,
    FolderNotEmpty,
    GitInternals,
    Inside,
    InvalidPath,
    NotAFile,
    PathOutsideProject,
    PathTaken,
)
from att.problems import Problem
from att.store.errors import DiskFull

SECRET = b"a secret outside"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_bytes(b"a = 1\n")
    return root


def read(inside: Inside, relative: str) -> bytes:
    descriptor = inside.open(relative)
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read()


def untouched(root: Path) -> bool:
    outside = root.parent / "outside"
    return {p.name for p in outside.iterdir()} == {"secret"} and (outside / "secret").read_bytes() == SECRET


EVERY: dict[str, Callable[[Inside, str], object]] = {
    "resolve": lambda inside, path: inside.resolve(path),
    "status": lambda inside, path: inside.status(path),
    "open": read,
    "folder": lambda inside, path: os.close(inside.folder(path)),
    "write": lambda inside, path: inside.write(path, b"mine"),
    "remove": lambda inside, path: inside.remove(path, recursive=True),
    "move from": lambda inside, path: inside.move(path, "moved"),
    "move to": lambda inside, path: inside.move("src/a.py", path, replace=True),
}
every_way = pytest.mark.parametrize("way", EVERY.values(), ids=EVERY.keys())


@every_way
@pytest.mark.parametrize(
    "path", ["../outside/secret", "/etc/passwd", "src/../../outside/secret", "..", "a\0b", "//etc/passwd"]
)
def test_a_name_that_leaves_is_refused(root: Path, way: Callable[[Inside, str], object], path: str) -> None:
    with pytest.raises(PathOutsideProject):
        way(Inside(root), path)
    assert untouched(root)


@every_way
@pytest.mark.parametrize(
    "target", ["../outside", "{parent}/outside", "src/../../outside", "{root}/../outside"]
)
def test_a_link_that_leaves_is_refused(root: Path, way: Callable[[Inside, str], object], target: str) -> None:
    (root / "out").symlink_to(target.format(parent=root.parent, root=root))
    with pytest.raises(PathOutsideProject):
        way(Inside(root), "out/secret")
    assert untouched(root)


@pytest.mark.parametrize("target", ["src", "./src/../src", "{root}/src", "src/../src/../src"])
def test_a_link_that_stays_is_followed_and_kept(root: Path, target: str) -> None:
    (root / "in").symlink_to(target.format(root=root))
    inside = Inside(root)
    assert read(inside, "in/a.py") == b"a = 1\n"
    assert inside.write("in/b.py", b"b").path == "src/b.py"
    assert inside.resolve("in/none/yet") == root / "src" / "none" / "yet"
    assert (root / "in").is_symlink() and (root / "src" / "b.py").read_bytes() == b"b"


def test_writing_to_a_link_writes_what_it_names(root: Path) -> None:
    (root / "link").symlink_to("src/a.py")
    assert not Inside(root).write("link", b"new").created
    assert (root / "link").is_symlink() and (root / "src" / "a.py").read_bytes() == b"new"


def test_removing_and_moving_a_link_leaves_what_it_names(root: Path) -> None:
    (root / "out").symlink_to(root.parent / "outside")
    inside = Inside(root)
    assert inside.move("out", "away") == ("out", "away")
    assert inside.remove("away", recursive=True) is False
    assert untouched(root) and not (root / "away").is_symlink()


def test_links_in_a_circle_end(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(InvalidPath):
        read(Inside(root), "a/x")


def test_a_missing_file_a_folder_and_a_pipe_are_told_apart(root: Path) -> None:
    os.mkfifo(root / "pipe")
    inside = Inside(root)
    for path, kind in (
        ("none", FileMissing),
        ("src/a.py/x", FileMissing),
        ("src", NotAFile),
        ("pipe", NotAFile),
    ):
        with pytest.raises(kind):
            inside.open(path)
    for path in ("src", "pipe", ""):
        with pytest.raises(NotAFile):
            inside.write(path, b"")
    with pytest.raises(InvalidPath):
        inside.open("n" * 300)
    with pytest.raises(InvalidPath):
        inside.open("\ud800")


@pytest.mark.parametrize(
    "path", [".git/config", ".GIT/hooks/x", "src/.git/hooks/post-commit", "link/config", ".git"]
)
def test_what_is_gits_own_is_not_changed(root: Path, path: str) -> None:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(b"[core]\n")
    (root / "link").symlink_to(".git")
    inside = Inside(root)
    for change in ("write", "move to"):
        with pytest.raises((GitInternals, NotAFile)):
            EVERY[change](inside, path)
    if os.path.lexists(root / path):
        for change in ("remove", "move from"):
            with pytest.raises(GitInternals):
                EVERY[change](inside, path)
    assert (root / ".git" / "config").read_bytes() == b"[core]\n"
    assert {p.name for p in root.iterdir()} == {".git", "link", "src"}


def test_a_folder_with_a_repository_in_it_is_not_deleted(root: Path) -> None:
    (root / "src" / "vendored" / ".git").mkdir(parents=True)
    with pytest.raises(GitInternals):
        Inside(root).remove("src", recursive=True)
    assert (root / "src" / "a.py").exists()


def test_the_root_itself_is_neither_deleted_nor_moved(root: Path) -> None:
    for path in ("", ".", "./"):
        with pytest.raises(NotAFile):
            Inside(root).remove(path, recursive=True)
        with pytest.raises(NotAFile):
            Inside(root).move(path, "x")


def test_a_write_keeps_the_mode_and_makes_the_folders_it_needs(root: Path) -> None:
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o750)
    inside = Inside(root)
    inside.write("run.sh", b"new")
    assert stat.S_IMODE((root / "run.sh").stat().st_mode) == 0o750
    assert inside.write("new/deep/file", b"x").created
    assert (root / "new" / "deep" / "file").read_bytes() == b"x"


def test_a_write_that_comes_to_nothing_leaves_nothing(root: Path) -> None:
    def refuse(present: int | None) -> None:
        raise DiskFull("no")

    before = sorted(root.rglob("*"))
    for path in ("new/deep/file", "src/a.py"):
        with pytest.raises(DiskFull):
            Inside(root).write(path, b"x", check=refuse)
    with pytest.raises(PathTaken):
        Inside(root).write("src/a.py", b"x", exclusive=True)
    assert sorted(root.rglob("*")) == before
    assert (root / "src" / "a.py").read_bytes() == b"a = 1\n"


def test_a_move_takes_no_place_that_is_taken(root: Path) -> None:
    (root / "b.py").write_bytes(b"b")
    inside = Inside(root)
    with pytest.raises(PathTaken):
        inside.move("src/a.py", "b.py")
    with pytest.raises(PathTaken):
        inside.move("b.py", "src", replace=True)
    with pytest.raises(InvalidPath):
        inside.move("src", "src/below")
    assert inside.move("src/a.py", "b.py", replace=True) == ("src/a.py", "b.py")
    assert (root / "b.py").read_bytes() == b"a = 1\n"


def test_a_folder_goes_only_as_a_whole_when_that_is_said(root: Path) -> None:
    with pytest.raises(FolderNotEmpty):
        Inside(root).remove("src")
    assert Inside(root).remove("src", recursive=True) is True
    assert not (root / "src").exists()


def test_of_many_who_read_then_write_one_at_a_time_gets_through(root: Path) -> None:
    """Each adds one to the number it has checked: no addition is lost, and no reader sees half a file."""
    inside = Inside(root)
    inside.write("n", b"%0100000d" % 0)

    def add(_: int) -> int:
        refused = 0
        while True:
            seen = read(inside, "n")
            assert len(seen) == 100_000

            def same(present: int | None, seen: bytes = seen) -> None:
                assert present is not None
                if os.read(present, 1 << 20) != seen:
                    raise PathTaken("it has changed")

            try:
                inside.write("n", b"%0100000d" % (int(seen[-9:]) + 1), check=same)
            except PathTaken:
                refused += 1
            else:
                return refused

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    assert int(read(inside, "n")[-9:]) == 40
    assert not [p for p in root.iterdir() if p.name.startswith(TEMPORARY)]


NAMES = st.sampled_from(
    ["a", "b", "c", "..", ".", "", "link", "out", "%2e%2e", "a\\..\\b", "…", "\0", "/", "~"]
)


@settings(max_examples=300, deadline=None)
@given(
    path=st.lists(NAMES, min_size=1, max_size=6).map("/".join) | st.text(max_size=20),
    links=st.lists(st.tuples(NAMES, st.lists(NAMES, min_size=1, max_size=5).map("/".join)), max_size=4),
    way=st.sampled_from(sorted(EVERY)),
)
def test_whatever_is_asked_stays_inside_or_is_refused(
    path: str, links: list[tuple[str, str]], way: str
) -> None:
    with tempfile.TemporaryDirectory() as above:
        root, outside = Path(above, "project"), Path(above, "outside")
        (root / "a" / "b").mkdir(parents=True)
        (root / "src").mkdir()
        (root / "src" / "a.py").write_bytes(b"in")
        (root / "a" / "c").write_bytes(b"in")
        outside.mkdir()
        (outside / "secret").write_bytes(SECRET)
        (root / "out").symlink_to("../outside")
        for name, target in links:
            place = root / "a" / "b" / "link" if name == "link" else root / f"_{len(name)}"
            if target and "\0" not in target and not os.path.lexists(place):
                place.symlink_to(target if name != "~" else str(outside))
        try:
            answer = EVERY[way](Inside(root), path)
        except Problem:
            answer = None
        assert answer != SECRET
        if isinstance(answer, Path):
            assert Path(os.path.realpath(answer)).is_relative_to(root.resolve())
        assert untouched(root)
        assert {p.name for p in Path(above).iterdir()} == {"project", "outside"}


@pytest.mark.parametrize("swapped", ["src", "src/deep"])
def test_a_folder_exchanged_by_a_link_while_it_is_walked_leads_nowhere(root: Path, swapped: str) -> None:
    """Again and again a directory and a link out of the project change places, by one rename each way."""
    (root / "src" / "deep").mkdir()
    (root / "src" / "deep" / "secret").write_bytes(b"mine")
    (root / "src" / "secret").write_bytes(b"mine")
    place, aside, link = root / swapped, root / "aside", root / "link"
    link.symlink_to(root.parent / "outside")
    over = threading.Event()

    def onto(old: Path, new: Path) -> None:
        """Rename; a folder that a writer has made in the gap goes out of the way."""
        for turn in range(1000):
            try:
                old.rename(new)
                return
            except OSError:
                new.rename(root / f"made-{len(os.listdir(root))}-{turn}")

    def exchange() -> None:
        while not over.is_set():
            onto(place, aside)
            onto(link, place)
            onto(place, link)
            onto(aside, place)

    inside = Inside(root)
    met = {"inside": 0, "refused": 0}
    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for turn in range(20_000):
            if turn > 1500 and all(met.values()):
                break
            try:
                if turn % 3:
                    assert read(inside, f"{swapped}/secret") == b"mine"
                else:
                    inside.write(f"{swapped}/secret", b"mine")
                met["inside"] += 1
            except Problem as problem:
                assert problem.code in ("path_outside_project", "file_not_found", "not_a_file"), problem
                met["refused"] += 1
    finally:
        over.set()
        thread.join()
    assert all(met.values()), met
    assert untouched(root)
