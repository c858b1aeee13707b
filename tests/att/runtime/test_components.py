"""Which components look unknown, from the sources alone."""

from pathlib import Path

import pytest

from att.runtime import components, environment
from att.runtime.config import NatConfig
from tests.att.runtime import places


def suspects(folder: Path, **kinds: str) -> dict[str, str]:
    return components.suspects(environment.look(folder), folder, NatConfig(folder / "config.yml", {}, kinds))


def site(folder: Path) -> Path:
    return next((folder / ".venv" / "lib").glob("python3*/site-packages"))


def test_a_component_of_the_project_is_known(tmp_path: Path) -> None:
    folder = places.nat_project(tmp_path / "demo")
    assert suspects(folder, workflow="echo") == {}
    assert suspects(folder, workflow="demo/echo") == {}
    assert suspects(folder, workflow="ecko") == {"workflow": "ecko"}


@pytest.mark.parametrize(
    "source", ['class A(B, name="search"): ...', "KINDS = ['search']", 'register("search")']
)
def test_a_component_of_nat_or_of_a_plugin_is_known(tmp_path: Path, source: str) -> None:
    folder = places.nat_project(tmp_path / "demo")
    where = site(folder) / "nat" / "tool"
    where.mkdir(parents=True)
    (where / "register.py").write_text(f"name = 1\n{source}\n")
    plugin = site(folder) / "plugin"
    plugin.mkdir()
    (plugin / "register.py").write_text('class C(B, name="weather"): ...')
    facts = site(folder) / "plugin-1.0.dist-info"
    facts.mkdir()
    (facts / "entry_points.txt").write_text("[nat.components]\nplugin = plugin.register\n")
    assert suspects(folder, workflow="search", tool="weather") == {}


def test_a_package_that_is_no_plugin_is_not_searched(tmp_path: Path) -> None:
    folder = places.nat_project(tmp_path / "demo")
    other = site(folder) / "other"
    other.mkdir()
    (other / "a.py").write_text('name = "weather"')
    assert suspects(folder, tool="weather") == {"tool": "weather"}
