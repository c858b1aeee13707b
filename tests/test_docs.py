"""The README is complete: every setting, operation and script that there is stands in it, and nothing that is not."""

from __future__ import annotations

import re
from pathlib import Path

from att.cli.start import serve_command
from att.config import Settings
from att.rooms import catalogue

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_setting_is_documented_and_no_other() -> None:
    named = re.findall(r"^\| `(\w+)` \|", section("Settings"), re.MULTILINE)
    assert named == list(Settings.model_fields)


def test_every_operation_is_named_and_no_other() -> None:
    named = set(re.findall(r"`(\w+(?:\.\w+)+|health)`", section("The doors").split("### ")[0]))
    assert named == {operation.name for operation in catalogue()}


def test_every_script_is_documented() -> None:
    scripts = {path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and "." not in path.name}
    scripts = {name for name in scripts if not name.startswith("_")}
    assert {name for name in scripts if f"scripts/{name}" not in README} == set()


def test_every_flag_of_the_daemon_is_a_setting_of_the_table() -> None:
    flags = {option.name for option in serve_command().params} - {"standalone"}
    assert flags <= set(Settings.model_fields)


def test_the_changelog_has_an_unreleased_part_on_top() -> None:
    titles = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert titles[0] == "Unreleased"
