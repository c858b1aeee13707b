"""Launchers made for a test: today's code with words exchanged, in one file."""

from __future__ import annotations

from pathlib import Path

from att.release.zipapp import archive, sources


def pack(path: Path, *exchanged: tuple[str, str, str]) -> Path:
    """`exchanged`: file below launcher/, a text that it holds once, and what stands there instead."""
    files = sources()
    for name, before, after in exchanged:
        assert files[f"launcher/{name}"].count(before.encode()) == 1, (name, before)
        files[f"launcher/{name}"] = files[f"launcher/{name}"].replace(before.encode(), after.encode())
    beside = path.with_suffix(".new")
    beside.write_bytes(archive(files))
    beside.rename(path)
    return path


def newer(path: Path, *exchanged: tuple[str, str, str]) -> Path:
    """One that says that it is version 9.9.9."""
    return pack(path, ("loop.py", 'VERSION = "0.1.0"', 'VERSION = "9.9.9"'), *exchanged)
