"""Which URLs are cloned, and what git says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.project.clone import Progress, failure_of, progress_of
from att.project.clone_url import parse, valid_branch
from att.project.errors import (
    BranchNotFound,
    CloneFailed,
    CloneUnauthorized,
    CloneUrlRefused,
    RepositoryNotFound,
)
from att.store.errors import DiskFull


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            " ",
            "-u",
            "--upload-pack=touch x",
            "ext::sh -c touch% x",
            "ext::sh",
            "fd::17",
            "transport::address",
        ),
        *(
            "file://host/x",
            "ftp://h/x",
            "ftps://h/x",
            "gopher://h",
            "javascript://h/x",
            "https://",
            "https:///x",
        ),
        *(
            "https://-oProxyCommand=x/y",
            "ssh://-oProxyCommand=touch%20x/y",
            "-oProxyCommand=x:y",
            "a b",
            "a\nb",
            "x",
        ),
        *("ssh://-x@h/y", "https://h/x?y=1", "https://h/x#y", "https://h:port/x", "https://[::1/x", "h:"),
        *("https://a:b%0ax@h/x", "https://h/\0x", "relative/path", "ext::https://h/x", "git+ext://h/x"),
    ],
)
def test_what_is_no_plain_repository_is_refused(url: str) -> None:
    with pytest.raises(CloneUrlRefused) as told:
        parse(url)
    assert told.value.extra["fields"][0]["field"] == "clone_url"


@pytest.mark.parametrize(
    ("url", "kept", "user", "password", "name"),
    [
        ("https://github.com/ada/demo.git", "https://github.com/ada/demo.git", "", "", "demo"),
        ("https://ada:s3%2Fcret@h:8443/x/y", "https://h:8443/x/y", "ada", "s3/cret", "y"),
        ("https://t0ken@h/x.git", "https://h/x.git", "t0ken", "", "x"),
        ("http://[::1]:80/x/", "http://[::1]:80/x/", "", "", "x"),
        ("ssh://git@h:22/x.git", "ssh://git@h:22/x.git", "", "", "x"),
        ("ssh://git:pw@h/x.git", "ssh://git@h/x.git", "", "", "x"),
        ("git@github.com:ada/demo.git", "git@github.com:ada/demo.git", "", "", "demo"),
        ("host:demo", "host:demo", "", "", "demo"),
        ("git://h/x", "git://h/x", "", "", "x"),
    ],
)
def test_credentials_are_taken_out(url: str, kept: str, user: str, password: str, name: str) -> None:
    found = parse(url)
    assert (found.url, found.username, found.password, found.repository) == (kept, user, password, name)
    assert found.local is None
    assert not password or password not in repr(found)


@pytest.mark.parametrize("url", ["/srv/x.git", "file:///srv/x.git", "file://localhost/srv/x.git"])
def test_local_ones_are_known_as_such(url: str) -> None:
    assert parse(url).local == "/srv/x.git"


@given(st.text(max_size=60))
def test_whatever_passes_is_no_flag_and_no_program(url: str) -> None:
    try:
        found = parse(url)
    except CloneUrlRefused:
        return
    assert not found.url.startswith("-")
    assert "::" not in found.url.split("/")[0] or found.local
    assert (
        found.local is not None
        or found.url.split("://")[0] in ("https", "http", "ssh", "git")
        or ":" in found.url
    )


@pytest.mark.parametrize("branch", ["main", "feature/x-1", "v1.2", "ünïcode", "a@b"])
def test_good_branches(branch: str) -> None:
    assert valid_branch(branch) == branch


@pytest.mark.parametrize(
    "branch",
    ["", "-x", "--upload-pack=x", "a b", "a..b", "a^", "x.lock", "a/.", "a/", "a//b", "a@{1}", "a:b", "a\0"],
)
def test_bad_branches(branch: str) -> None:
    with pytest.raises(CloneUrlRefused):
        valid_branch(branch)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Receiving objects:  42% (12/29), 1.20 MiB | 3.00 MiB/s", Progress("Receiving objects", 42)),
        ("remote: Counting objects: 100% (3/3), done.", Progress("Counting objects", 100)),
        ("Updating files:   7% (1/14)", Progress("Updating files", 7)),
        ("Cloning into 'x'...", None),
        ("fatal: 42% (1/2)", None),
    ],
)
def test_progress_is_read(line: str, told: Progress | None) -> None:
    assert progress_of(line) == told


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("fatal: Authentication failed for 'https://h/x/'", CloneUnauthorized),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", CloneUnauthorized),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote", CloneUnauthorized),
        ("Host key verification failed.", CloneUnauthorized),
        ("remote: Repository not found.\nfatal: repository 'https://h/x/' not found", RepositoryNotFound),
        ("fatal: '/srv/x' does not appear to be a git repository", RepositoryNotFound),
        (
            "warning: Could not find remote branch x to clone.\nfatal: Remote branch x not found in upstream origin",
            BranchNotFound,
        ),
        ("fatal: write error: No space left on device", DiskFull),
        ("fatal: unable to access 'https://h/x/': Could not resolve host: h", CloneFailed),
        ("", CloneFailed),
    ],
)
def test_what_git_says_is_told_apart(said: str, kind: type[Exception]) -> None:
    assert type(failure_of(said, 128)) is kind
