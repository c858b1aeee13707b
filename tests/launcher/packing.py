"""Launchers made for a test: today's code with words exchanged, in one file."""

from __future__ import annotations

from pathlib import Path

from launcher.pack import packed, sources

ROOT = Path(__file__).resolve().parents[2]


def pack(path: Path, *exchanged: tuple[str, str, str]) -> Path:
    """`exchanged`: file below launcher/, a text that it holds once, and what stands there instead."""
    texts = sources(str(ROOT / "launcher"))
    for name, before, after in exchanged:
        assert texts[f"launcher/{name}"].count(before) == 1, (name, before)
        texts[f"launcher/{name}"] = texts[f"launcher/{name}"].replace(before, after)
    beside = path.with_suffix(".new")
    beside.write_bytes(packed(texts))
    beside.rename(path)
    return path


def newer(path: Path, *exchanged: tuple[str, str, str]) -> Path:
    """One that says that it is version 9.9.9."""
    return pack(path, ("loop.py", 'VERSION = "0.1.0"', 'VERSION = "9.9.9"'), *exchanged)
