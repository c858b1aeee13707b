"""Templates: small working projects that others are made of.

Every directory below `att/templates` that has a `template.toml` is one. That file says which texts in it
stand for the project's own names (`name = "echo-app"`, `package = "echo_app"`): wherever they occur, in a
file's name or in its text, the new project's take their place. So a template is no skeleton but a project
that runs, and is tested, as it lies there.
"""

from __future__ import annotations

import shutil
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from att.project.errors import TemplateNotFound
from att.project.names import distribution_name, package_name

FOLDER = Path(__file__).parent.parent / "templates"
_DECLARATION = "template.toml"
_LEFT_OUT = frozenset({"__pycache__", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".git"})


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    summary: str
    folder: Path
    stand_ins: tuple[tuple[str, str], ...]  # (text, which of the project's names it stands for)

    def copy(self, to: Path, project_name: str) -> None:
        """Make the files of a project of this name in `to`, a directory that does not exist yet."""
        names = {"name": distribution_name(project_name), "package": package_name(project_name)}
        self._copy(self.folder, to, [(text, names[kind]) for text, kind in self.stand_ins])

    def _copy(self, source: Path, to: Path, texts: list[tuple[str, str]]) -> None:
        to.mkdir(mode=0o755)
        for entry in sorted(source.iterdir()):
            if entry.name in _LEFT_OUT or entry.is_symlink() or entry == self.folder / _DECLARATION:
                continue
            if entry.name.endswith((".pyc", ".egg-info")):
                continue
            target = to / _replaced(entry.name, texts)
            if entry.is_dir():
                self._copy(entry, target, texts)
            else:
                _copy_file(entry, target, texts)


def find(name: str, folder: Path = FOLDER) -> Template:
    """The template of this name; `TemplateNotFound` names those there are."""
    known = all_templates(folder)
    if name not in known:
        raise TemplateNotFound(
            f"There is no template {name[:64]!r}; there are: {', '.join(sorted(known)) or 'none'}.",
            fields=[{"field": "template", "message": "unknown"}],
            templates=sorted(known),
        )
    return known[name]


def all_templates(folder: Path = FOLDER) -> dict[str, Template]:
    return {path.parent.name: _read(path) for path in sorted(folder.glob(f"*/{_DECLARATION}"))}


def _read(declaration: Path) -> Template:
    said = tomllib.loads(declaration.read_text("utf-8"))
    stand_ins = tuple((str(said[kind]), kind) for kind in ("package", "name") if kind in said)
    return Template(declaration.parent.name, str(said.get("summary", "")), declaration.parent, stand_ins)


def _copy_file(source: Path, target: Path, texts: list[tuple[str, str]]) -> None:
    raw = source.read_bytes()
    with suppress(UnicodeDecodeError):  # what is no text is copied as it is
        raw = _replaced(raw.decode("utf-8"), texts).encode("utf-8")
    target.write_bytes(raw)
    shutil.copymode(source, target)


def _replaced(text: str, texts: list[tuple[str, str]]) -> str:
    for stand_in, own in texts:
        text = text.replace(stand_in, own)
    return text
