from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from att.cli.main import main
from att.rooms import ROOMS
from tests.att.http.house import TOKEN, Served, served


class Att:
    """The command line in this process: its exit code and what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str) -> Said:
        self._capsys.readouterr()
        code = main(list(argv))
        told = self._capsys.readouterr()
        return Said(code, told.out, told.err)


class Said:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> object:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    (home / "token").write_text(TOKEN)
    (home / "token").chmod(0o600)
    with served(home) as house:
        house.ask("POST", "/things", {"name": "lamp", "size": 5, "tags": ["a"]})
        yield house


@pytest.fixture
def att(
    house: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Said]:
    """`att` for the house, with its room beside the real ones."""
    monkeypatch.setitem(ROOMS, "thing", ("tests.att.http.things", "Things."))
    monkeypatch.setenv("ATT_HOME", str(house.settings.home))
    monkeypatch.setenv("ATT_URL", house.url)
    monkeypatch.delenv("ATT_TOKEN", raising=False)
    monkeypatch.chdir(Path(house.settings.home))
    return Att(capsys)
