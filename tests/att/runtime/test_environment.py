"""What stands on disk of an environment."""

from pathlib import Path

from att.runtime import environment
from att.runtime.environment import Standing
from tests.att.runtime import places


def test_none_is_missing(tmp_path: Path) -> None:
    assert environment.look(tmp_path).standing is Standing.MISSING


def test_the_users_own_is_used_as_it_is(tmp_path: Path) -> None:
    places.environment(tmp_path, nvidia_nat="1.4.3", starlette="0.50.0")
    found = environment.look(tmp_path, "any digest")
    assert (found.standing, found.own, found.nat_version) == (Standing.READY, True, "1.4.3")
    assert found.installed["starlette"] == "0.50.0"


def test_one_that_nat_cannot_start_from_is_broken_and_says_why(tmp_path: Path) -> None:
    places.environment(tmp_path, nvidia_nat="1.4.3", starlette="1.10.0")
    found = environment.look(tmp_path)
    assert found.standing is Standing.BROKEN
    assert "starlette 1.10.0" in found.reason


def test_an_interpreter_that_is_gone_is_broken(tmp_path: Path) -> None:
    folder = places.environment(tmp_path)
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to("/nowhere/python")
    assert environment.look(tmp_path).standing is Standing.BROKEN


def test_a_build_is_known_from_its_first_moment_to_its_end(tmp_path: Path) -> None:
    folder = places.environment(tmp_path)
    environment.begin(folder)
    assert environment.look(tmp_path).standing is Standing.UNFINISHED
    environment.finish(folder, digest="d1", source="uv.lock", built_at="2026-11-21T00:00:00.000000Z")
    found = environment.look(tmp_path, "d1")
    assert (found.standing, found.own, found.source) == (Standing.READY, False, "uv.lock")
    assert environment.look(tmp_path, "d2").standing is Standing.STALE
