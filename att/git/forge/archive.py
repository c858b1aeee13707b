"""The text of a run's log out of the zip that GitHub keeps it in, however large that claims or turns out to be.

The archive holds a file for each job and, below folders, one for each step of it; the jobs' files alone tell all. Never more than
`MOST` bytes are unpacked, and names are only shown, never used as paths.
"""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from typing import IO

from att.git.forge.errors import LogGone

MOST = 16 << 20
LARGEST = 64 << 20
"""Bytes of an archive that is still fetched."""
_FILES = 2000


def read(file: IO[bytes]) -> tuple[bytes, int]:
    """The text, and how many bytes of it were left out."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _text(archive)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise LogGone("GitHub's archive of the log cannot be read.") from error


def _text(archive: zipfile.ZipFile) -> tuple[bytes, int]:
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    jobs = [entry for entry in files if "/" not in entry.filename and entry.filename.endswith(".txt")]
    wanted = sorted(jobs or files, key=lambda entry: _order(entry.filename))
    parts: list[bytes] = []
    room, left_out = MOST, sum(entry.file_size for entry in wanted[_FILES:])
    for entry in wanted[:_FILES]:
        title = f"== {entry.filename.removesuffix('.txt')[:200]!s} ==\n".encode("utf-8", "replace")
        with archive.open(entry) as opened:
            text = opened.read(max(0, room - len(title)))  # not what the header claims: what really comes
            left_out += max(0, entry.file_size - len(text))
        parts += [title, text, b"" if text.endswith(b"\n") or not text else b"\n"]
        room -= len(title) + len(text) + 1
        if room <= 0:
            left_out += sum(rest.file_size for rest in wanted[wanted.index(entry) + 1 : _FILES])
            break
    return b"".join(parts), left_out


def _order(name: str) -> tuple[int, str]:
    """`2_test.txt` before `10_lint.txt`."""
    found = re.match(r"(\d{1,6})_", name)
    return (int(found[1]) if found else 1 << 30), name
