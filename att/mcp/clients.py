"""Which programs can be told of ATT, and what each wants to read in which file. Decides only; does no I/O.

The command form is the usual one: `att mcp` reads the token by itself, so no file of a client ever holds it. In the HTTP form the
file names the variable that holds the token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from att.mcp.textedit import NotEditable, put_json, put_toml, read_json

NAME = "att"
VARIABLE = "ATT_TOKEN"
# What an entry of ours says; other keys in it are the user's.
MANAGED = frozenset({"type", "command", "args", "url", "headers", "bearer_token_env_var"})


@dataclass(frozen=True, slots=True)
class Client:
    """One program. Paths are those of one user, and of one project."""

    name: str
    title: str
    table: str  # below which servers stand
    user: tuple[str, ...]
    project: tuple[str, ...] | None
    variable: str = ""  # how a value of the environment is named in the file; empty: by a key of its own
    typed: bool = True  # whether an entry says its type
    http: bool = True
    mac: tuple[str, ...] | None = None


CLIENTS = {
    client.name: client
    for client in (
        Client("claude", "Claude Code", "mcpServers", (".claude.json",), (".mcp.json",), "${%s}"),
        Client(
            "claude-desktop",
            "Claude Desktop",
            "mcpServers",
            (".config", "Claude", "claude_desktop_config.json"),
            None,
            typed=False,
            http=False,
            mac=("Library", "Application Support", "Claude", "claude_desktop_config.json"),
        ),
        Client(
            "cursor", "Cursor", "mcpServers", (".cursor", "mcp.json"), (".cursor", "mcp.json"), "${env:%s}"
        ),
        Client(
            "vscode",
            "VS Code",
            "servers",
            (".config", "Code", "User", "mcp.json"),
            (".vscode", "mcp.json"),
            "${env:%s}",
            mac=("Library", "Application Support", "Code", "User", "mcp.json"),
        ),
        Client("codex", "Codex", "mcp_servers", (".codex", "config.toml"), (".codex", "config.toml")),
    )
}


def file_of(
    client: Client, home: Path, project: Path | None, platform: str, environ: Mapping[str, str]
) -> Path:
    """The file of a user, or of a project. NotEditable when the client has none of that kind."""
    if project is not None:
        if client.project is None:
            raise NotEditable(f"{client.title} has no settings of a project")
        return project.joinpath(*client.project)
    if client.name == "codex" and environ.get("CODEX_HOME"):
        return Path(environ["CODEX_HOME"], client.user[-1])
    if client.name == "claude" and environ.get("CLAUDE_CONFIG_DIR"):
        return Path(environ["CLAUDE_CONFIG_DIR"], client.user[-1])
    if platform == "darwin" and client.mac:
        return home.joinpath(*client.mac)
    if client.user[0] == ".config" and environ.get("XDG_CONFIG_HOME"):
        return Path(environ["XDG_CONFIG_HOME"]).joinpath(*client.user[1:])
    return home.joinpath(*client.user)


def by_command(client: Client, command: str, arguments: list[str]) -> dict[str, Any]:
    """The entry of a client that starts `att mcp`."""
    typed = {"type": "stdio"} if client.typed and client.name != "codex" else {}
    return {**typed, "command": command, "args": arguments}


def by_http(client: Client, url: str) -> dict[str, Any]:
    """The entry of a client that asks the daemon itself."""
    if not client.http:
        raise NotEditable(f"{client.title} takes no address in its file; use the command form")
    if client.name == "codex":
        return {"url": url, "bearer_token_env_var": VARIABLE}
    typed = {} if client.name == "cursor" else {"type": "http"}
    return {**typed, "url": url, "headers": {"Authorization": f"Bearer {client.variable % VARIABLE}"}}


def put(client: Client, text: str, entry: dict[str, Any]) -> str:
    """The text of the client's file with our entry in it. All else in it stays, also what the user added to the entry."""
    if client.name == "codex":
        return put_toml(text, (client.table, NAME), entry, MANAGED)
    there = read_json(text)
    servers = there.get(client.table) if isinstance(there, dict) else None
    old = servers.get(NAME) if isinstance(servers, dict) else None
    kept = {key: value for key, value in old.items() if key not in MANAGED} if isinstance(old, dict) else {}
    wanted = {**entry, **kept}
    return text if old == wanted else put_json(text, (client.table, NAME), wanted)
