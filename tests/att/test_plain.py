"""What is no plain file is refused at once, by whatever reads a file by its name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from att import config, plain
from att.access import read_token
from att.config import BadSettings
from att.deploy import settings as deploy
from att.git.forge import ci, forges
from att.runtime import config as nat
from att.runtime import preflight, recipe, secrets
from att.runtime.errors import EnvironmentBuildFailed, InvalidSettings, NoConfig, SecretMissing
from att.testing import prepare
from att.testing.errors import InvalidTestSettings


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


KINDS = [_pipe, _device, _folder, _socket, _large]


@pytest.mark.parametrize("make", KINDS)
def test_only_plain_files_are_read_and_never_more_than_is_expected(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "file")
    with pytest.raises(plain.NotPlain) as told:
        plain.content(tmp_path / "file", 1000)
    assert str(told.value) == ("it has more than 1000 bytes" if make is _large else "it is no plain file")


def test_what_is_plain_is_read_also_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\r\nb")
    (tmp_path / "link").symlink_to("file")
    assert plain.content(tmp_path / "link", 4) == b"a\r\nb"
    assert plain.text(tmp_path / "link") == "a\nb"
    with pytest.raises(FileNotFoundError):
        plain.content(tmp_path / "none", 4)


def _secret(file: Path) -> Any:
    return secrets.resolve({"KEY": f"${{file:{file.name}}}"}, {}, file.parent)


READERS: dict[str, tuple[str, Callable[[Path], Any], type[Exception]]] = {
    "the settings of the home": (
        "att.toml",
        lambda file: config.load({"ATT_HOME": str(file.parent)}),
        BadSettings,
    ),
    "the token": ("token", read_token, BadSettings),
    "the settings of the app": (
        "att.toml",
        lambda file: preflight.read_settings(file.parent),
        InvalidSettings,
    ),
    "the settings of its tests": (
        "att.toml",
        lambda file: prepare.read_settings(file.parent),
        InvalidTestSettings,
    ),
    "the settings of deploys": ("att.toml", lambda file: deploy.read(file.parent), InvalidSettings),
    "the config that is named": ("own.yml", lambda file: nat.find(file.parent, "own.yml"), NoConfig),
    "what could be a config": ("own.yml", lambda file: nat.find(file.parent), NoConfig),
    "a config": ("own.yml", lambda file: nat.read(file, {}), NoConfig),
    "a secret": ("key", _secret, SecretMissing),
    "what the project depends on": (
        "pyproject.toml",
        lambda file: recipe.gather(file.parent),
        EnvironmentBuildFailed,
    ),
}


@pytest.mark.parametrize("make", KINDS)
def test_settings_of_the_checks_that_cannot_be_read_are_as_none(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / ci.FILE)
    assert forges._settings(tmp_path) == ci.ForgeSettings()


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize("make", [_pipe, _device, _folder])
def test_whoever_reads_a_file_by_its_name_says_what_is_wrong_with_it(
    what: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    name, read, error = READERS[what]
    make(tmp_path / name)
    with pytest.raises(error):
        read(tmp_path / name)
