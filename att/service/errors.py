"""What can go wrong when ATT is made a service, as typed problems."""

from __future__ import annotations

from att.problems import Problem


class NoServiceManager(Problem):
    code, status, title = "no_service_manager", 503, "No service manager runs here"
    hint = "`att up` runs ATT in the foreground; --write-only writes or removes the files, and asks no service manager."


class CommandFailed(Problem):
    """Raised with `command` and `output`."""

    code, status, title = "service_command_failed", 502, "The service manager refused"
    hint = "What it said stands above; `att service status` tells what is there now."


class ForeignFile(Problem):
    """Raised with `path`."""

    code, status, title = "foreign_service_file", 409, "The file is not ours"
    hint = "Look at it, and move it away if nobody needs it."


class EditedFile(Problem):
    """Raised with `path`."""

    code, status, title = "edited_service_file", 409, "The file was changed by hand"
    hint = "Keep your changes as a drop-in (`systemctl edit att`), which install leaves alone; --force drops them."


class UnfitService(Problem):
    code, status, title = "unfit_service", 400, "This cannot be made a service"
    hint = "Change what is named and install again."


class NoSuchAccount(Problem):
    """Raised with `account`."""

    code, status, title = "no_such_account", 404, "There is no such account"
    hint = "Make it: useradd --system --home-dir /var/lib/att --shell /usr/sbin/nologin att"


class NotInstalled(Problem):
    """Raised with `python`."""

    code, status, title = "att_not_installed", 409, "ATT is not installed for this interpreter"
    hint = "Install ATT into an environment that the service's account can read, and run `att` from there."


class NotAllowed(Problem):
    """Raised with `path`."""

    code, status, title = "service_not_allowed", 403, "The file system refused"
    hint = "A service of the system is installed by root: sudo. Without it: --scope user."
