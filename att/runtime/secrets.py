"""Secrets by reference: `${env:NAME}` and `${file:path}` in the values of `env`.

att.toml is read by people, agents and git, so a secret's value never stands there. It is looked up at each start, handed to
the app's environment, and never kept, logged or told: an error names the reference only. A file's last newline is not part of
the secret. Other `${…}` are left alone, they are the app's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from att import plain
from att.runtime.errors import SecretMissing

_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)\}")
_MOST = 64 * 1024


def resolve(values: Mapping[str, str], environ: Mapping[str, str], base: Path) -> dict[str, str]:
    """`values` with every reference replaced; relative files are looked for below `base`."""
    return {name: _fill(name, text, environ, base) for name, text in values.items()}


def _fill(variable: str, text: str, environ: Mapping[str, str], base: Path) -> str:
    return _REFERENCE.sub(lambda found: _look_up(variable, found[1], found[2], environ, base), text)


def references(values: Mapping[str, str]) -> list[str]:
    """The references that stand in `values`, as they are written."""
    return [found[0] for text in values.values() for found in _REFERENCE.finditer(text)]


def files(values: Mapping[str, str], base: Path) -> list[Path]:
    """The files that the references name."""
    found = (found for text in values.values() for found in _REFERENCE.finditer(text))
    return [_place(base, one[2]) for one in found if one[1] == "file" and "\0" not in one[2]]


def _place(base: Path, name: str) -> Path:
    return base / os.path.expanduser(name)  # noqa: PTH111  (that of Path fails where there is no such user)


def _look_up(variable: str, kind: str, name: str, environ: Mapping[str, str], base: Path) -> str:
    reference = f"${{{kind}:{name}}}"
    if kind == "env":
        if name not in environ:
            raise SecretMissing(
                f"{variable} needs {reference}, which is not set", reference=reference, variable=variable
            )
        return environ[name]
    try:
        with plain.opened(_place(base, name)) as file:
            content = file.read(_MOST + 1)
        if len(content) > _MOST:
            raise SecretMissing(
                f"{reference} is too large for a secret", reference=reference, variable=variable
            )
        text = content.decode()
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not text"
        raise SecretMissing(
            f"{variable} needs {reference}, which cannot be read: {reason}",
            reference=reference,
            variable=variable,
        ) from None
    if "\0" in text:
        raise SecretMissing(f"{reference} holds a NUL byte", reference=reference, variable=variable)
    return text.removesuffix("\n").removesuffix("\r")
