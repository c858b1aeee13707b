"""How a project's environment is to be made: from which lock or known-good versions, by which uv commands. Decides; runs nothing.

In this order:
1. `uv.lock` beside a pyproject: exactly that.
2. `requirements.lock` (or a `requirements.txt` in which all is pinned): exactly that, then the project without dependencies.
3. otherwise the project's own dependencies, held back to versions that are known to work with the NAT line they allow.
If these contradict the project's own wishes, a second attempt holds back only what would keep NAT from starting.

The digest covers all that goes in; an environment whose stamp carries another one is out of date.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from att import plain
from att.runtime import nat
from att.runtime.config import NatConfig
from att.runtime.errors import EnvironmentBuildFailed, InvalidSettings
from att.runtime.settings import EnvironmentSettings

FOLDER = ".venv"
MOST = 64 << 20
"""Bytes of a file that says what is needed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of uv (`argv` without the program). `instead` are the calls to try when it fails."""

    name: str
    argv: tuple[str, ...]
    instead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    source: str  # "uv.lock", "requirements.lock", "nat-1.9", "free"
    python: str
    steps: tuple[Step, ...]
    digest: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the project brings, read from its files."""

    folder: Path
    document: Mapping[str, Any]  # pyproject.toml
    lock: bytes | None
    requirements: Mapping[str, bytes]

    @property
    def table(self) -> Mapping[str, Any]:
        found = self.document.get("project")
        return found if isinstance(found, dict) else {}

    @property
    def is_package(self) -> bool:
        return bool(self.table) and "build-system" in self.document

    @property
    def dependencies(self) -> list[str]:
        asked = [text for text in self.table.get("dependencies", ()) if isinstance(text, str)]
        for content in self.requirements.values():
            asked += pinned_lines(content.decode("utf-8", "replace"))
        return asked

    @property
    def has_dev_group(self) -> bool:
        return "dev" in self.document.get("dependency-groups", {})


def pinned_lines(text: str) -> list[str]:
    """The requirements of a requirements file, without comments, options and hashes."""
    joined = re.sub(r"\\\n", " ", text)
    lines = (re.split(r"\s+#|\s--", line.strip())[0].strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def is_locked(text: str) -> bool:
    """Whether every package of a requirements file is pinned to one version."""
    lines = pinned_lines(text)
    try:
        return bool(lines) and all("==" in str(Requirement(line).specifier) for line in lines)
    except InvalidRequirement:
        return False


def gather(folder: Path) -> Inputs:
    """Read the files that count."""
    pyproject = folder / "pyproject.toml"
    document: dict[str, Any] = {}
    if pyproject.exists():
        try:
            document = tomllib.loads(plain.text(pyproject, MOST))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise EnvironmentBuildFailed(f"pyproject.toml cannot be read: {fault}") from None
    lock = folder / "uv.lock"
    requirements = {
        name: _bytes(folder / name)
        for name in ("requirements.lock", "requirements.txt")
        if (folder / name).is_file()
    }
    return Inputs(folder, document, _bytes(lock) if lock.is_file() else None, requirements)


def _bytes(path: Path) -> bytes:
    try:
        return plain.content(path, MOST)
    except OSError as fault:
        raise EnvironmentBuildFailed(f"{path.name} cannot be read: {fault}") from None


def write(
    inputs: Inputs, settings: EnvironmentSettings, config: NatConfig | None, *, default_command: bool = True
) -> Recipe:
    """The recipe. `default_command`: the app is started by `nat`, so NAT has to be in it."""
    python = settings.python or sys.executable
    line, notes = _line(inputs, settings)
    if inputs.lock is not None and inputs.table:
        source, steps = "uv.lock", _from_uv_lock(inputs, settings)
    else:
        locked = next(
            (
                n
                for n, content in inputs.requirements.items()
                if is_locked(content.decode("utf-8", "replace"))
            ),
            "",
        )
        if locked:
            source, steps = locked, _from_requirements(inputs, settings, locked)
        else:
            pins = line if settings.constraints else None
            source = f"nat-{pins.name}" if pins else "free"
            steps = _from_dependencies(inputs, settings, config, line, default_command)
    steps = (Step("venv", ("venv", "--allow-existing", "--no-project", "--python", python, FOLDER)), *steps)
    return Recipe(source, python, steps, _digest(inputs, settings, source, line, steps), tuple(notes))


def _line(inputs: Inputs, settings: EnvironmentSettings) -> tuple[nat.Line | None, list[str]]:
    if settings.nat:
        named = nat.line(settings.nat)
        if named is None:
            known = ", ".join(f'"{line.name}"' for line in nat.LINES)
            raise InvalidSettings(
                f'att.toml: runtime.environment.nat: "{settings.nat}" is not known; there are {known}',
                fields=[{"field": "runtime.environment.nat", "message": f"must be one of {known}"}],
            )
        return named, []
    found = nat.line_wanted(inputs.dependencies)
    if found is None:
        return None, [
            "There are no known-good versions for the NAT that this project asks for; uv chooses freely."
        ]
    return found, []


def _from_uv_lock(inputs: Inputs, settings: EnvironmentSettings) -> tuple[Step, ...]:
    extras = tuple(word for extra in settings.extras for word in ("--extra", extra))
    sync = Step("install", ("sync", "--frozen", "--compile-bytecode", "--python", _python(), *extras))
    return (sync, *_more(settings))


def _from_requirements(inputs: Inputs, settings: EnvironmentSettings, name: str) -> tuple[Step, ...]:
    steps = [Step("install", (*_install(), "-r", name))]
    if inputs.is_package:
        steps.append(Step("project", (*_install(), "--no-deps", "-e", _project(settings))))
    return (*steps, *_more(settings))


def _more(settings: EnvironmentSettings) -> tuple[Step, ...]:
    if not settings.requirements:
        return ()
    return (Step("more", (*_install(), *settings.requirements)),)


def _from_dependencies(
    inputs: Inputs,
    settings: EnvironmentSettings,
    config: NatConfig | None,
    line: nat.Line | None,
    wants_nat: bool,
) -> tuple[Step, ...]:
    wanted: list[str] = []
    if inputs.is_package:
        wanted += ["-e", _project(settings)]
    elif inputs.table:
        wanted += [
            "-r",
            "pyproject.toml",
            *(word for extra in settings.extras for word in ("--extra", extra)),
        ]
    for name in inputs.requirements:
        wanted += ["-r", name]
    if inputs.has_dev_group:
        wanted += ["--group", "dev"]
    asked = {
        nat.normal(re.split(r"[\s\[<>=!~;@]", text.strip(), maxsplit=1)[0]) for text in inputs.dependencies
    }
    has_nat = any(name.startswith(nat.PACKAGE) for name in asked)
    if wants_nat and not has_nat:
        wanted += _nat_for(config, line or nat.NEWEST)
    if line is not None and (wants_nat or has_nat):
        wanted += line.requirements
    wanted += settings.requirements
    if not wanted:
        return ()
    argv = (*_install(), *wanted)
    if line is None or not settings.constraints:
        return (Step("install", argv),)
    pin = f"{nat.PACKAGE}=={line.release}"
    fallback = (*argv, pin) if (wants_nat or has_nat) else argv
    return (Step("install", (*argv, "--constraints", str(line.constraints)), instead=fallback),)


def _nat_for(config: NatConfig | None, line: nat.Line) -> list[str]:
    """NAT itself, with the extras that the config's components show."""
    kinds = set(config.components.values()) if config else set()
    wanted = [f"{nat.PACKAGE}=={line.release}"]
    if any("mcp" in kind for kind in kinds):
        wanted.append(line.mcp_extra)
    if any(
        kind.endswith("_agent") or kind in ("openai", "nim", "azure_openai", "aws_bedrock") for kind in kinds
    ):
        wanted.append(line.agent_extra)
    return wanted


def _project(settings: EnvironmentSettings) -> str:
    return f".[{','.join(settings.extras)}]" if settings.extras else "."


def _python() -> str:
    return f"{FOLDER}/bin/python"


def _install() -> tuple[str, ...]:
    return ("pip", "install", "--python", _python(), "--compile-bytecode")


def _digest(
    inputs: Inputs, settings: EnvironmentSettings, source: str, line: nat.Line | None, steps: tuple[Step, ...]
) -> str:
    """Over all that changes what comes out; not over the place of ATT itself or of the project, which may move."""
    table = inputs.table
    keys = (
        "name",
        "requires-python",
        "dependencies",
        "optional-dependencies",
        "scripts",
        "entry-points",
        "dynamic",
    )
    tool = inputs.document.get("tool", {})
    said = {
        "form": 1,
        "project": {key: table.get(key) for key in keys},
        "build": inputs.document.get("build-system"),
        "groups": inputs.document.get("dependency-groups"),
        "uv": tool.get("uv") if isinstance(tool, dict) else None,
        "settings": settings.model_dump(mode="json"),
        "source": source,
        "steps": [[a for a in step.argv if not a.startswith("/")] for step in steps],
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for content in (inputs.lock or b"", *inputs.requirements.values()):
        digest.update(hashlib.sha256(content).digest())
    if source.startswith("nat-") and line is not None:
        digest.update(line.constraints.read_bytes())
    return digest.hexdigest()[:32]
