"""A program that is killed while it makes or deletes a project.

`python -m tests.att.project.life HOME making|placed|deleting|moved`: says "here" at that point, and waits there.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from att.project import making
from att.project.models import CreateProject
from att.project.projects import Projects
from att.project.templates import Template
from tests.att.rooms import CALL, rooms


def stop_here(*_: Any) -> None:
    print("here", flush=True)
    time.sleep(3600)  # until it is killed


def after(function: Any) -> Any:
    def both(*given: Any) -> Any:
        function(*given)
        stop_here()

    return both


async def main(home: str, point: str) -> None:
    async with rooms(Path(home)) as house:
        if point in ("deleting", "moved"):
            await house.projects.create(CreateProject(name="demo", template="echo"), CALL)
        if point == "making":
            Template.copy = after(Template.copy)  # type: ignore[method-assign]
        elif point == "placed":
            making._put_in_place = after(making._put_in_place)
        elif point == "deleting":
            Projects._take_away = stop_here  # type: ignore[assignment, method-assign]
        else:
            Projects._take_away = after(Projects._take_away)  # type: ignore[method-assign]
        if point in ("making", "placed"):
            await house.projects.create(CreateProject(name="demo", template="echo"), CALL)
        else:
            await house.projects.delete("demo", CALL)


asyncio.run(main(sys.argv[1], sys.argv[2]))
