"""The private temporary directory: empty, ours, and wiped whatever is in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import scratch


def test_it_is_made_empty_and_for_us_alone(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "tmp"
    scratch.renew(place)
    assert place.stat().st_mode & 0o777 == 0o700
    (place / "secret").write_text("x")
    scratch.renew(place)
    assert os.listdir(place) == []
    scratch.wipe(place)
    assert os.listdir(place.parent) == ["tmp"]


def test_what_an_earlier_life_had_put_aside_is_wiped_too(tmp_path: Path) -> None:
    place = tmp_path / "tmp"
    for _ in range(3):
        scratch.renew(place)
        (place / "secret").write_text("x")
    scratch.put_aside(place)
    assert len(os.listdir(tmp_path)) == 3
    scratch.wipe(place)
    assert os.listdir(tmp_path) == []
    scratch.put_aside(place)


def test_a_link_is_taken_away_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    place = tmp_path / "tmp"
    place.symlink_to(precious)
    scratch.renew(place)
    assert place.is_dir()
    assert not place.is_symlink()
    (place / "inner").symlink_to(precious)
    scratch.put_aside(place)
    scratch.wipe(place)
    assert sorted(os.listdir(tmp_path)) == ["precious"]
    assert os.listdir(precious) == ["file"]


@pytest.fixture
def as_a_plain_user() -> Iterator[Path]:
    """A folder of a user who cannot do everything: rights mean nothing to root."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    user = os.geteuid()
    if user == 0:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    shutil.rmtree(folder)


def test_folders_that_the_app_locked_are_wiped(as_a_plain_user: Path) -> None:
    place = as_a_plain_user / "tmp"
    scratch.renew(place)
    (place / "a" / "b").mkdir(parents=True)
    (place / "a" / "b" / "secret").write_text("x")
    (place / "a" / "b").chmod(0o500)
    (place / "a").chmod(0o000)
    scratch.put_aside(place)
    scratch.wipe(place)
    assert os.listdir(as_a_plain_user) == []
