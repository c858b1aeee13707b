"""What can go wrong with projects. Each leaves everything as it was."""

from __future__ import annotations

from att.git.errors import GitMissing as GitMissing
from att.problems import Conflict, Forbidden, InvalidRequest, Problem


class InvalidName(InvalidRequest):
    code, title = "invalid_project_name", "This cannot be a project's name"
    hint = "Use 1 to 64 letters, digits, `-`, `_` or `.`, at least one of them a letter or digit."


class ProjectExists(Conflict):
    code, title = "project_exists", "There is a project of this name"
    hint = "Take another name, or delete the other project first."


class DirectoryRegistered(Conflict):
    code, title = "directory_registered", "The directory belongs to a project already"
    hint = "Use that project, or delete it first (`--keep-files` leaves the files alone)."


class DirectoryNotEmpty(Conflict):
    code, title = "directory_not_empty", "There are files in the way"
    hint = "Take another name, register the directory by `path`, or move it aside."


class DirectoryMissing(Conflict):
    code, title = "project_directory_missing", "The project's directory is gone"
    hint = "Put it back, or delete the project."


class PathNotFound(InvalidRequest):
    code, title = "path_not_found", "There is no such directory"
    hint = "Give the absolute path of a directory that exists on the machine where ATT runs."


class PathOutsideRoots(Forbidden):
    code, title = "path_outside_roots", "The path lies outside of the allowed roots"
    hint = (
        "Add its parent to `roots` in ATT_HOME/att.toml (or ATT_ROOTS) and start ATT again, "
        "or move it below one of them."
    )


class PathForbidden(Forbidden):
    code, title = "path_forbidden", "This directory cannot be a project"
    hint = "Name a directory of its own, which is neither `/`, nor your home, nor holds ATT's own state."


class TemplateNotFound(InvalidRequest):
    code, title = "template_not_found", "There is no such template"
    hint = "Take one of the templates that are named."


class CloneUrlRefused(InvalidRequest):
    code, title = "clone_url_refused", "This URL is not cloned"
    hint = "Use https://, ssh://, git://, user@host:path, or a repository below one of the allowed roots."


class CloneFailed(Problem):
    code, status, title = "clone_failed", 422, "git could not clone the repository"
    hint = "See what git said; try `git clone` by hand on the machine where ATT runs."


class CloneUnauthorized(CloneFailed):
    code, title = "clone_unauthorized", "The repository asks for credentials"
    hint = "Give git access (ssh key or credential helper) for the user that ATT runs as."


class RepositoryNotFound(CloneFailed):
    code, status, title = "repository_not_found", 422, "There is no such repository, or it may not be seen"
    hint = "Check the URL, and that the user that ATT runs as may read it."


class BranchNotFound(CloneFailed):
    code, status, title = "branch_not_found", 422, "The repository has no such branch"
    hint = "Leave `branch` out to get the default one."


class CloneTimedOut(CloneFailed):
    code, status, title = "clone_timed_out", 422, "Cloning took too long"
    hint = "Try again, or clone by hand below an allowed root and register it by `path`."


class CreationCancelled(Conflict):
    code, title = "creation_cancelled", "Making the project was cancelled"
    hint = "Nothing of it is left; create it again if that was a mistake."


class FilesNotMade(Problem):
    code, status, title = "files_not_made", 503, "The project's files could not be made"
    hint = "Check the owner, the permissions and the free space of ATT_HOME/projects."


class FilesNotRemoved(Problem):
    code, status, title = "files_not_removed", 503, "The project's files could not be removed"
    hint = "Check their owner and permissions, or delete with `keep_files`."


class StatusNotAllowed(Conflict):
    code, title = "status_not_allowed", "A project cannot change to this status now"
    hint = "Look at the project's present status first."


class DownloadUrlRefused(InvalidRequest):
    code, title = "download_url_refused", "This URL is not fetched"
    hint = "Use http:// or https:// without user and password, or a file below one of the allowed roots."


class AddressRefused(Forbidden):
    code, title = "address_refused", "The URL leads to a local address"
    hint = "Set `allow_local_downloads` if services of this machine may be asked."


class DownloadFailed(Problem):
    code, status, title = "download_failed", 422, "The archive could not be fetched"
    hint = "Check the URL, and that the machine where ATT runs can reach it."


class DownloadTimedOut(Problem):
    code, status, title = "download_timed_out", 422, "Fetching or unpacking took too long"
    hint = "Try again, or unpack it by hand below an allowed root and register it by `path`."


class NotAnArchive(InvalidRequest):
    code, title = "not_an_archive", "This is no archive that can be read"
    hint = "Give a zip or a tar file (plain, .gz or .bz2)."


class ArchiveRefused(InvalidRequest):
    code, title = "archive_refused", "The archive holds what is not taken"
    hint = "Only files, directories and links that stay inside are taken; make the archive anew without the entry that is named."


class ArchiveTooLarge(InvalidRequest):
    code, title = "archive_too_large", "The archive holds too much"
    hint = "Leave out what can be made again, or clone the project with git."


class ExportTooLarge(Conflict):
    code, title = "export_too_large", "The archive is too large for one answer in JSON"
    hint = "Take it over HTTP as a stream (`GET /projects/{id}/archive`), or with `att project export --output FILE`."
