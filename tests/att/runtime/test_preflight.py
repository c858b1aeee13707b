"""What is refused before a start, each under its own code."""

import asyncio
from pathlib import Path

import pytest

from att.problems import Problem
from att.runtime import preflight
from att.runtime.preflight import Ready
from tests.att.runtime import places


def look(folder: Path, environ: dict[str, str] | None = None) -> Ready:
    tmp = folder.parent / "run" / "tmp"
    return asyncio.run(
        preflight.look_over("demo", folder, tmp=tmp, environ={"PATH": "/usr/bin:/bin", **(environ or {})})
    )


def refusal(folder: Path, environ: dict[str, str] | None = None) -> Problem:
    with pytest.raises(Problem) as caught:
        look(folder, environ)
    return caught.value


def test_a_project_in_order_is_ready(tmp_path: Path) -> None:
    folder = places.nat_project(tmp_path / "demo")
    ready = look(folder)
    assert ready.argv[0] == str(folder / ".venv" / "bin" / "nat")
    spec = ready.spec(8123)
    assert spec.port == 8123
    assert "8123" in spec.command
    assert spec.probes[-1].url == "http://127.0.0.1:8123/health"
    assert ready.warnings == ()


def test_no_config(tmp_path: Path) -> None:
    (places.nat_project(tmp_path / "demo") / "config.yml").unlink()
    assert refusal(tmp_path / "demo").code == "no_config"


def test_invalid_yaml(tmp_path: Path) -> None:
    (places.nat_project(tmp_path / "demo") / "config.yml").write_text("workflow: [\n")
    problem = refusal(tmp_path / "demo")
    assert problem.code == "invalid_yaml"
    assert problem.extra["line"] == 2


def test_invalid_settings(tmp_path: Path) -> None:
    (places.nat_project(tmp_path / "demo") / "att.toml").write_text("[runtime]\nprot = 1\n")
    assert refusal(tmp_path / "demo").code == "invalid_settings"


def test_missing_secret(tmp_path: Path) -> None:
    (places.nat_project(tmp_path / "demo") / "att.toml").write_text(
        '[runtime]\nenv = { K = "${env:NOPE}" }\n'
    )
    problem = refusal(tmp_path / "demo")
    assert (problem.code, problem.extra["reference"]) == ("secret_missing", "${env:NOPE}")
    assert look(tmp_path / "demo", {"NOPE": "here"}).env["K"] == "here"


def test_environment_not_built_names_the_operation_that_builds(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "config.yml").write_text(places.CONFIG)
    problem = refusal(folder)
    assert problem.code == "environment_not_built"
    assert "runtime environment-build" in problem.advice


def test_an_unfinished_environment_is_not_built(tmp_path: Path) -> None:
    folder = places.nat_project(tmp_path / "demo")
    (folder / ".venv" / "att-building").write_text("")
    assert refusal(folder).code == "environment_not_built"


def test_an_environment_that_cannot_serve_is_broken(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "config.yml").write_text(places.CONFIG)
    places.environment(folder, nvidia_nat_core="1.9.0")
    problem = refusal(folder)
    assert problem.code == "environment_broken"
    assert "sqlalchemy" in problem.detail


def test_command_not_found(tmp_path: Path) -> None:
    folder = places.nat_project(tmp_path / "demo")
    (folder / "att.toml").write_text('[runtime]\ncommand = ["no-such-program"]\n')
    assert refusal(folder).code == "command_not_found"
    (folder / "att.toml").write_text('[runtime]\ncommand = ["./server"]\n')
    assert refusal(folder).code == "command_not_found"
    (folder / "att.toml").unlink()
    (folder / ".venv" / "bin" / "nat").unlink()
    problem = refusal(folder)
    assert problem.code == "command_not_found"
    assert "nvidia-nat" in problem.advice


REFUSES = """#!/bin/sh
echo "Error: Invalid configuration: workflow: Input tag 'ecko' found using x() does not match any of the expected tags: 'a/echo'"
exit 1
"""


def test_unknown_component(tmp_path: Path) -> None:
    folder = places.nat_project(tmp_path / "demo")
    (folder / "config.yml").write_text("workflow:\n  _type: ecko\n")
    (folder / ".venv" / "bin" / "nat").write_text(REFUSES)
    problem = refusal(folder)
    assert problem.code == "unknown_component"
    assert problem.extra["known"] == ["echo"]
    assert "did you mean `echo`" in problem.detail


def test_a_component_that_only_looks_unknown_is_let_through(tmp_path: Path) -> None:
    folder = places.nat_project(tmp_path / "demo")
    (folder / "config.yml").write_text("workflow:\n  _type: made_by_a_formula\n")
    assert look(folder).place.config is not None


def test_an_unset_variable_of_the_config_is_a_warning(tmp_path: Path) -> None:
    folder = places.nat_project(tmp_path / "demo")
    (folder / "config.yml").write_text(places.CONFIG + "  prefix: ${GREETING}\n")
    assert "GREETING" in look(folder).warnings[0]
    assert look(folder, {"GREETING": "hi"}).warnings == ()


def test_another_server_needs_neither_config_nor_environment(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "att.toml").write_text('[runtime]\ncommand = ["sh", "-c", "sleep 1"]\n')
    ready = look(folder)
    assert ready.place.config is None
    assert ready.argv[0].endswith("/sh")


def test_the_list_of_projects_learns_of_a_config_without_a_refusal(tmp_path: Path) -> None:
    folder = places.nat_project(tmp_path / "demo")
    assert preflight.find_config(folder) == folder / "config.yml"
    (folder / "att.toml").write_text("[runtime\n")
    assert preflight.find_config(folder) is None
    assert preflight.find_config(tmp_path / "nowhere") is None
