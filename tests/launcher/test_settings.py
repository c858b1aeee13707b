"""Flags, then variables, then what is usual; anything unclear is refused."""

from __future__ import annotations

import pytest

from launcher.settings import NUMBERS, TEXTS, USAGE, UsageError, address, read


def test_flags_come_before_variables_and_variables_before_what_is_usual() -> None:
    env = {"ATT_HOME": "/from/env", "ATT_LISTEN": "0.0.0.0:1", "ATT_HANG": "7"}
    settings = read(["--home", "/from/flag", "--grace=3", "--", "--home", "x"], env)
    assert (settings.home, settings.host, settings.port, settings.hang) == ("/from/flag", "0.0.0.0", 1, 7.0)
    assert settings.limits.grace == 3.0
    assert settings.arguments == ("--home", "x")


def test_what_is_usual(tmp_path: object) -> None:
    settings = read([], {"XDG_DATA_HOME": str(tmp_path)})
    assert (settings.home, settings.host, settings.port) == (f"{tmp_path}/att", "127.0.0.1", 8484)
    assert settings.module == "att.daemon"


@pytest.mark.parametrize(
    ("text", "meant"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:8484", ("::1", 8484)), ("localhost:80", ("localhost", 80))],
)
def test_addresses(text: str, meant: tuple[str, int]) -> None:
    assert address(text) == meant


@pytest.mark.parametrize(
    "text", ["", "8484", ":8484", "host:", "host:x", "host:65536", "::1:80", "host:-1", "host:²"]
)
def test_bad_addresses_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        address(text)


@pytest.mark.parametrize(
    "words", [["--nope", "1"], ["--home"], ["home"], ["--hang", "x"], ["--hang", "0"], ["--hang", "nan"]]
)
def test_what_is_not_understood_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        read(words, {})


def test_every_setting_is_in_the_usage_with_its_variable_and_its_usual_value() -> None:
    for name, usual in {**TEXTS, **NUMBERS}.items():
        lines = [line for line in USAGE.split("\n  --") if line.startswith(f"{name} ")]
        assert len(lines) == 1, name
        assert f"ATT_{name.upper()}" in lines[0]
        assert (f"{usual:g}" if isinstance(usual, float) else usual) in lines[0]
