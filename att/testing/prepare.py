"""What must be known before tests are run: settings, environment, variables, what is installed, where the selection is.

All of it is looked at before anything is started, so that what is wrong is refused under its own code at once.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from att import plain, shortrun
from att.confine import Inside
from att.problems import Conflict, NotFound
from att.runtime import environment, secrets
from att.runtime.environment import Environment, Standing
from att.runtime.errors import EnvironmentBroken, EnvironmentNotBuilt
from att.testing import settings as test_settings
from att.testing import words
from att.testing.errors import (
    CoverageNotInstalled,
    InstallFailed,
    InvalidTestSettings,
    PytestNotInstalled,
    TestCommandNotFound,
    TestPathNotFound,
)
from att.testing.models import Selection
from att.testing.settings import TestSettings

FILE = "att.toml"
SHIM = Path(__file__).parent / "shim"
MODULES = ("pytest", "pytest_cov", "coverage")
_PACKAGES = {"pytest": "pytest>=8", "pytest_cov|coverage": "pytest-cov>=5"}
_LEFT_OUT = (
    *("ATT_", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_", "UV_PROJECT_ENVIRONMENT"),
    *("COVERAGE_", "COV_CORE_", "PYTEST_", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_"),
)
_LOOK = (
    "import importlib.util as u, json, sys; print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n)]))"
)
_LOOK_TIME = 30.0
_INSTALL_TIME = 600.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that a run of tests needs. `missing`: packages to be installed first."""

    project_id: str
    folder: Path
    ask: Selection
    settings: TestSettings
    environment: Environment | None  # None: the project's own command needs none
    env: Mapping[str, str] = field(repr=False)  # with secrets
    hidden: tuple[str, ...] = field(repr=False)  # values that are never told
    paths: tuple[str, ...]
    kind_marker: str
    has: frozenset[str]
    missing: tuple[str, ...] = ()

    @property
    def timeout(self) -> float:
        return self.ask.timeout or self.settings.timeout

    @property
    def threshold(self) -> float | None:
        asked = self.ask.coverage_threshold
        return asked if asked is not None else self.settings.coverage_threshold if self.ask.coverage else None

    def hide(self, text: str) -> str:
        for value in self.hidden:
            text = text.replace(value, "***")
        return text

    def relative(self, file: str) -> str:
        """A file's name as seen from the project's folder."""
        path = Path(file)
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else file


async def prepare(
    project_id: str, folder: Path, ask: Selection, environ: Mapping[str, str], tmp: Path
) -> Prepared:
    """Look at everything; nothing is changed."""
    found = await asyncio.to_thread(read_settings, folder)
    ours = await asyncio.to_thread(_environment, folder, needed=not found.command)
    values = await asyncio.to_thread(secrets.resolve, found.env, environ, folder)
    env = variables(environ, ours, values, tmp)
    paths, marker = await asyncio.to_thread(_places, folder, ask, found)
    has: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    if not found.command and ours is not None:
        has = await modules(ours, env)
        missing = _missing(ask, found, has)
    else:
        await asyncio.to_thread(_own_command, folder, ask, found, paths, env)
    hidden = tuple(
        sorted(
            (v for k, v in values.items() if secrets.references({k: found.env[k]}) and len(v) > 3),
            key=len,
            reverse=True,
        )
    )
    return Prepared(project_id, folder, ask, found, ours, env, hidden, tuple(paths), marker, has, missing)


def read_settings(folder: Path) -> TestSettings:
    try:
        text = plain.text(folder / FILE)
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as fault:
        raise InvalidTestSettings(f"{FILE} cannot be read: {fault}", file=FILE, fields=[]) from None
    return test_settings.parse(text, FILE)


def variables(
    environ: Mapping[str, str], ours: Environment | None, values: Mapping[str, str], tmp: Path
) -> dict[str, str]:
    """The environment of the tests: what the daemon has, without what is ATT's or another Python's own."""
    found = {name: value for name, value in environ.items() if not name.startswith(_LEFT_OUT)}
    if ours is not None:
        found["PATH"] = f"{ours.bin}:{found.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
        found["VIRTUAL_ENV"] = str(ours.folder)
    return (
        found | {"PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp), "NAT_TELEMETRY_ENABLED": "false"} | dict(values)
    )


async def modules(ours: Environment, env: Mapping[str, str]) -> frozenset[str]:
    """Which of the modules that matter the environment has; asked of its own interpreter."""
    last: deque[str] = deque(maxlen=20)
    argv = (str(ours.python), "-I", "-c", _LOOK, *MODULES)
    try:
        code = await shortrun.run(argv, cwd=ours.bin, env=env, on_line=last.append, timeout=_LOOK_TIME)
        names = json.loads(last[-1]) if code == 0 and last else None
    except (OSError, TimeoutError, ValueError):
        names = None
    if names is None:
        raise EnvironmentBroken(f"{ours.python} does not answer.", reason="its Python does not answer")
    return frozenset(names)


async def install(prepared: Prepared, environ: Mapping[str, str]) -> None:
    """Put what is missing into the environment."""
    from uv import find_uv_bin

    assert prepared.environment is not None  # noqa: S101  (what is missing is missing in it)
    last: deque[str] = deque(maxlen=30)
    argv = (find_uv_bin(), "pip", "install", "--python", str(prepared.environment.python), *prepared.missing)
    env = {k: v for k, v in environ.items() if not k.startswith(_LEFT_OUT)} | {"NO_COLOR": "1"}
    try:
        code = await shortrun.run(
            argv, cwd=prepared.environment.bin, env=env, on_line=last.append, timeout=_INSTALL_TIME
        )
    except TimeoutError:
        raise InstallFailed(f"uv was ended after {_INSTALL_TIME:g} s.", lines=list(last)) from None
    if code:
        said = next((line for line in reversed(last) if line.strip()), "nothing was said")
        raise InstallFailed(f"uv ended with {code}: {said}", lines=list(last))


def _environment(folder: Path, *, needed: bool) -> Environment | None:
    """The project's environment. One in which only NAT cannot serve is good enough for tests."""
    ours = environment.look(folder)
    works = ours.usable or (ours.standing is Standing.BROKEN and bool(ours.installed))
    if works:
        return ours
    if not needed:
        return None
    if ours.standing is Standing.BROKEN:
        raise EnvironmentBroken(f"{ours.folder}: {ours.reason}", reason=ours.reason)
    raise EnvironmentNotBuilt(f"{folder.name}: {ours.reason}", reason=ours.reason)


def _places(folder: Path, ask: Selection, found: TestSettings) -> tuple[list[str], str]:
    inside = Inside(folder)
    for named in (*ask.paths, *ask.coverage_source):
        file = named.partition("::")[0]
        try:
            there = inside.resolve(file).exists()
        except (NotFound, Conflict):
            there = False
        if not there:
            raise TestPathNotFound(f"There is no {file} in the project.", path=file)
    return words.places(ask, found, lambda name: (folder / name).is_dir())


def _missing(ask: Selection, found: TestSettings, has: frozenset[str]) -> tuple[str, ...]:
    lacking = [need for need in words.needed(ask, found) if not has & set(need.split("|"))]
    packages = tuple(_PACKAGES[need] for need in lacking)
    if packages and not ask.install:
        problem = PytestNotInstalled if "pytest" in lacking else CoverageNotInstalled
        raise problem(f"The environment lacks {', '.join(packages)}.", packages=list(packages))
    return packages


def _own_command(
    folder: Path, ask: Selection, found: TestSettings, paths: list[str], env: Mapping[str, str]
) -> None:
    if found.report:
        Inside(folder).resolve(found.report)
    word = words.own(ask, found, paths, Path("report"))[0]
    there = (folder / word).is_file() if "/" in word else shutil.which(word, path=env.get("PATH", ""))
    if not there:
        raise TestCommandNotFound(f"There is no program {word}.", command=word)
