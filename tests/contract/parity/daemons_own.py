"""What is asked of the rooms token, mcp and release."""

from __future__ import annotations

import json
import shutil

from tests.contract.parity.case import Case
from tests.daemon import RunningDaemon


def no_token(daemon: RunningDaemon) -> None:
    assert daemon.ask("DELETE", "/tokens/agent").status in (200, 404)


def a_token(daemon: RunningDaemon) -> None:
    assert daemon.ask("POST", "/tokens", {"name": "agent", "scope": "write"}).status in (201, 409)


def record_broken(daemon: RunningDaemon) -> None:
    (daemon.home / "boot.json").write_text("{ this is no record")


def record_as_it_was(daemon: RunningDaemon) -> None:
    (daemon.home / "boot.json").unlink(missing_ok=True)


def staged(daemon: RunningDaemon) -> None:
    """A release that the daemon did not make, in a home without a launcher."""
    record_as_it_was(daemon)
    folder = daemon.home / "releases" / "r1"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "release.json").write_text(json.dumps({"id": "r1", "version": "1", "digest": "0" * 64}))


CASES = [
    Case("token.list", before=no_token),
    Case("token.list", {"limit": 0}, "invalid_request"),
    Case("token.create", {"name": "agent", "scope": "write"}, before=no_token, anew=frozenset({"token"})),
    Case("token.create", {"name": "agent"}, "token_exists", a_token),
    Case("token.create", {"name": "owner"}, "owners_token"),
    Case("token.create", {"name": "/"}, "invalid_request"),
    Case(
        "token.create", {"name": "agent", "expires_at": "2000-01-01T00:00:00Z"}, "invalid_request", no_token
    ),
    Case("token.revoke", {"name": "agent"}, before=a_token),
    Case("token.revoke", {"name": "nobody"}, "token_not_found"),
    Case("token.revoke", {"name": "owner"}, "owners_token"),
    Case("mcp.discover"),
    Case("mcp.tools"),
    Case("mcp.resources"),
    Case("release.list", before=record_as_it_was),
    Case("release.list", {"cursor": "nobody"}, "bad_cursor", record_as_it_was),
    Case("release.status", {"release_id": "installed"}, before=record_as_it_was),
    Case("release.status", {"release_id": "nobody"}, "release_not_found", record_as_it_was),
    Case("release.cancel", {"release_id": "nobody"}, "release_not_found", record_as_it_was),
    Case("release.cancel", {"release_id": "installed"}, "release_not_staging", record_as_it_was),
    Case("release.stage", {"source": "/nowhere"}, "no_launcher", record_as_it_was),
    Case("release.switch", {"release_id": "installed"}, "no_launcher", record_as_it_was),
    Case("release.rollback", {}, "no_launcher", record_as_it_was),
    Case("release.list", {}, "boot_record_unreadable", record_broken),
    Case("release.status", {"release_id": "installed"}, "boot_record_unreadable", record_broken),
    Case("release.list", before=record_as_it_was),
]

_LAUNCHER = "tests/att/release and tests/e2e: it needs a launcher"
ELSEWHERE = dict.fromkeys(
    ("release.stage", "release.switch", "release.rollback", "release.cancel"), _LAUNCHER
)
ERRORS_ELSEWHERE = {
    "too_many_tokens": "tests/att/token: it needs a thousand",
    "token.create: disk_full": "tests/att/store/test_store.py: it needs a disk that is full",
    "launcher_silent": _LAUNCHER,
    "release_switch_refused": _LAUNCHER,
    "release_staging": _LAUNCHER,
    "release_source_not_found": _LAUNCHER,
    "release_source_invalid": _LAUNCHER,
    "release_repository_unknown": _LAUNCHER,
    "release_git_failed": _LAUNCHER,
    "release_failed_before": _LAUNCHER,
    "release_unusable": _LAUNCHER,
    "release_current": _LAUNCHER,
    "release_switching": _LAUNCHER,
    "release_no_way_back": _LAUNCHER,
    "release.switch: release_not_found": _LAUNCHER,
    "release.stage: boot_record_unreadable": _LAUNCHER,
    "release.cancel: boot_record_unreadable": _LAUNCHER,
    "release.switch: boot_record_unreadable": _LAUNCHER,
    "release.rollback: boot_record_unreadable": _LAUNCHER,
}
