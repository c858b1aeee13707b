"""The NAT config of a project: where it is, whether it reads as YAML, and what it asks for. NAT itself is not imported.

NAT replaces `${NAME}`, `${NAME:-default}` and `$NAME` in the *text* before it reads the YAML, so the same is done here (with a
stand-in for what is not set); else a config like `{api_key: ${KEY}}`, which NAT takes, would be refused. Values are never told.
A config may name a `base`, which it is laid over.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from att import plain
from att.runtime.errors import InvalidYaml, NoConfig

USUAL = ("config.yml", "config.yaml", "configs/config.yml", "configs/config.yaml")
SECTIONS = frozenset({"general", "workflow", "functions", "function_groups", "llms", "embedders", "eval"})
MOST = 4 * 1024 * 1024
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::-([^}]*))?\}|([A-Za-z_]\w*))")


@dataclass(frozen=True, slots=True)
class NatConfig:
    """What is worth knowing of a config before NAT reads it."""

    path: Path
    data: Mapping[str, Any]
    components: Mapping[str, str] = field(
        default_factory=dict
    )  # place ("workflow", "functions.search") → _type
    unset: tuple[str, ...] = ()  # variables without a value or default: NAT takes them as empty

    @property
    def front_end(self) -> Mapping[str, Any]:
        general = self.data.get("general")
        found = general.get("front_end") if isinstance(general, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def host(self) -> str:
        return str(self.front_end.get("host") or "")

    @property
    def port(self) -> int | None:
        port = self.front_end.get("port")
        return port if isinstance(port, int) and 0 < port < 65_536 else None

    @property
    def worker(self) -> str:
        """The project's own worker class, which ours extends."""
        return str(self.front_end.get("runner_class") or "")

    @property
    def has_mcp_clients(self) -> bool:
        return "mcp_client" in self.components.values()


def find(project: Path, named: str = "") -> Path:
    """The config of the project: the one that is named, else the usual places, else the only YAML that looks like one."""
    if named:
        path = project / named
        if path.is_file():
            return path
        raise NoConfig(f"{named}, which att.toml names as the config, is not there", looked_for=[named])
    for name in (*USUAL, *_packaged(project)):
        if (project / name).is_file():
            return project / name
    likely = [path for path in sorted(_top_level(project)) if _looks_like_one(path)]
    if len(likely) == 1:
        return likely[0]
    if likely:
        names = [str(path.relative_to(project)) for path in likely]
        raise NoConfig(f"several files could be the config: {', '.join(names)}", looked_for=names)
    raise NoConfig("there is no NAT config in the project", looked_for=list(USUAL))


def _packaged(project: Path) -> Iterator[str]:
    """`nat workflow create` puts it into the package."""
    for pattern in ("src/*/configs/config.yml", "src/*/config.yml", "*/configs/config.yml"):
        yield from (str(path.relative_to(project)) for path in sorted(project.glob(pattern)))


def _top_level(project: Path) -> Iterator[Path]:
    for pattern in ("*.yml", "*.yaml", "configs/*.yml", "configs/*.yaml"):
        yield from project.glob(pattern)


def _looks_like_one(path: Path) -> bool:
    try:
        text = plain.content(path, MOST).decode("utf-8", "replace")
    except OSError:
        return False
    return bool(re.search(r"^workflow\s*:", text, re.MULTILINE) and "_type" in text)


def read(path: Path, environ: Mapping[str, str]) -> NatConfig:
    """The config at `path`; `InvalidYaml` tells line and column."""
    unset: list[str] = []
    data = _load(path, environ, unset, ())
    components = dict(_components(data))
    return NatConfig(path=path, data=data, components=components, unset=tuple(dict.fromkeys(unset)))


def _load(path: Path, environ: Mapping[str, str], unset: list[str], seen: tuple[Path, ...]) -> dict[str, Any]:
    path = path.resolve()
    if path in seen:
        raise InvalidYaml(f"{path.name} is its own base", file=str(path), line=1, column=1)
    data = _parse(path, interpolate(_text(path), environ, unset))
    base = data.pop("base", None)
    if base is None:
        return data
    below = path.parent / str(base)
    if not below.is_file():
        raise NoConfig(f"the base {base} of {path.name} is not there", looked_for=[str(base)])
    return _merge(_load(below, environ, unset, (*seen, path)), data)


def _text(path: Path) -> str:
    try:
        raw = plain.content(path, MOST)
    except OSError as fault:
        if fault.errno == errno.EFBIG:
            raise InvalidYaml(
                f"{path.name} is larger than {MOST} bytes", file=str(path), line=1, column=1
            ) from None
        raise NoConfig(f"{path.name} cannot be read: {fault.strerror}", looked_for=[path.name]) from None
    try:
        return raw.decode()
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        column = fault.start - (raw.rfind(b"\n", 0, fault.start) + 1) + 1
        raise InvalidYaml(
            f"{path.name}, line {line}: this is not UTF-8", file=str(path), line=line, column=column
        ) from None


def interpolate(text: str, environ: Mapping[str, str], unset: list[str]) -> str:
    """`text` with its variables replaced as NAT does; those without a value are added to `unset`."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        if name in environ and (environ[name] or found[2] is None):
            return environ[name]
        if found[2] is not None:
            return found[2]
        unset.append(name)
        return ""

    return "\n".join(
        line if line.lstrip().startswith("#") else _VARIABLE.sub(value, line) for line in text.split("\n")
    )


def _parse(path: Path, text: str) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  both are safe loaders
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = getattr(fault, "problem", None) or "it cannot be read"
        raise InvalidYaml(
            f"{path.name}, line {line}, column {column}: {what}", file=str(path), line=line, column=column
        ) from None
    except (ValueError, RecursionError):
        raise InvalidYaml(f"{path.name} cannot be read", file=str(path), line=1, column=1) from None
    if not isinstance(data, dict):
        what = "is empty" if data is None else "is no table of sections"
        raise InvalidYaml(f"{path.name} {what}", file=str(path), line=1, column=1)
    return data


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _components(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    workflow = data.get("workflow")
    if isinstance(workflow, dict) and isinstance(workflow.get("_type"), str):
        yield "workflow", workflow["_type"]
    for section, entries in data.items():
        if not isinstance(entries, dict) or section in ("general", "workflow", "eval"):
            continue
        for name, entry in entries.items():
            if isinstance(entry, dict) and isinstance(entry.get("_type"), str):
                yield f"{section}.{name}", entry["_type"]
