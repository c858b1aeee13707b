"""Everything that can be known to be wrong before an app is started, in the order in which a user would mend it.

Settings, config, secrets, environment, command, components, port: the first that is wrong is raised under its own code, and
nothing has been started or changed. What is right is handed on as a `Ready`, so that nothing is looked up twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from att import plain, shortrun
from att.runtime import (
    command,
    components,
    config,
    disk,
    environment,
    ports,
    recipe,
    secrets,
    settings,
    truth,
)
from att.runtime.command import Place
from att.runtime.config import NatConfig
from att.runtime.environment import Environment, Standing
from att.runtime.errors import (
    CommandNotFound,
    EnvironmentBroken,
    EnvironmentNotBuilt,
    InvalidNatConfig,
    InvalidSettings,
    InvalidYaml,
    NoConfig,
    UnknownComponent,
)
from att.runtime.settings import RuntimeSettings
from supervisor.spec import AppSpec

FILE = "att.toml"
_ASK = 60.0


@dataclass(frozen=True, slots=True)
class Ready:
    """A project that can be started, looked over. `spec(port)` is what to run."""

    settings: RuntimeSettings
    place: Place
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)  # with secrets
    environment: Environment
    warnings: tuple[str, ...]

    def spec(self, port: int, socket: str = "", private: str = "") -> AppSpec:
        """With the port that was found or that the keeper gave, and where a run on a held socket is asked."""
        place = replace(self.place, port=port, socket=socket, private=private)
        words = command.words(self.settings, place)
        return command.build(self.settings, place, (self.argv[0], *words[1:]), self.env)


def settings_text(folder: Path) -> str:
    """The project's att.toml; nothing when there is none."""
    try:
        return plain.text(folder / FILE)
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as fault:
        raise InvalidSettings(f"{FILE} cannot be read: {fault}", file=FILE, fields=[]) from None


def read_settings(folder: Path) -> RuntimeSettings:
    """What the project's att.toml says; the defaults when there is none."""
    return settings.parse(settings_text(folder), FILE)


def find_config(folder: Path) -> Path | None:
    """The NAT config of a project's directory, if it has one; for the list of projects."""
    try:
        return config.find(folder, read_settings(folder).config)
    except (NoConfig, InvalidSettings):
        return None


async def look_over(
    project_id: str,
    folder: Path,
    *,
    tmp: Path,
    environ: Mapping[str, str],
    named_config: str = "",
    validate: bool = True,
) -> Ready:
    """All checks but the port's. Without `validate` nothing is run for it."""
    found, nat_config, place_env = await asyncio.to_thread(_files, folder, environ, named_config)
    if place_env.standing is Standing.BROKEN and _needs_environment(found, folder):
        raise EnvironmentBroken(f"{place_env.folder}: {place_env.reason}", reason=place_env.reason)
    host, port = command.host_and_port(found, nat_config)
    place = Place(
        project_id=project_id,
        folder=folder,
        bin=place_env.bin if place_env.usable else None,
        nat_version=place_env.nat_version if place_env.usable else "",
        tmp=tmp,
        config=nat_config,
        host=host,
        port=port,
    )
    values = await asyncio.to_thread(secrets.resolve, found.env, environ, folder)
    env = command.variables(found, place, environ, values)
    words = command.words(found, place)
    program = await asyncio.to_thread(_program, words[0], folder, env, place_env, found)
    warnings = _warnings(nat_config, env, place_env)
    ready = Ready(found, place, (program, *words[1:]), env, place_env, warnings)
    if validate and nat_config is not None and place_env.usable and place_env.nat_version:
        await _components(ready, nat_config)
    return ready


def check_port(ready: Ready) -> int:
    """The port to use: the one that is set, which must be free, or a free one. Blocks shortly."""
    if ready.place.port == 0:
        return ports.free(ready.place.host)
    if (
        "{port}" in " ".join(ready.settings.command)
        or not ready.settings.command
        or ready.settings.serve == "socket"
    ):
        ports.check(ready.place.host, ready.place.port)
    return ready.place.port


def read_config(
    folder: Path, environ: Mapping[str, str], named: str = ""
) -> tuple[RuntimeSettings, NatConfig | None]:
    """The settings, and the NAT config where one is needed."""
    found = read_settings(folder)
    if not named and not _needs_config(found):
        return found, None
    with_ours = {**environ, **{k: v for k, v in found.env.items() if "${" not in v}}
    with_ours |= {k: "x" for k, v in found.env.items() if "${" in v}
    return found, config.read(config.find(folder, named or found.config), with_ours)


def _files(
    folder: Path, environ: Mapping[str, str], named: str
) -> tuple[RuntimeSettings, NatConfig | None, Environment]:
    found, nat_config = read_config(folder, environ, named)
    digest = ""
    if (folder / recipe.FOLDER).is_dir():
        digest = _recipe(folder, found, nat_config).digest
    place = environment.look(folder, digest)
    if not place.usable and place.standing is not Standing.BROKEN and _needs_environment(found, folder):
        raise EnvironmentNotBuilt(f"{folder.name}: {place.reason}", reason=place.reason)
    return found, nat_config, place


def _recipe(folder: Path, found: RuntimeSettings, nat_config: NatConfig | None) -> recipe.Recipe:
    needed = command.uses_nat(found)
    return recipe.write(recipe.gather(folder), found.environment, nat_config, default_command=needed)


def plan_environment(folder: Path) -> tuple[recipe.Recipe, Environment]:
    """Today's recipe for the project, and what stands on disk. A config that is not there or wrong does not hinder a build."""
    found = read_settings(folder)
    try:
        nat_config = config.read(config.find(folder, found.config), {}) if _needs_config(found) else None
    except (NoConfig, InvalidYaml):
        nat_config = None
    plan = _recipe(folder, found, nat_config)
    return plan, environment.look(folder, plan.digest)


def _needs_config(found: RuntimeSettings) -> bool:
    if found.app:
        return False
    return not found.command or any("{config}" in word for word in found.command)


def _needs_environment(found: RuntimeSettings, folder: Path) -> bool:
    if command.uses_nat(found) or found.app:
        return True
    brings = any(
        (folder / name).is_file() for name in ("pyproject.toml", "requirements.txt", "requirements.lock")
    )
    return brings and "/" not in found.command[0]


def _program(
    word: str, folder: Path, env: Mapping[str, str], place: Environment, found: RuntimeSettings
) -> str:
    if "/" in word:
        path = folder / word
        if path.is_file() and shutil.which(str(path)):
            return str(path)
        raise CommandNotFound(f"{word} is not there or cannot be run", command=word)
    program = shutil.which(word, path=env.get("PATH", ""))
    if word == "nat" and program is not None and not program.startswith(str(place.bin)):
        program = None  # a NAT from elsewhere would not know the project's packages
    if program is None:
        hint = (
            "Add `nvidia-nat` to the project's dependencies and build its environment again."
            if word == "nat"
            else None
        )
        raise CommandNotFound(f"there is no program `{word}`", hint=hint, command=word)
    return program


def _warnings(nat_config: NatConfig | None, env: Mapping[str, str], place: Environment) -> tuple[str, ...]:
    found = [
        f"The config uses ${{{name}}}, which is not set: NAT takes it as empty."
        for name in (nat_config.unset if nat_config else ())
        if name not in env
    ]
    if place.standing is Standing.STALE:
        found.append(f"The environment is out of date: {place.reason}.")
    return tuple(found)


async def _components(ready: Ready, nat_config: NatConfig) -> None:
    doubtful = await asyncio.to_thread(components.suspects, ready.environment, ready.place.folder, nat_config)
    if not doubtful:
        return
    place, kind = next(iter(doubtful.items()))
    code, said = await nat_says(ready, nat_config)
    if code and said is not None:
        refuse(said, place, kind)


async def nat_says(ready: Ready, nat_config: NatConfig) -> tuple[int, truth.Truth | None]:
    """What `nat validate` makes of the config: its exit code, and the error it names. 0 when it takes too long."""
    last: deque[str] = deque(maxlen=400)
    argv = (str(ready.environment.bin / "nat"), "validate", "--config_file", str(nat_config.path))
    try:
        with _scratch(ready.place.tmp):
            code = await shortrun.run(
                argv, cwd=ready.place.folder, env=ready.env, on_line=last.append, timeout=_ASK
            )
    except TimeoutError:
        return 0, None  # the start itself will tell
    return code, truth.find(list(last)) if code else None


@contextlib.contextmanager
def _scratch(tmp: Path) -> Iterator[None]:
    """The private TMPDIR for one short run; one that was not there before is not there afterwards."""
    new = [place for place in (tmp, tmp.parent) if not place.exists()]
    with disk.making(tmp):
        tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        yield
    finally:
        for place in new:
            shutil.rmtree(place, ignore_errors=True)


def refuse(said: truth.Truth, place: str = "", kind: str = "") -> None:
    """Raise what the truth names, where it is about the config; else do nothing."""
    if said.cause is truth.Cause.UNKNOWN_COMPONENT:
        near = _near(said.component, said.known)
        raise UnknownComponent(
            said.text + (f"; did you mean `{near}`?" if near else ""),
            component=said.component or kind,
            place=said.place or place,
            known=list(said.known),
        )
    if said.cause is truth.Cause.INVALID_CONFIG:
        raise InvalidNatConfig(said.text)


def _near(word: str, known: tuple[str, ...]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(word, known, 1)), "")
