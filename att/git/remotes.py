"""The remotes of a repository: listed, added and removed.

Only what may be talked to is added (`att.git.remote`): a URL of the forms that may be cloned, or a repository on this machine
below an allowed root. A URL with credentials is refused rather than kept without them, since what was meant would then fail
later; and none is shown with them, also when somebody wrote it into the configuration by hand.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from att.event.redact import hide
from att.git import names
from att.git.errors import NoRemote, RemoteExists, RemoteMissing, RemoteRefused
from att.git.models import AddRemote, Remote, RemoteList, RemoteRemoved, RemoveRemote
from att.git.place import LeadsElsewhere, find
from att.git.remote import Allowed, admitted
from att.git.repository import Repository
from att.problems import Problem
from att.project.clone_url import parse
from att.project.errors import CloneUrlRefused

_CREDENTIALS = re.compile(r"://.*@", re.DOTALL)
"""In a URL that is not understood: up to the last place that can be meant."""


async def remotes(repository: Repository, allowed: Allowed) -> RemoteList:
    """By name."""
    found = (await repository.run("remote")).lines
    return RemoteList(remotes=[await _one(repository, name, allowed) for name in sorted(found)])


async def add(repository: Repository, ask: AddRemote, allowed: Allowed) -> Remote:
    """Let the repository know a remote; nothing is fetched."""
    names.remote(ask.name)
    url = await asyncio.to_thread(_to_keep, ask.remote_url, repository.folder, allowed)
    for known in (await repository.run("remote")).lines:
        if f"{known}/".startswith(f"{ask.name}/") or f"{ask.name}/".startswith(f"{known}/"):
            same = known == ask.name
            said = f"There is a remote {known!r}" + ("." if same else f": {ask.name!r} would lie in it.")
            raise RemoteExists(said)
    await repository.run("remote", "add", "--", ask.name, url)
    return await _one(repository, ask.name, allowed)


async def remove(repository: Repository, ask: RemoveRemote) -> RemoteRemoved:
    """Forget a remote, what was fetched from it, and which branches followed it."""
    if ask.name not in (await repository.run("remote")).lines:
        raise NoRemote(
            f"There is no remote {ask.name[:100]!r}.", hint="`att git remote list` tells which there are."
        )
    url = await _url(repository, ask.name)
    await repository.run("remote", "remove", "--", ask.name)
    return RemoteRemoved(name=ask.name, url=shown(url))


def shown(url: str) -> str:
    """The URL without what must not be told."""
    try:
        return hide(parse(url).url)
    except CloneUrlRefused:
        return hide(_CREDENTIALS.sub("://***@", url))


async def _one(repository: Repository, name: str, allowed: Allowed) -> Remote:
    url, push = await _url(repository, name), await _url(repository, name, "--push")
    refused = None
    try:
        for each in dict.fromkeys((url, push)):
            await asyncio.to_thread(admitted, each, repository.folder, allowed)
    except Problem as problem:
        refused = hide(problem.detail)
    return Remote(name=name, url=shown(url), push_url=None if push == url else shown(push), refused=refused)


async def _url(repository: Repository, name: str, *flags: str) -> str:
    """Empty when it has none."""
    return await repository.ask("remote", "get-url", *flags, "--", name) or ""


def _to_keep(url: str, folder: Path, allowed: Allowed) -> str:
    """The URL as it is written into the configuration."""
    parsed = admitted(url, folder, allowed)
    if parsed.username or parsed.password:
        raise RemoteRefused(
            "The URL holds credentials, which are not kept.",
            hint="Leave them out, and give git access by an ssh key or a credential helper.",
            fields=[{"field": "remote_url", "message": "holds credentials"}],
        )
    if parsed.local is None:
        return parsed.url
    try:
        place = find(Path(parsed.local))
    except (LeadsElsewhere, OSError) as error:
        raise RemoteRefused(f"{parsed.local}: {error}.") from error
    if place is None:
        raise RemoteMissing(f"{parsed.local} is not the root of a git repository.")
    return parsed.local
