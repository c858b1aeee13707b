"""The property list: every key by the table of launchd.plist(5), and readable as what was meant."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.config import Address
from att.service import launchd
from att.service.description import EXAMPLES, Kind, Scope
from att.service.errors import UnfitService

USER = EXAMPLES[Kind.LAUNCHD]
SYSTEM = replace(USER, scope=Scope.SYSTEM, account="_att", home=PurePosixPath("/usr/local/var/att"))

# Of the keys that launchd knows: the type of each that we use. An unknown key is ignored by launchd without a word.
TYPES: dict[str, type] = {
    "Label": str,
    "UserName": str,
    "ProgramArguments": list,
    "EnvironmentVariables": dict,
    "WorkingDirectory": str,
    "Umask": int,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "SoftResourceLimits": dict,
    "StandardOutPath": str,
    "StandardErrorPath": str,
}
INNER: dict[str, dict[str, type]] = {
    "KeepAlive": {"SuccessfulExit": bool},
    "SoftResourceLimits": {"NumberOfFiles": int},
}


def read(text: str) -> dict[str, Any]:
    found = plistlib.loads(text.encode())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("service", [USER, SYSTEM], ids=["user", "system"])
def test_every_key_is_one_of_launchd_with_a_value_of_its_type(service: Any) -> None:
    found = read(launchd.plist(service))
    for key, value in found.items():
        assert type(value) is TYPES[key], key
        for inner, its_type in INNER.get(key, {}).items():
            assert type(value[inner]) is its_type
        if key in INNER:
            assert value.keys() == INNER[key].keys()
    assert all(type(word) is str for word in found["ProgramArguments"])
    assert all(type(value) is str for value in found["EnvironmentVariables"].values())
    assert found["ProcessType"] in ("Background", "Standard", "Adaptive", "Interactive")
    assert found["ProgramArguments"][0].startswith("/")


def test_only_the_system_names_an_account() -> None:
    assert "UserName" not in read(launchd.plist(USER))
    assert read(launchd.plist(SYSTEM))["UserName"] == "_att"


def test_a_stop_that_was_asked_for_is_no_reason_to_start_again() -> None:
    assert read(launchd.plist(USER))["KeepAlive"] == {"SuccessfulExit": False}


def test_what_we_say_of_ourselves_is_a_comment_and_the_rest_is_xml() -> None:
    text = launchd.plist(replace(USER, home=PurePosixPath("/Users/me/a--b <&>")))
    tree = ElementTree.fromstring(text)
    assert (tree.tag, tree.attrib, [child.tag for child in tree]) == ("plist", {"version": "1.0"}, ["dict"])


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_characters="\"'\\\x7f"), min_size=1)
)
def test_a_home_reads_back_as_what_it_was(name: str) -> None:
    home = PurePosixPath(f"/Users/{name}x")
    if ".." in home.parts:
        return
    found = read(launchd.plist(replace(USER, home=home)))
    assert found["EnvironmentVariables"]["ATT_HOME"] == str(home)
    assert found["ProgramArguments"][5] == str(home)


def test_there_is_no_socket() -> None:
    with pytest.raises(UnfitService):
        launchd.plist(replace(USER, socket=True, listen=Address("127.0.0.1", 8484)))


@pytest.mark.service
@pytest.mark.skipif(shutil.which("plutil") is None, reason="plutil is on macOS only")
def test_plutil_finds_nothing_wrong(tmp_path: Path) -> None:
    file = tmp_path / "att.plist"
    file.write_text(launchd.plist(USER))
    done = subprocess.run(["plutil", "-lint", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
