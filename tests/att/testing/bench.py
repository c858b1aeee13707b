"""A project with real tests in a real environment, and the service with all its real collaborators."""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from att.catalogue import Call
from att.testing.models import KeptResult, Selection
from att.testing.prepare import prepare
from att.testing.running import Running
from att.testing.service import Testing
from att.workflow.runs import Runs
from tests.att.runtime.house import House, open_house

PACKAGES = (
    *("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "py.py", "pygments", "coverage"),
    *("pytest_cov", "xdist", "pytest_xdist", "execnet"),
)
ME = Call(request_id="req-1", actor="tester")


def make_project(folder: Path, settings: str = "", **files: str) -> Path:
    """`files`: by name, `__` for a slash. Its environment has what this interpreter has."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if settings:
        (folder / "att.toml").write_text(settings)
    environment(folder, with_packages=True)
    return folder


def environment(folder: Path, *, with_packages: bool) -> None:
    """A virtual environment; `with_packages`: it has the pytest of this interpreter."""
    site = folder / ".venv" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    site.mkdir(parents=True, exist_ok=True)
    (folder / ".venv" / "bin").mkdir(exist_ok=True)
    home, version = Path(sys.base_prefix) / "bin", sys.version.split()[0]
    alone = "include-system-site-packages = false"
    (folder / ".venv" / "pyvenv.cfg").write_text(f"home = {home}\nversion_info = {version}\n{alone}\n")
    python = folder / ".venv" / "bin" / "python"
    if not python.is_symlink():
        python.symlink_to(home / f"python3.{sys.version_info.minor}")
    if with_packages:
        for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
            if path.name.startswith(PACKAGES) and not (site / path.name).exists():
                (site / path.name).symlink_to(path)


@dataclass
class Said:
    """What a run told while it ran."""

    lines: list[tuple[str, float | None, float | None]]

    def __call__(self, message: str, *, done: float | None = None, total: float | None = None) -> None:
        self.lines.append((message, done, total))


async def running(folder: Path, said: Said | None = None, **selection: object) -> Running:
    tmp = folder.parent / "tmp"
    prepared = await prepare("p", folder, Selection.model_validate(selection), dict(os.environ), tmp)
    return Running("run-1", prepared, tmp, said or Said([]))


def run(folder: Path, said: Said | None = None, **selection: object) -> KeptResult:
    """Run the project's tests once."""

    async def whole() -> KeptResult:
        return await (await running(folder, said, **selection)).run()

    return asyncio.run(whole())


@dataclass
class Bench:
    house: House
    runs: Runs
    testing: Testing

    async def project(self, name: str, settings: str = "", **files: str) -> str:
        folder = make_project(self.house.home / "projects" / name, settings, **files)
        return (await self.house.nat_project(folder)).id


@asynccontextmanager
async def bench(home: Path) -> AsyncIterator[Bench]:
    async with open_house(home) as house:
        runs = Runs(house.store, house.projects)
        environ = dict(os.environ)
        testing = Testing(house.projects, house.runtime, house.events, runs, home=home, environ=environ)
        try:
            await runs.open()
            yield Bench(house, runs, testing)
        finally:
            await runs.aclose()
