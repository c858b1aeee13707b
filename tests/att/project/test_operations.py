"""The operations of the project room, as a door runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from att.catalogue import Catalogue, Effect
from att.problems import Problem, ProjectNotFound
from att.project import errors
from att.project.operations import room
from att.project.projects import Projects
from tests.att.rooms import CALL, Rooms, on_a_loop, rooms


async def ask(house: Rooms, operation_name: str, /, **given: Any) -> Any:
    operation = Catalogue([room]).bind({Projects: house.projects})[operation_name]
    return await operation.run(operation.operation.input.model_validate(given), CALL)


def test_the_room_offers_what_the_contract_names() -> None:
    offered = {(o.name, o.method, o.path, o.effect, o.status) for o in room.operations}
    assert offered == {
        ("project.create", "POST", "/projects", Effect.WRITE, 201),
        ("project.download", "POST", "/projects/download", Effect.WRITE, 201),
        ("project.export", "GET", "/projects/{project_id}/archive", Effect.READ, 200),
        ("project.list", "GET", "/projects", Effect.READ, 200),
        ("project.get", "GET", "/projects/{project_id}", Effect.READ, 200),
        ("project.delete", "DELETE", "/projects/{project_id}", Effect.DESTRUCTIVE, 200),
    }


@on_a_loop
async def test_a_project_from_its_making_to_its_end(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        made = await ask(house, "project.create", name="demo", template="echo")
        assert await ask(house, "project.get", project_id="demo") == made
        assert (await ask(house, "project.list", limit=10)).projects == [made]
        assert (await ask(house, "project.delete", project_id="demo", keep_files=True)).files_removed is False
        with pytest.raises(ProjectNotFound):
            await ask(house, "project.get", project_id="demo")
        assert (await ask(house, "project.list")).projects == []


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("project.create", {"name": "x", "unknown": 1}),
        ("project.create", {"name": "x" * 300, "template": "echo"}),
        ("project.list", {"limit": 0}),
        ("project.list", {"limit": 1001}),
        ("project.delete", {"project_id": "x", "keep_files": "perhaps"}),
    ],
)
@on_a_loop
async def test_what_does_not_fit_the_model_is_refused(
    tmp_path: Path, name: str, given: dict[str, Any]
) -> None:
    async with rooms(tmp_path) as house:
        with pytest.raises(ValidationError):
            await ask(house, name, **given)


def test_every_problem_of_the_room_has_a_code_of_its_own_and_a_hint() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]
    assert len(kinds) == len({kind.code for kind in kinds}) > 15
    for kind in kinds:
        assert kind.hint != Problem.hint
        assert 400 <= kind.status < 600


def test_everything_that_making_a_project_can_end_in_is_declared() -> None:
    making = ("project.create", "project.download")
    declared = {kind for o in room.operations if o.name in making for kind in o.errors}
    elsewhere = {
        errors.DirectoryMissing,
        errors.FilesNotRemoved,
        errors.StatusNotAllowed,
        errors.ExportTooLarge,
    }
    of_the_room = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    }
    assert of_the_room - elsewhere <= declared
