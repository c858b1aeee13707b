"""What an image of an artefact is made of: the Dockerfile, the list of packages, the name. Pure.

The image holds what the artefact holds: its files, and in an environment of the image's own the very versions that were installed
when it was built. It runs the project's own command, on all addresses of the container. No secret gets in: what att.toml
names by reference (`${env:…}`, `${file:…}`) is to be given when the container is started, and the Dockerfile says so; a file
that is named so stays out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from att.runtime import command
from att.runtime.command import Place
from att.runtime.config import NatConfig
from att.runtime.settings import RuntimeSettings

APP = "/app"
PACKAGES = "packages.txt"
FILES = "files"
_EVERYWHERE = ("/bin/", "/usr/bin/", "/usr/local/bin/", f"{APP}/")
_OWN = frozenset({"pip", "setuptools", "wheel"})


@dataclass(frozen=True, slots=True)
class Installed:
    """A package of the artefact's environment. `url`: where it came from when that was no index; `own`: the project itself."""

    name: str
    version: str
    url: str = ""
    own: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What an image is made from. `config` lies below `folder`."""

    project_id: str
    artefact_id: str
    digest: str
    python: str
    settings: RuntimeSettings
    config: NatConfig | None
    folder: Path
    packages: Sequence[Installed]


def name_of(project_id: str, artefact_id: str) -> str:
    """A name that every engine takes."""
    plain = re.sub(r"[^a-z0-9]+", "-", project_id.lower()).strip("-") or "project"
    return f"att/{plain}:{artefact_id}"


def packages(found: Sequence[Installed]) -> str:
    """As pip reads it: each at its version, without what depends on it."""
    wanted = [one for one in found if not one.own and one.name not in _OWN]
    lines = [f"{one.name} @ {one.url}" if one.url else f"{one.name}=={one.version}" for one in wanted]
    return "".join(f"{line}\n" for line in sorted(lines))


def dockerfile(facts: Facts) -> str:
    """The context has the artefact's `files` and `packages.txt` beside it."""
    port = _port(facts)
    env = {"PYTHONUNBUFFERED": "1", "NAT_TELEMETRY_ENABLED": "false", "HOME": "/tmp"}  # noqa: S108
    env |= {"PATH": f"{APP}/.venv/bin:$PATH"}
    given = sorted(name for name, value in facts.settings.env.items() if "${" in value or "\n" in value)
    env |= {name: value for name, value in facts.settings.env.items() if name not in given}
    lines = [f"FROM python:{'.'.join(facts.python.split('.')[:2])}-slim"]
    lines += [f"LABEL att.{key}={json.dumps(value)}" for key, value in _labels(facts).items()]
    lines += [f"WORKDIR {APP}", f"COPY {PACKAGES} /tmp/{PACKAGES}"]
    pip = f"{APP}/.venv/bin/pip install --no-cache-dir --no-deps"
    lines.append(f"RUN python -m venv {APP}/.venv && {pip} -r /tmp/{PACKAGES}")
    lines.append(f"COPY {FILES}/ {APP}/")
    if any(one.own for one in facts.packages):
        lines.append(f"RUN {pip} -e {APP}")
    lines += [f"ENV {name}={_quoted(value, name)}" for name, value in env.items()]
    lines += (
        [f"# To be given when it is started: {' '.join(f'-e {name}' for name in given)}"] if given else []
    )
    lines += ["USER nobody", f"EXPOSE {port}", f"STOPSIGNAL {facts.settings.stop_signal}"]
    return "\n".join([*lines, f"CMD {json.dumps(list(words(facts)))}", ""])


def foreign(facts: Facts) -> str:
    """The program of the command when only this machine has it; else nothing."""
    program = words(facts)[0]
    return program if program.startswith("/") and not program.startswith(_EVERYWHERE) else ""


def words(facts: Facts) -> tuple[str, ...]:
    """The command inside of the container, where nobody holds a socket for it."""
    port = _port(facts)
    if facts.settings.app:
        return ("python", "-m", "uvicorn", facts.settings.app, "--host", "0.0.0.0", "--port", str(port))  # noqa: S104
    inside = None
    if facts.config is not None:
        inside = replace(facts.config, path=Path(APP) / facts.config.path.relative_to(facts.folder))
    place = Place(facts.project_id, Path(APP), None, "", Path("/tmp"), inside, "0.0.0.0", port)  # noqa: S104, S108
    return command.words(facts.settings.model_copy(update={"serve": "nat"}), place)


def _port(facts: Facts) -> int:
    return command.host_and_port(facts.settings, facts.config)[1] or command.DEFAULT_PORT


def _labels(facts: Facts) -> Mapping[str, str]:
    return {"project": facts.project_id, "artefact": facts.artefact_id, "digest": facts.digest}


def _quoted(value: str, name: str) -> str:
    """As a Dockerfile reads it; only our own PATH refers to another variable."""
    text = value.replace("\\", "\\\\").replace('"', '\\"')
    if not (name == "PATH" and value.startswith(APP)):
        text = text.replace("$", "\\$")
    return f'"{text}"'
