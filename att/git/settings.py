"""What git is told, whatever a repository's own configuration says. Pure: no I/O.

A repository's configuration can name programs: filters, merge drivers, signers, credential helpers, what serves a remote. It
comes with a download, so none of them runs. Whatever names a program there is set back to what the user's own configuration
says, or to git's default; and what would change the form of an answer is fixed. The user's own configuration stays in force.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Pairs = list[tuple[str, str]]

ALWAYS: Pairs = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.quotePath", "false"),
    ("core.alternateRefsCommand", ""),
    ("core.warnAmbiguousRefs", "false"),
    ("protocol.ext.allow", "never"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.followTags", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("init.templateDir", ""),
    ("init.defaultBranch", "main"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    ("advice.addEmbeddedRepo", "false"),
    ("status.submoduleSummary", "false"),
    ("color.ui", "false"),
    ("column.ui", "never"),
    ("diff.noprefix", "false"),
    ("diff.mnemonicPrefix", "false"),
    ("diff.orderFile", "/dev/null"),
    ("diff.relative", "false"),
    ("diff.autoRefreshIndex", "true"),
    ("log.showSignature", "false"),
    ("log.follow", "false"),
    ("merge.stat", "false"),
    ("merge.verifySignatures", "false"),
    ("rebase.autoStash", "false"),
    ("merge.autoStash", "false"),
    ("rebase.updateRefs", "false"),
    ("rerere.enabled", "false"),
    ("push.gpgSign", "false"),
    ("i18n.commitEncoding", "utf-8"),
    ("i18n.logOutputEncoding", "utf-8"),
    ("commit.cleanup", "verbatim"),
    ("core.commentChar", "#"),
]
"""Some keep a repository from naming programs, the others keep answers as they are read here."""

_THEIRS = frozenset({"local", "worktree"})
_USERS = frozenset({"system", "global"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the configuration: where it stands, its key (section and name in small letters), its value."""

    scope: str
    key: str
    value: str


def parsed(listing: bytes) -> list[Entry]:
    """The entries of `git config --list --show-scope -z`; a key without a value counts as true."""
    words = listing.decode("utf-8", "surrogateescape").split("\0")
    pairs = zip(words[0::2], words[1::2], strict=False)
    return [
        Entry(scope, key, value if is_set else "true")
        for scope, (key, is_set, value) in ((s, line.partition("\n")) for s, line in pairs)
    ]


def set_back(entries: Iterable[Entry]) -> Pairs:
    """What undoes every program that the repository names."""
    known = list(entries)
    users = {entry.key: entry.value for entry in known if entry.scope in _USERS}
    theirs = [entry.key for entry in known if entry.scope in _THEIRS]
    found: Pairs = []
    for key in dict.fromkeys(theirs):
        for pattern, undo in _PROGRAMS:
            match = re.fullmatch(pattern, key, re.DOTALL)
            if match is not None:
                found += [(name, users.get(name, value)) for name, value in undo(match)]
    return found + _helpers(known)


def _helpers(known: list[Entry]) -> Pairs:
    """The user's credential helpers instead of the repository's.

    An empty one forgets those before it. One that is named for a host is only outdone by one for the same host.
    """
    users = [e for e in known if e.scope in _USERS and re.fullmatch(_HELPER, e.key, re.DOTALL)]
    found: Pairs = []
    for key in dict.fromkeys(
        e.key for e in known if e.scope in _THEIRS and re.fullmatch(_HELPER, e.key, re.DOTALL)
    ):
        found.append((key, ""))
        found += [(key if e.key == "credential.helper" else e.key, e.value) for e in users]
    return found


def value_of(entries: Iterable[Entry], key: str, scopes: frozenset[str] = _THEIRS | _USERS) -> str | None:
    """The value that counts: the last one."""
    return next((e.value for e in reversed(list(entries)) if e.key == key and e.scope in scopes), None)


def identity(entries: Iterable[Entry]) -> Pairs:
    """Who commits, as far as nobody has said so."""
    known = list(entries)
    default = (("user.name", "ATT"), ("user.email", "att@localhost"))
    return [(key, value) for key, value in default if not (value_of(known, key) or "").strip()]


def ssh_command(entries: Iterable[Entry]) -> str:
    """The user's own, which never asks."""
    return value_of(entries, "core.sshcommand", _USERS) or "ssh -oBatchMode=yes"


def serves_itself(entries: Iterable[Entry]) -> bool:
    """Whether the repository names programs that are to serve its remotes: git takes the first that is named, so nothing
    undoes them, and for a remote on this machine they would run here."""
    return any(e.scope in _THEIRS and re.fullmatch(_SERVER, e.key, re.DOTALL) for e in entries)


_SERVER = r"remote\..+\.(?:uploadpack|receivepack)"
_HELPER = r"credential\.(?:.+\.)?helper"


def _values(*pairs: tuple[str, str]) -> Callable[[re.Match[str]], Pairs]:
    return lambda match: [(key.replace("*", match["name"]), value) for key, value in pairs]


_PROGRAMS: tuple[tuple[str, Callable[[re.Match[str]], Pairs]], ...] = (
    (r"filter\.(?P<name>.+)\.clean", _values(("filter.*.clean", ""))),
    (r"filter\.(?P<name>.+)\.smudge", _values(("filter.*.smudge", ""))),
    (r"filter\.(?P<name>.+)\.process", _values(("filter.*.process", ""))),
    (r"filter\.(?P<name>.+)\.required", _values(("filter.*.required", "false"))),
    (r"merge\.(?P<name>.+)\.driver", _values(("merge.*.driver", "false"))),  # each is a conflict then
    (
        r"gpg\..+|commit\.gpgsign|tag\.gpgsign",
        lambda _: [
            ("gpg.program", "gpg"),
            ("gpg.openpgp.program", "gpg"),
            ("gpg.x509.program", "gpgsm"),
            ("gpg.ssh.program", "ssh-keygen"),
            ("gpg.ssh.defaultkeycommand", ""),
            ("gpg.format", "openpgp"),
            ("commit.gpgsign", "false"),
            ("tag.gpgsign", "false"),
        ],
    ),
)
