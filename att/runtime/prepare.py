"""`python -m att.runtime.prepare TARGET --nat 1.9`: the sample app with its own environment, made by the real builder.

For scripts and tests. Does nothing when what is there is up to date; leaves with 1 and the reason when the build fails.
"""

# ruff: noqa: T201  it speaks to a terminal

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

from att.runtime import environment, nat, recipe
from att.runtime.build import Build, BuildState
from att.runtime.settings import EnvironmentSettings

SAMPLE = Path(__file__).parents[1] / "templates" / "echo"


def lay_out(target: Path, line: nat.Line) -> None:
    """Copy the sample app to `target`, asking for NAT of that line."""
    shutil.copytree(SAMPLE, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".venv"))
    pyproject = target / "pyproject.toml"
    asked = re.sub(
        r'^( *)"nvidia-nat[^"]*"',
        rf'\1"nvidia-nat=={line.release}"',
        pyproject.read_text("utf-8"),
        flags=re.M,
    )
    pyproject.write_text(asked, "utf-8")


async def prepare(target: Path, line: nat.Line, *, quiet: bool = False) -> bool:
    """Make the sample app's environment at `target/.venv`; True when it is there."""
    lay_out(target, line)
    plan = recipe.write(recipe.gather(target), EnvironmentSettings(), None)
    if environment.look(target, plan.digest).standing is environment.Standing.READY:
        return True
    build = Build(target, plan, os.environ)
    build.start()
    async for _, lines in build.follow():
        if not quiet:
            print(
                *(f"[nat {line.name} {build.progress.share:4.0%}] {said}" for said in lines),
                sep="\n",
                flush=True,
            )
    if build.problem is not None:
        print(f"error: {build.problem.detail}", *build.lines[-20:], sep="\n", file=sys.stderr)
    return build.state is BuildState.READY


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m att.runtime.prepare", description="Make the sample app and its environment."
    )
    parser.add_argument("target", type=Path)
    parser.add_argument("--nat", choices=[line.name for line in nat.LINES], default=nat.NEWEST.name)
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args()
    line = nat.line(given.nat) or nat.NEWEST
    return 0 if asyncio.run(prepare(given.target.resolve(), line, quiet=given.quiet)) else 1


if __name__ == "__main__":
    sys.exit(main())
