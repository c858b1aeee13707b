"""`att status`: the daemon and all projects on one screen."""

from __future__ import annotations

import json
from typing import Any

import click

from att.cli.client import Client, Refused
from att.cli.commands import connect, connection_options
from att.cli.render import Screen, duration, size

_COLUMNS = ("project", "state", "healthy", "url", "pid", "cpu_percent", "rss_bytes", "restarts", "uptime")


def command() -> click.Command:
    return click.Command(
        "status",
        params=list(connection_options()),
        callback=_status,
        help="Show the daemon and all projects on one screen.",
    )


@click.pass_context
def _status(ctx: click.Context, /, **given: Any) -> None:
    client, as_json = connect(ctx, given)
    health = client.get("/health")
    projects = _all_projects(client)
    runtimes = {project["id"]: _runtime(client, project["id"]) for project in projects}
    if as_json:
        click.echo(json.dumps({"health": health, "projects": projects, "runtimes": runtimes}))
        return
    screen = Screen()
    since = health.get("uptime_seconds")
    release = f", release {health['release']}" if health.get("release") else ""
    up = f", up {duration(since)}" if since is not None else ""
    screen.print(f"ATT {health['version']}{release} at {client.where.url}: {health['status']}{up}")
    for check in health.get("checks") or []:
        if not check["ok"]:
            screen.print(f"  {check['name']}: {check['reason']}")
    screen.print("")
    rows = [_row(project, runtimes[project["id"]] or {}) for project in projects]
    screen.table(
        rows, empty="There are no projects: `att project create NAME --template echo`.", columns=_COLUMNS
    )
    for project in projects:
        found = runtimes[project["id"]] or {}
        if found.get("reason") and found.get("state") != "running":
            stopped = " stopped" if found.get("state") == "stopped" else ""
            screen.print(f"\n{project['name']}{stopped}: {found['reason']}")


def _all_projects(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/projects", limit=100, **cursor)
        found += page["projects"]
        if not page.get("next_cursor"):
            return found
        cursor = {"cursor": page["next_cursor"]}


def _runtime(client: Client, project_id: str) -> dict[str, Any] | None:
    """None for a project that went away, or whose runtime cannot be told."""
    try:
        answer: dict[str, Any] = client.get(f"/projects/{project_id}/runtime/status")
    except Refused:
        return None
    return answer


def _row(project: dict[str, Any], runtime: dict[str, Any]) -> dict[str, Any]:
    healthy = runtime.get("healthy")
    running = runtime.get("state") in ("starting", "running", "stopping")
    return {
        "project": project["name"],
        "state": runtime.get("state") or project["status"],
        "healthy": "-" if not running or healthy is None else "healthy" if healthy else "unhealthy",
        "url": runtime.get("url") if running else None,
        "pid": runtime.get("pid") if running else None,
        "cpu_percent": runtime.get("cpu_percent") if running else None,
        "rss_bytes": size(runtime["rss_bytes"]) if running and runtime.get("rss_bytes") else None,
        "restarts": runtime.get("restarts") or None,
        "uptime": _since(runtime.get("started_at")) if running else None,
    }


def _since(text: str | None) -> str | None:
    if text is None:
        return None
    import datetime

    began = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return duration(max(0.0, (datetime.datetime.now(datetime.UTC) - began).total_seconds()))
