"""Which uv commands make a project's environment."""

from pathlib import Path

import pytest

from att.runtime import nat, recipe
from att.runtime.config import NatConfig
from att.runtime.errors import EnvironmentBuildFailed, InvalidSettings
from att.runtime.settings import EnvironmentSettings

PROJECT = '[project]\nname = "app"\nversion = "1"\ndependencies = [{}]\n'
BUILD = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


def plan(folder: Path, config: NatConfig | None = None, **settings: object) -> recipe.Recipe:
    return recipe.write(recipe.gather(folder), EnvironmentSettings.model_validate(settings), config)


def words(found: recipe.Recipe) -> str:
    return " ".join(word for step in found.steps for word in step.argv)


def test_a_uv_lock_is_followed_exactly(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT.format('"nvidia-nat"'))
    (tmp_path / "uv.lock").write_text("version = 1\n")
    found = plan(tmp_path)
    assert found.source == "uv.lock"
    assert "sync --frozen --compile-bytecode" in words(found)


def test_pinned_requirements_are_a_lock(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(BUILD + PROJECT.format('"nvidia-nat"'))
    (tmp_path / "requirements.txt").write_text("a==1 \\\n  --hash=sha256:00\n# note\nb[x]==2.0\n")
    found = plan(tmp_path)
    assert found.source == "requirements.txt"
    assert "-r requirements.txt" in words(found)
    assert "--no-deps -e ." in words(found)


def test_otherwise_the_known_good_versions_hold_it_back(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(BUILD + PROJECT.format('"nvidia-nat>=1.4.3,<2"'))
    found = plan(tmp_path)
    assert found.source == "nat-1.9"
    assert "-e ." in words(found)
    assert "sqlalchemy[asyncio]>=2" in words(found)
    assert words(found).endswith(f"--constraints {nat.NEWEST.constraints}")
    fallback = found.steps[-1].instead
    assert "--constraints" not in fallback
    assert "nvidia-nat==1.9.0" in fallback
    assert all(step.argv[0] == "venv" or "--compile-bytecode" in step.argv for step in found.steps)


@pytest.mark.parametrize(
    ("asked", "named", "source"),
    [("~=1.4.3", "", "nat-1.4"), (">=1.4", "1.4", "nat-1.4"), ("==1.6.0", "", "free")],
)
def test_the_line_follows_the_project_or_att_toml(
    tmp_path: Path, asked: str, named: str, source: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(BUILD + PROJECT.format(f'"nvidia-nat{asked}"'))
    found = plan(tmp_path, nat=named)
    assert found.source == source
    assert bool(found.notes) == (source == "free")


def test_a_line_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"1\.9"):
        plan(tmp_path, nat="7.7")


def test_a_config_alone_gets_nat_with_what_its_components_need(tmp_path: Path) -> None:
    config = NatConfig(tmp_path / "c", {}, {"workflow": "react_agent", "function_groups.t": "mcp_client"})
    found = words(plan(tmp_path, config))
    assert "nvidia-nat==1.9.0" in found
    assert "nvidia-nat[mcp]" in found
    assert "nvidia-nat[langchain]" in found
    assert "nvidia-nat[" not in words(plan(tmp_path))


def test_another_server_gets_no_nat(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("aiohttp>=3\n")
    found = recipe.write(recipe.gather(tmp_path), EnvironmentSettings(), None, default_command=False)
    assert "nvidia" not in words(found)
    assert "-r requirements.txt" in words(found)


def test_the_digest_changes_with_what_goes_in_and_with_nothing_else(tmp_path: Path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(BUILD + PROJECT.format('"nvidia-nat"'))
    first = plan(tmp_path).digest
    pyproject.write_text(BUILD + PROJECT.format('"nvidia-nat"') + "[tool.ruff]\nline-length = 9\n")
    assert plan(tmp_path).digest == first
    assert plan(tmp_path, extras=["x"]).digest != first
    pyproject.write_text(BUILD + PROJECT.format('"nvidia-nat", "httpx"'))
    assert plan(tmp_path).digest != first


def test_a_pyproject_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project")
    with pytest.raises(EnvironmentBuildFailed, match=r"pyproject\.toml"):
        recipe.gather(tmp_path)


def test_requirements_are_locked_only_when_all_are_pinned() -> None:
    assert recipe.is_locked("a==1\nb==2\n")
    assert not recipe.is_locked("a==1\nb>=2\n")
    assert not recipe.is_locked("")
    assert not recipe.is_locked("-e .\n")
