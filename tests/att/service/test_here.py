"""What is taken from this machine and these settings, and what is left out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from att.config import BadSettings
from att.service.description import Kind, Scope
from att.service.errors import UnfitService
from att.service.here import Wish, describe, search_path

USER = Wish(Scope.USER, Kind.SYSTEMD)
SYSTEM = Wish(Scope.SYSTEM, Kind.SYSTEMD, account="daemon")


def test_the_settings_of_this_start_become_those_of_the_service(tmp_path: Path) -> None:
    environ = {
        "ATT_HOME": str(tmp_path),
        "ATT_LISTEN": "127.0.0.1:9",
        "ATT_LOG_LEVEL": "debug",
        "PATH": "/bin",
    }
    service, warned = describe(USER, environ, "/v/bin/python")
    assert warned == []
    assert dict(service.environment) == {
        "ATT_HOME": str(tmp_path),
        "ATT_LISTEN": "127.0.0.1:9",
        "ATT_LOG_LEVEL": "debug",
        "PATH": "/v/bin:/bin",
    }


def test_what_the_file_of_settings_says_is_left_to_it_but_for_the_address(tmp_path: Path) -> None:
    (tmp_path / "att.toml").write_text('listen = "127.0.0.1:7"\nlog_level = "debug"\nroots = ["/srv/code"]\n')
    service, _ = describe(USER, {"ATT_HOME": str(tmp_path)}, "/v/bin/python")
    assert str(service.listen) == "127.0.0.1:7"
    assert "ATT_LOG_LEVEL" not in dict(service.environment)
    assert [str(root) for root in service.roots] == ["/srv/code"]


def test_a_secret_is_not_written_where_others_can_read_it(tmp_path: Path) -> None:
    environ = {
        "ATT_HOME": str(tmp_path),
        "ATT_DATABASE": "postgresql://me:word@db/att",
        "ATT_TOKEN": "x" * 20,
    }
    service, warned = describe(USER, environ, "/v/bin/python")
    assert "word" not in str(service)
    assert "x" * 20 not in str(service)
    assert "ATT_DATABASE" in warned[0]
    assert "word" not in warned[0]


def test_variables_are_taken_by_name_or_with_a_value(tmp_path: Path) -> None:
    wish = Wish(Scope.USER, Kind.SYSTEMD, home=str(tmp_path), variables=("PROXY", "A=b=c", "B="))
    service, _ = describe(wish, {"PROXY": "http://p"}, "/v/bin/python")
    assert service.variables == (("PROXY", "http://p"), ("A", "b=c"), ("B", ""))
    with pytest.raises(UnfitService):
        describe(wish, {}, "/v/bin/python")


def test_a_service_of_the_system_takes_nothing_from_the_person_who_installs_it(tmp_path: Path) -> None:
    wish = Wish(Scope.SYSTEM, Kind.SYSTEMD, account="daemon")
    service, _ = describe(wish, {"PATH": f"{tmp_path}:/bin", "HOME": str(tmp_path)}, "/v/bin/python")
    assert (str(service.home), service.account) == ("/var/lib/att", "daemon")
    assert tmp_path not in map(Path, service.path)
    assert dict(service.environment)["XDG_CACHE_HOME"] == "/var/lib/att/cache"


def test_the_interpreter_and_what_it_was_made_from_stay_readable() -> None:
    service, _ = describe(SYSTEM, {}, "/v/bin/python")
    assert {"/v", sys.base_prefix} <= {str(place) for place in service.reads}


def test_root_is_warned_of_itself() -> None:
    _, warned = describe(Wish(Scope.SYSTEM, Kind.SYSTEMD, account="root"), {}, "/v/bin/python")
    assert any("root" in text for text in warned)


def test_the_store_is_started_before_and_stopped_after(tmp_path: Path) -> None:
    (tmp_path / "att.toml").write_text('database = "postgresql://db/att"\n')
    wish = Wish(Scope.SYSTEM, Kind.SYSTEMD, home=str(tmp_path))
    assert describe(wish, {}, "/v/bin/python")[0].after == ("postgresql.service",)


def test_wrong_settings_are_told_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(BadSettings):
        describe(Wish(Scope.USER, Kind.SYSTEMD, home=str(tmp_path), listen="0.0.0.0:1"), {}, "/v/bin/python")
    with pytest.raises(UnfitService):
        describe(Wish(Scope.USER, Kind.SYSTEMD, account="att"), {}, "/v/bin/python")


def test_a_search_path_holds_each_folder_that_is_there_once(tmp_path: Path) -> None:
    text = f"{tmp_path}:relative::/nowhere/at/all:{tmp_path}:/bin"
    assert search_path(text, [Path("/v/bin"), Path("/bin")]) == [Path("/v/bin"), Path("/bin"), tmp_path]
