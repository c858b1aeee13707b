"""Are the components that a config names installed? Told before the start, without importing NAT.

Which types exist is known for sure only to NAT itself, and asking it costs four seconds of CPU. So first a cheap look (some
50 ms): every type is declared in the source as `name="…"`, in NAT, in a plugin or in the project. A type that stands nowhere is
only *suspected*; then the environment's own `nat validate` is asked, and its word counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from att import plain
from att.runtime.config import NatConfig
from att.runtime.environment import Environment

_NAME = re.compile(rb"""\bname\s*[=:]\s*["']([\w.\-/]+)["']""")
_GROUPS = re.compile(r"^\[(?:nat|aiq)\.(?:components|plugins|front_ends|evaluators)\]", re.MULTILINE)
_MOST_FILES = 5000
_LARGEST = 4 << 20
_SKIPPED = frozenset({".venv", ".venv.before", ".git", "node_modules", "__pycache__", "build", "dist"})


def suspects(environment: Environment, project: Path, config: NatConfig) -> dict[str, str]:
    """Place → type of the components that stand nowhere in the sources. Reads files; call it in a thread."""
    wanted = {place: kind.rsplit("/", 1)[-1] for place, kind in config.components.items()}
    missing = set(wanted.values())
    for path in _sources(environment, project):
        if not missing:
            break
        try:
            content = plain.content(path, _LARGEST)
        except OSError:
            continue
        if b"name" in content:
            missing -= {name.decode() for name in _NAME.findall(content)}
            missing -= {
                kind for kind in missing if f'"{kind}"'.encode() in content or f"'{kind}'".encode() in content
            }
    return {place: config.components[place] for place, kind in wanted.items() if kind in missing}


def _sources(environment: Environment, project: Path) -> Iterator[Path]:
    """Python files that may declare components: the project's first, then NAT's, then those of its plugins."""
    roots = [project]
    for site in environment.folder.glob("lib/python3*/site-packages"):
        roots.append(site / "nat")
        roots += _plugins(site)
    count = 0
    for root in dict.fromkeys(roots):
        for path in _python_files(root):
            count += 1
            if count > _MOST_FILES:
                return
            yield path


def _plugins(site: Path) -> Iterable[Path]:
    for entry_points in site.glob("*.dist-info/entry_points.txt"):
        if "nvidia_nat" in entry_points.parent.name:
            continue  # its code lies below `nat`
        try:
            text = plain.content(entry_points, _LARGEST).decode("utf-8", "replace")
        except OSError:
            continue
        if not _GROUPS.search(text):
            continue
        for module in re.findall(r"^\s*[\w.\-]+\s*=\s*([A-Za-z_]\w*)", text, re.MULTILINE):
            yield site / module


def _python_files(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        return
    stack = [root]
    while stack:
        folder = stack.pop()
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        for entry in entries:
            if entry.suffix == ".py":
                yield entry
            elif entry.is_dir() and entry.name not in _SKIPPED and not entry.is_symlink():
                stack.append(entry)
