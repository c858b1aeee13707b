"""Images by the command line of Docker, or of Podman: which engine there is, and the build of one image.

ATT never needs an engine. Where one is asked for and there is none, `docker_unavailable` says what was looked for.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from att import shortrun
from att.deploy import files, image
from att.deploy.errors import DockerUnavailable, ImageFailed
from att.deploy.models import Artefact
from att.problems import Problem
from att.project.files import remove_tree
from att.runtime import disk, environment, nat, preflight, secrets

PROGRAMS = ("docker", "podman")
ANSWER, BUILD = 15.0, 3600.0  # seconds
LINES = 40


class Engine:
    """`environ`: what the program inherits, with its PATH and, where it is set, DOCKER_HOST."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def find(self) -> str:
        """The program whose engine answers."""
        said = "neither docker nor podman is on the PATH"
        for name in PROGRAMS:
            program = shutil.which(name, path=self._environ.get("PATH"))
            if program is None:
                continue
            lines: list[str] = []
            with suppress(TimeoutError, OSError):
                code = await shortrun.run(
                    [program, "version"],
                    cwd=Path("/"),
                    env=self._environ,
                    on_line=lines.append,
                    timeout=ANSWER,
                )
                if code == 0:
                    return program
            said = f"{name}: {lines[-1].strip() if lines else 'no answer'}"
        raise DockerUnavailable(said)

    async def build(
        self, artefact: Artefact, folder: Path, scratch: Path, report: Callable[[str], None]
    ) -> str:
        """The name of the image of the artefact whose files lie in `folder`. Nothing but the image is left."""
        program = await self.find()
        name = image.name_of(artefact.project_id, artefact.artefact_id)
        context = scratch / "image"
        lines: list[str] = []

        def heard(line: str) -> None:
            lines.append(line)
            del lines[:-LINES]
            report(line)

        laying = asyncio.create_task(
            asyncio.to_thread(_lay_out, context, artefact, folder, self._environ), name="image"
        )
        try:
            await asyncio.shield(laying)
            argv = [program, "build", "--tag", name, str(context)]
            code = await shortrun.run(argv, cwd=context, env=self._environ, on_line=heard, timeout=BUILD)
        except TimeoutError:
            raise ImageFailed(f"the image was not built within {BUILD:g} s", lines=lines) from None
        except OSError as fault:
            raise _refusal(fault, lines) from fault
        finally:
            await asyncio.wait([laying])  # a thread goes on when it is cancelled
            await asyncio.to_thread(remove_tree, context)
        if code:
            last = next((line for line in reversed(lines) if line.strip()), "")
            raise ImageFailed(f"{Path(program).name} build ended with {code}: {last.strip()}", lines=lines)
        return name


def _refusal(fault: OSError, lines: list[str]) -> Problem:
    told = f"{fault.filename or 'the context of the image'}: {fault.strerror}"
    return disk.refusal(fault, told, partial(ImageFailed, lines=lines))


def _lay_out(context: Path, artefact: Artefact, folder: Path, environ: Mapping[str, str]) -> None:
    """The context: the artefact's files, but no secrets and not its environment, which does not move; and how to make that anew."""
    remove_tree(context)
    (context / image.FILES).mkdir(parents=True)
    files.copy(folder, context / image.FILES)
    settings, config = preflight.read_config(folder, environ)
    found = environment.look(folder)
    facts = image.Facts(
        project_id=artefact.project_id,
        artefact_id=artefact.artefact_id,
        digest=artefact.digest,
        python=found.python_version or ".".join(map(str, sys.version_info[:3])),
        settings=settings,
        config=config,
        folder=folder,
        packages=_installed(found, folder),
    )
    if strange := image.foreign(facts):
        raise ImageFailed(f"the command in att.toml names {strange}, which an image does not have", lines=[])
    for place in secrets.files(settings.env, folder):
        for told in (os.path.normpath, os.path.realpath):
            inside = os.path.relpath(told(place), told(folder))
            copied = context / image.FILES / inside
            if not inside.startswith("..") and (copied.is_symlink() or copied.is_file()):
                copied.unlink()
    (context / image.PACKAGES).write_text(image.packages(facts.packages), "utf-8")
    (context / "Dockerfile").write_text(image.dockerfile(facts), "utf-8")


def _installed(found: environment.Environment, folder: Path) -> list[image.Installed]:
    """With where each came from, as pip and uv write it down (PEP 610)."""
    known = []
    sources = {}
    for place in found.folder.glob("lib/python3*/site-packages/*.dist-info/direct_url.json"):
        name = nat.normal(place.parent.name.removesuffix(".dist-info").rpartition("-")[0])
        with suppress(OSError, ValueError):
            sources[name] = json.loads(place.read_text("utf-8"))
    for name, version in found.installed.items():
        told = sources.get(name, {})
        own = urlsplit(str(told.get("url", ""))).path.rstrip("/") == str(folder)
        known.append(image.Installed(name, version, "" if own else _url(name, told), own))
    return known


def _url(name: str, told: Mapping[str, object]) -> str:
    url, repository = str(told.get("url", "")), told.get("vcs_info")
    if url.startswith("file:"):
        raise ImageFailed(f"{name} was installed from {url}, which an image cannot have", lines=[])
    if isinstance(repository, dict):
        return f"{repository.get('vcs')}+{url}@{repository.get('commit_id')}"
    return url
