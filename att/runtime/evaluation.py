"""`nat eval` as a short run of its own: beside the app, with a time limit, its results read from the files that it writes."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from att import plain, shortrun
from att.runtime import disk, truth
from att.runtime.config import NatConfig
from att.runtime.environment import Environment
from att.runtime.errors import (
    EnvironmentNotBuilt,
    EvalFailed,
    EvalNotInstalled,
    EvalTimeout,
    InvalidNatConfig,
    NoConfig,
)
from att.runtime.models import EvalFile, EvalResult, EvalRuntime
from att.runtime.nat import line_of
from att.runtime.preflight import Ready

MOST_FILES = 1000
MOST_JSON = 16 * 1024 * 1024
DEFAULT_OUTPUT = ".tmp/nat/examples/default"


@dataclass(frozen=True, slots=True)
class Outcome:
    output_dir: Path
    files: dict[str, int]  # name below `output_dir` → bytes
    scores: dict[str, float]  # evaluator → average score
    seconds: float
    lines: tuple[str, ...]


def check_installed(environment: Environment) -> None:
    """`EvalNotInstalled` names the extra to add: since 1.5 `nat eval` is a package of its own."""
    version = environment.nat_version
    if (
        not version
        or "nvidia-nat-eval" in environment.installed
        or version.startswith(("1.2.", "1.3.", "1.4."))
    ):
        return
    line = line_of(version)
    extra = line.eval_extra if line else "nvidia-nat[eval]"
    raise EvalNotInstalled(f"NAT {version} is installed without `nat eval`", extra=extra)


def output_dir(config: NatConfig, folder: Path) -> Path:
    """Where the config has the results written."""
    section = config.data.get("eval")
    general = section.get("general", {}) if isinstance(section, dict) else {}
    output = general.get("output", {}) if isinstance(general, dict) else {}
    named = (output.get("dir") if isinstance(output, dict) else None) or general.get("output_dir")
    return folder / str(named or DEFAULT_OUTPUT)


async def run(
    argv: tuple[str, ...], *, folder: Path, env: Mapping[str, str], into: Path, timeout: float
) -> Outcome:
    """Run it; the results are what it wrote below `into`."""
    last: deque[str] = deque(maxlen=400)
    began = time.monotonic()
    since = time.time() - 1.0
    try:
        code = await shortrun.run(argv, cwd=folder, env=env, on_line=last.append, timeout=timeout)
    except TimeoutError:
        raise EvalTimeout(f"nat eval was ended after {timeout:g} s", lines=list(last)[-30:]) from None
    if code:
        if any("No such command 'eval'" in line for line in last):
            raise EvalNotInstalled("This NAT has no `nat eval`", extra="nvidia-nat[eval]")
        found = truth.find(list(last))
        said = (
            found.text
            if found
            else (next((line for line in reversed(last) if line.strip()), "") or "nothing was said")
        )
        raise EvalFailed(f"nat eval ended with {code}: {said}", exit_code=code, lines=list(last)[-30:])
    files = _files(into, since)
    return Outcome(into, files, _scores(into, files), time.monotonic() - began, tuple(last)[-50:])


async def evaluate(ask: EvalRuntime, ready: Ready) -> EvalResult:
    """The whole of it for a project that was looked over: checks, command, private TMPDIR, results."""
    place, found = ready.place, ready.environment
    if place.config is None:
        raise NoConfig(f"{place.project_id} has no NAT config to evaluate")
    if not found.usable:
        raise EnvironmentNotBuilt(f"{place.project_id}: {found.reason}", reason=found.reason)
    if not isinstance(place.config.data.get("eval"), dict):
        raise InvalidNatConfig(
            "the config has no `eval` section", hint="Add `eval:` with a dataset to the config."
        )
    check_installed(found)
    argv = [str(found.bin / "nat"), "eval", "--config_file", str(place.config.path)]
    argv += ["--reps", str(ask.reps)] if ask.reps > 1 else []
    argv += ["--endpoint", ask.endpoint] if ask.endpoint else []
    into = output_dir(place.config, place.folder)
    await asyncio.to_thread(_empty, place.tmp)
    try:
        outcome = await run(tuple(argv), folder=place.folder, env=ready.env, into=into, timeout=ask.timeout)
    finally:
        await asyncio.to_thread(shutil.rmtree, place.tmp, ignore_errors=True)
    return EvalResult(
        project_id=place.project_id,
        output_dir=str(outcome.output_dir),
        files=[EvalFile(path=name, size=size) for name, size in outcome.files.items()],
        scores=outcome.scores,
        seconds=round(outcome.seconds, 3),
        lines=list(outcome.lines),
    )


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with disk.making(folder):
        folder.mkdir(mode=0o700, parents=True)


def _files(into: Path, since: float) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in sorted(into.rglob("*")):
        if len(found) >= MOST_FILES:
            break
        if path.is_file() and not path.is_symlink():
            facts = path.stat()
            if facts.st_mtime >= since:
                found[str(path.relative_to(into))] = facts.st_size
    return found


def _scores(into: Path, files: Mapping[str, int]) -> dict[str, float]:
    """The average of each evaluator, from its `…_output.json`."""
    scores = {}
    for name, size in files.items():
        evaluator = re.fullmatch(r"(?:.*/)?(.+)_output\.json", name)
        if not evaluator or size > MOST_JSON:
            continue
        content = _json(into / name)
        average = content.get("average_score") if isinstance(content, dict) else None
        if isinstance(average, (int, float)):
            scores[evaluator[1]] = float(average)
    return scores


def _json(path: Path) -> Any:
    try:
        return json.loads(plain.content(path, MOST_JSON))
    except (OSError, ValueError):
        return None
