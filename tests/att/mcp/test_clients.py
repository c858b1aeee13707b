"""`att mcp config`: what each client gets to read, where, and that its file loses nothing by it."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from att.cli.main import main
from att.mcp.clients import CLIENTS, VARIABLE, by_command, by_http, file_of
from att.mcp.textedit import NotEditable

USER = Path("/home/u")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, with ATT's state in the usual place, in a folder that is a project."""
    for name in [name for name in os.environ if name.startswith("ATT_")]:
        monkeypatch.delenv(name)
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("client", "linux", "mac", "project"),
    [
        ("claude", ".claude.json", ".claude.json", ".mcp.json"),
        ("cursor", ".cursor/mcp.json", ".cursor/mcp.json", ".cursor/mcp.json"),
        (
            "vscode",
            ".config/Code/User/mcp.json",
            "Library/Application Support/Code/User/mcp.json",
            ".vscode/mcp.json",
        ),
        ("codex", ".codex/config.toml", ".codex/config.toml", ".codex/config.toml"),
    ],
)
def test_each_client_has_its_file(client: str, linux: str, mac: str, project: str) -> None:
    found = CLIENTS[client]
    assert file_of(found, USER, None, "linux", {}) == USER / linux
    assert file_of(found, USER, None, "darwin", {}) == USER / mac
    assert file_of(found, USER, Path("/p"), "linux", {}) == Path("/p") / project


def test_the_variables_that_move_a_client_are_followed() -> None:
    assert file_of(CLIENTS["codex"], USER, None, "linux", {"CODEX_HOME": "/c"}) == Path("/c/config.toml")
    assert file_of(CLIENTS["claude"], USER, None, "linux", {"CLAUDE_CONFIG_DIR": "/c"}) == Path(
        "/c/.claude.json"
    )
    assert file_of(CLIENTS["vscode"], USER, None, "linux", {"XDG_CONFIG_HOME": "/x"}) == Path(
        "/x/Code/User/mcp.json"
    )


def test_what_a_client_cannot_do_is_refused() -> None:
    with pytest.raises(NotEditable):
        file_of(CLIENTS["claude-desktop"], USER, Path("/p"), "linux", {})
    with pytest.raises(NotEditable):
        by_http(CLIENTS["claude-desktop"], "http://x/mcp")


def test_by_http_the_token_is_named_and_not_told() -> None:
    entries = {name: by_http(client, "http://x/mcp") for name, client in CLIENTS.items() if client.http}
    assert entries["claude"]["headers"] == {"Authorization": "Bearer ${ATT_TOKEN}"}
    assert (
        entries["cursor"]["headers"]
        == entries["vscode"]["headers"]
        == {"Authorization": "Bearer ${env:ATT_TOKEN}"}
    )
    assert entries["codex"] == {"url": "http://x/mcp", "bearer_token_env_var": VARIABLE}
    assert entries["claude"]["type"] == entries["vscode"]["type"] == "http"


def test_by_command_nothing_of_the_token_is_needed() -> None:
    assert by_command(CLIENTS["codex"], "att", ["mcp"]) == {"command": "att", "args": ["mcp"]}
    assert by_command(CLIENTS["vscode"], "att", ["mcp"]) == {
        "type": "stdio",
        "command": "att",
        "args": ["mcp"],
    }


def told(client: str, file: Path) -> dict[str, Any]:
    """Our entry in a client's file."""
    text = file.read_text()
    read = tomllib.loads(text) if client == "codex" else json.loads(text)
    entry: dict[str, Any] = read[CLIENTS[client].table]["att"]
    return entry


@pytest.mark.parametrize("client", list(CLIENTS))
def test_what_is_printed_is_what_is_written(
    home: Path, client: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mcp", "config", client]) == 0
    printed = capsys.readouterr()
    assert main(["mcp", "config", client, "--write"]) == 0
    file = file_of(CLIENTS[client], home, None, "linux", {})
    assert file.read_text() == printed.out
    assert str(file) in printed.err
    assert told(client, file)["args"] == ["mcp"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("form", ["--stdio", "--http"])
def test_the_rooms_are_written_into_the_entry_and_taken_out_of_it(
    home: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written = ["mcp", "config", "claude", "--write", form]
    assert main([*written, "--rooms", "project, code,project"]) == 0
    entry = told("claude", home / ".claude.json")
    if form == "--stdio":
        assert entry["args"] == ["mcp", "--rooms", "project,code"]
    else:
        assert entry["url"].endswith("/mcp?rooms=project,code")
    assert main(["mcp", "config", "claude", form, "--rooms", "project,cod"]) == 2
    assert "no room cod; there are code, debug" in capsys.readouterr().err
    assert told("claude", home / ".claude.json") == entry
    assert main(written) == 0
    assert "rooms" not in json.dumps(told("claude", home / ".claude.json"))


def test_it_may_be_repeated_and_changed_and_keeps_what_the_user_added(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / ".cursor/mcp.json"
    main(["mcp", "config", "cursor", "--write"])
    first = file.read_bytes()
    capsys.readouterr()
    assert main(["mcp", "config", "cursor", "--write"]) == 0
    assert capsys.readouterr().out == f"unchanged {file}\n"
    assert file.read_bytes() == first
    read = json.loads(first)
    read["mcpServers"]["att"]["env"] = {"A": "1"}
    read["mcpServers"]["other"] = {"url": "http://o"}
    file.write_text(json.dumps(read))
    file.chmod(0o640)
    assert main(["mcp", "config", "cursor", "--write", "--http"]) == 0
    read = json.loads(file.read_text())
    assert read["mcpServers"]["att"].keys() == {"url", "headers", "env"}
    assert read["mcpServers"]["other"] == {"url": "http://o"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["mcp.json"], "nothing else is left there"


@pytest.mark.parametrize(
    ("client", "text"), [("cursor", '{"mcpServers": '), ("codex", "[a\n"), ("claude", "[]")]
)
def test_a_file_that_is_not_valid_is_refused_and_kept(
    home: Path, client: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = file_of(CLIENTS[client], home, None, "linux", {})
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    assert main(["mcp", "config", client, "--write"]) == 1
    assert "was left as it is" in capsys.readouterr().err
    assert file.read_text() == text


def test_a_file_that_is_no_text_is_refused_and_kept(home: Path) -> None:
    home.joinpath(".claude.json").write_bytes(b"\xff\xfe{}")
    assert main(["mcp", "config", "claude", "--write"]) == 1
    assert home.joinpath(".claude.json").read_bytes() == b"\xff\xfe{}"


def test_a_link_stays_a_link(home: Path) -> None:
    home.joinpath("dots").mkdir()
    home.joinpath("dots/claude.json").write_text("{}")
    home.joinpath(".claude.json").symlink_to("dots/claude.json")
    assert main(["mcp", "config", "claude", "--write"]) == 0
    assert home.joinpath(".claude.json").is_symlink()
    assert told("claude", home / "dots/claude.json")["type"] == "stdio"


def test_for_a_project_the_command_is_called_by_its_name(home: Path) -> None:
    assert main(["mcp", "config", "claude", "--project", "--write"]) == 0
    assert told("claude", home / ".mcp.json") == {"type": "stdio", "command": "att", "args": ["mcp"]}


def test_the_command_is_the_one_that_outlives_updates(home: Path) -> None:
    shim = home / ".local/share/att/bin/att"
    shim.parent.mkdir(parents=True)
    shim.write_text("#!/bin/sh\n")
    assert main(["mcp", "config", "codex", "--write"]) == 0
    assert told("codex", home / ".codex/config.toml")["command"] == str(shim)


def test_another_home_and_address_are_told_to_the_command_and_the_token_never_is(home: Path) -> None:
    (home / "state").mkdir()
    (home / "state/token").write_text("att_the-very-secret-token")
    argv = ["mcp", "config", "codex", "--write", "--home", str(home / "state"), "--url", "http://127.0.0.1:9"]
    assert main(argv) == 0
    entry = told("codex", home / ".codex/config.toml")
    assert entry["args"] == ["--home", str(home / "state"), "--url", "http://127.0.0.1:9", "mcp"]
    assert main([*argv, "--http"]) == 0
    text = home.joinpath(".codex/config.toml").read_text()
    assert tomllib.loads(text)["mcp_servers"]["att"] == {
        "url": "http://127.0.0.1:9/mcp",
        "bearer_token_env_var": "ATT_TOKEN",
    }
    assert "secret" not in text


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_left(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.joinpath(".cursor").write_text("a file where the folder should be")
    assert main(["mcp", "config", "cursor", "--write"]) == 1
    assert "cannot be written: Not a directory" in capsys.readouterr().err
