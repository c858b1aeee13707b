"""How a release is made out of a source: the commands and what a source must have. Does no I/O.

The environment is made by uv, from the source's own `requirements.lock`, with the base interpreter (an environment that another
release owns would go with it); then a wheel is built from the source and put into it. What the running ATT has beside the
locked packages (the driver of PostgreSQL) the new one gets too, or it could not open the same store.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

PACKAGE = "agent-toolkit-toolkit"
LOCK = "requirements.lock"
PROJECT = "pyproject.toml"
MODULE = "att.daemon"
ENV, SOURCE, WHEELS, PYTHON = "env", "source", "wheels", "env/bin/python"
LOG, DESCRIPTION = "build.log", "release.json"
LEFT_OUT = ("ATT_", "PYTHON", "VIRTUAL_ENV", "CONDA_", "UV_PROJECT_ENVIRONMENT", "GIT_")


@dataclass(frozen=True, slots=True)
class Step:
    """One command. `uv`: by uv, else by the new environment's own Python."""

    name: str
    argv: tuple[str, ...]
    share: float  # of the whole, when it is done
    uv: bool = True


def before_wheel(base: str) -> tuple[Step, ...]:
    """Up to the wheel, whose name is known only then."""
    install = ("pip", "install", "--python", PYTHON, "--compile-bytecode", "--link-mode", "copy")
    return (
        Step("environment", ("venv", "--no-project", "--python", base, ENV), 0.1),
        Step("packages", (*install, "-r", f"{SOURCE}/{LOCK}"), 0.6),
        Step("wheel", ("build", "--wheel", "--python", PYTHON, "--out-dir", WHEELS, SOURCE), 0.75),
    )


def after_wheel(wheel: str, extras: Collection[str]) -> tuple[Step, ...]:
    """What makes the release out of its environment and its wheel."""
    install = (
        "pip",
        "install",
        "--python",
        PYTHON,
        "--compile-bytecode",
        "--link-mode",
        "copy",
    )
    named = f"{wheel}[{','.join(sorted(extras))}]", "--constraints", f"{SOURCE}/{LOCK}"
    what: tuple[str, ...] = named if extras else ("--no-deps", wheel)
    return (
        Step("install", (*install, *what), 0.85),
        Step("self-check", ("-P", "-m", MODULE, "--self-check"), 0.95, uv=False),
    )


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the commands inherit: nothing that would lead them to another Python or another ATT."""
    kept = {name: value for name, value in environ.items() if not name.startswith(LEFT_OUT)}
    return kept | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def fault_of(document: bytes | None, lock: bytes | None) -> tuple[str, str]:
    """The version of a source, and why it is none of ATT ("" when it is)."""
    if document is None:
        return "", f"it has no {PROJECT}"
    try:
        project: Any = tomllib.loads(document.decode("utf-8")).get("project")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        return "", f"its {PROJECT} cannot be read: {fault}"
    if not isinstance(project, dict) or project.get("name") != PACKAGE:
        return "", f"its {PROJECT} does not describe {PACKAGE}"
    if lock is None:
        return "", f"it has no {LOCK}"
    return str(project.get("version", "")), ""


def reason_of(lines: Collection[str], name: str, code: int) -> str:
    """What a failed command said was wrong, in one sentence."""
    last = list(lines)[-40:]
    marks = ("error:", "cause:", "×", "╰─▶", "Because", "hint:", "fatal:")
    said = [line for line in last if line.lstrip().startswith(marks)] or [line for line in last if line][-1:]
    words = " ".join(" ".join(said).replace("×", "").replace("╰─▶", "").split())
    return f"{name}: {words[:1000]}" if words else f"{name} ended with {code}"
