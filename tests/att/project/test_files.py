"""Removing whole directories."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from att.project.files import identity, is_itself, remove_tree

LOCKED = """
import os, sys
from pathlib import Path
from att.project.files import remove_tree
top = Path(sys.argv[1])
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
(top / "tree" / "locked" / "deep").mkdir(parents=True)
(top / "tree" / "locked" / "deep" / "file").write_text("x")
(top / "tree" / "locked").chmod(0o500)
(top / "tree" / "locked" / "deep").chmod(0)
print(remove_tree(top / "tree"), (top / "tree").exists())
"""


def test_directories_that_are_locked_by_their_owner_are_removed_too(tmp_path: Path) -> None:
    """As somebody who is not root, for whom locks mean something."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        os.chmod(folder, 0o777)
        done = subprocess.run(
            [sys.executable, "-c", LOCKED, folder], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["True", "False"]


def test_a_link_is_not_followed_and_not_removed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert remove_tree(tmp_path / "link") is False
    assert (tmp_path / "real" / "file").exists()
    assert remove_tree(tmp_path / "real") is True
    assert remove_tree(tmp_path / "real") is True  # nothing is left of nothing


def test_what_is_told_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    (tmp_path / "file").write_text("")
    assert identity(tmp_path / "one") == identity(tmp_path / "one") is not None
    assert identity(tmp_path / "link") is identity(tmp_path / "file") is identity(tmp_path / "none") is None
    assert is_itself(tmp_path / "one")
    assert not is_itself(tmp_path / "link")
    (tmp_path / "one" / "in").mkdir()
    assert not is_itself(tmp_path / "link" / "in")


@pytest.mark.skipif(os.getuid() == 0, reason="root may remove everything")
def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "locked" / "tree").mkdir(parents=True)
    (tmp_path / "locked").chmod(0o500)
    assert remove_tree(tmp_path / "locked" / "tree") is False
    (tmp_path / "locked").chmod(0o700)
