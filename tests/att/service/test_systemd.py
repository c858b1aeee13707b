"""The units: what stands in them, how words are written, and what systemd itself says of them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.config import Address
from att.service import systemd
from att.service.description import EXAMPLES, Kind, Scope, Service

SYSTEM = EXAMPLES[Kind.SYSTEMD]
USER = replace(SYSTEM, scope=Scope.USER, account=None, account_home=None, home=PurePosixPath("/home/me/att"))


def settings(text: str) -> dict[str, list[str]]:
    """Every key with its values."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_each_key_stands_once_but_for_variables() -> None:
    for what in (SYSTEM, USER, replace(SYSTEM, socket=True, listen=Address("10.0.0.5", 80))):
        found = settings(systemd.service(what))
        assert {key for key, values in found.items() if len(values) > 1} == {"Environment"}
        parser = RawConfigParser(strict=False)
        parser.read_string(systemd.service(what))
        assert parser.sections() == ["Unit", "Service", "Install"]


def test_a_service_of_the_system_runs_as_its_account_without_any_right_of_root() -> None:
    found = settings(systemd.service(SYSTEM))
    assert (found["User"], found["CapabilityBoundingSet"], found["NoNewPrivileges"]) == (
        ["att"],
        [""],
        ["yes"],
    )
    assert found["WantedBy"] == ["multi-user.target"]
    assert found["EnvironmentFile"] == ["-/etc/att.env"]


def test_a_service_of_a_user_holds_nothing_that_systemd_cannot_do_there() -> None:
    found = settings(systemd.service(USER))
    assert found["WantedBy"] == ["default.target"]
    assert not {
        key for key in found if key.startswith(("Protect", "Private", "Capability", "ReadWrite", "User"))
    }
    assert "network" not in systemd.service(USER)


def test_the_account_writes_to_its_places_only() -> None:
    found = settings(systemd.service(replace(SYSTEM, roots=(PurePosixPath("/srv/my code"),))))
    assert found["ProtectSystem"] == ["strict"]
    assert found["StateDirectory"] == ["att"]
    assert found["ReadWritePaths"] == ['"-/srv/my code"']
    found = settings(systemd.service(replace(SYSTEM, home=PurePosixPath("/srv/att"), account_home=None)))
    assert "StateDirectory" not in found
    assert found["ReadWritePaths"] == ["-/srv/att"]


def test_homes_are_hidden_unless_something_needed_lies_there() -> None:
    hidden = {SYSTEM: "yes"}
    hidden[replace(SYSTEM, python=PurePosixPath("/home/me/venv/bin/python"))] = "read-only"
    hidden[replace(SYSTEM, reads=(PurePosixPath("/root/.pyenv"),))] = "read-only"
    hidden[replace(SYSTEM, roots=(PurePosixPath("/home/me/code"),))] = "read-only"
    assert {what: settings(systemd.service(what))["ProtectHome"] for what in hidden} == {
        what: [value] for what, value in hidden.items()
    }


def test_temporary_files_are_private_unless_something_needed_lies_there() -> None:
    assert settings(systemd.service(SYSTEM))["PrivateTmp"] == ["yes"]
    there = replace(SYSTEM, roots=(PurePosixPath("/tmp/code"),))
    assert "PrivateTmp" not in settings(systemd.service(there))


def test_an_address_of_the_network_is_waited_for() -> None:
    found = settings(
        systemd.service(replace(SYSTEM, listen=Address("10.0.0.5", 80), after=("postgresql.service",)))
    )
    assert found["Wants"] == ["network-online.target"]
    assert {"network.target", "network-online.target", "postgresql.service"} <= set(found["After"][0].split())


def test_the_socket_is_there_only_on_request() -> None:
    assert "att.socket" not in systemd.service(SYSTEM)
    found = settings(systemd.service(replace(SYSTEM, socket=True)))
    assert (found["Requires"], found["Also"]) == (["att.socket"], ["att.socket"])
    listening = settings(systemd.socket(replace(SYSTEM, socket=True, listen=Address("::1", 8484))))
    assert listening["ListenStream"] == ["[::1]:8484"]


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\"'\\\x7f"), min_size=1)
)
def test_a_word_reads_back_as_what_it_was(text: str) -> None:
    told = systemd.word(text, dollar="$$")
    (back,) = shlex.split(told, comments=True)
    assert back.replace("%%", "%").replace("$$", "$") == text
    assert "%" not in told.replace("%%", "")


# -- what systemd itself says

analyzer = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(
    analyzer is None, reason="systemd-analyze is not here (Debian: apt install systemd)"
)


def real(what: Service) -> Service:
    """With an interpreter that is there: whether it is, is looked at too."""
    return replace(what, python=PurePosixPath(sys.executable))


VARIANTS = {
    "system": real(SYSTEM),
    "socket": real(replace(SYSTEM, socket=True)),
    "elsewhere": real(
        replace(
            SYSTEM,
            home=PurePosixPath("/srv/my %home $x; #1"),
            roots=(PurePosixPath("/home/me/code"), PurePosixPath("/srv/ü b")),
            listen=Address("10.0.0.5", 80),
            variables=(("A", "b c %n $d; #"), ("EMPTY", "")),
            after=("postgresql.service",),
            socket=True,
        )
    ),
    "user": real(USER),
    "user socket": real(replace(USER, socket=True, home=PurePosixPath("/home/me/my %home $x"))),
}


def analyze(folder: Path, what: Service, *words: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    (folder / "att.service").write_text(systemd.service(what))
    names = ["att.service"]
    if what.socket:
        (folder / "att.socket").write_text(systemd.socket(what))
        names.append("att.socket")
    if "security" in words:
        names = names[:1]
    scope = ["--user"] if what.scope is Scope.USER else []
    return subprocess.run(
        [analyzer or "systemd-analyze", *scope, *words, *(f"./{name}" for name in names)],
        cwd=folder,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.service
@needs_systemd
@pytest.mark.parametrize("name", VARIANTS)
def test_systemd_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    done = analyze(tmp_path, VARIANTS[name], "verify", "--man=no")
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "att." in line or "/att" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.service
@needs_systemd
def test_systemd_finds_what_is_wrong(tmp_path: Path) -> None:
    """So that finding nothing means something."""
    broken = replace(SYSTEM, python=PurePosixPath("/nowhere/python"))
    done = analyze(tmp_path, broken, "verify", "--man=no")
    assert done.returncode != 0
    assert "/nowhere/python" in done.stderr


def exposure(told: str) -> float:
    found = re.search(r"Overall exposure level for .*?: ([0-9.]+)", told)
    assert found, told
    return float(found[1])


@pytest.mark.service
@needs_systemd
@pytest.mark.parametrize(("name", "most"), [("system", 3.4), ("elsewhere", 3.5), ("user", 7.8)])
def test_the_exposure_that_systemd_sees_does_not_grow(name: str, most: float, tmp_path: Path) -> None:
    done = analyze(tmp_path, VARIANTS[name], "security", "--offline=true", "--no-pager")
    assert exposure(done.stdout) <= most
