"""Resources: read with the reader's rights, and their changes told to clients of both generations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from mcp import MCPError
from mcp.shared.subscriptions import PromptsListChanged
from mcp.types import PromptReference, ResourceTemplateReference

from tests.att.mcp.house import MODES, READER, WRITER, House, house
from tests.att.mcp.test_door import heads, message, session, told
from tests.att.rooms import CALL, on_a_loop
from tests.support import eventually

each_mode = pytest.mark.parametrize("mode", MODES)


async def make(there: House, name: str) -> None:
    folder = there.rooms.home / "projects" / name
    folder.mkdir(parents=True, exist_ok=True)
    from att.project.models import CreateProject

    await there.rooms.projects.create(CreateProject(name=name, path=str(folder)), CALL)


@each_mode
def test_resources_are_listed_read_and_refused(tmp_path: Path, mode: str) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.client(mode, READER) as client:
            await make(there, "one")
            assert [str(found.uri) for found in (await client.list_resources()).resources] == [
                "att://projects"
            ]
            contents = (await client.read_resource("att://projects")).contents
            assert [project["id"] for project in json.loads(contents[0].text)["projects"]] == ["one"]
            for uri in ("att://nothing", "att://project/one/nothing", "http://x/"):
                with pytest.raises(MCPError) as error:
                    await client.read_resource(uri)
                assert error.value.error.code == -32602
                assert error.value.error.data["code"] == "resource_not_found"
                assert error.value.error.data["uri"] == uri

    run()


@on_a_loop
async def test_who_may_not_read_sees_no_resource(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.client("legacy", WRITER) as client:
        assert (await client.list_resources()).resources == []
        assert (await client.list_resource_templates()).resource_templates == []
        with pytest.raises(MCPError) as error:
            await client.read_resource("att://projects")
        assert error.value.error.data["code"] == "missing_scope"
        with pytest.raises(MCPError):
            await client.session.subscribe_resource("att://projects")


@on_a_loop
async def test_an_older_client_hears_of_what_it_subscribed_to_and_of_the_list(tmp_path: Path) -> None:
    heard: list[str] = []

    async def hear(message: Any) -> None:
        params = getattr(message, "params", None)
        heard.append(str(getattr(params, "uri", None) or getattr(message, "method", message)))

    async with house(tmp_path) as there, there.client("legacy", message_handler=hear) as client:
        await eventually(lambda: there.streams == 1)  # the client has opened the stream of its session
        await make(there, "one")
        await eventually(lambda: "notifications/resources/list_changed" in heard)
        assert "att://projects" not in heard
        await client.session.subscribe_resource("att://projects")
        await make(there, "two")
        await eventually(lambda: "att://projects" in heard)
        await client.session.unsubscribe_resource("att://projects")
        heard.clear()
        await make(there, "three")
        await eventually(lambda: "notifications/resources/list_changed" in heard)
        assert "att://projects" not in heard


@on_a_loop
async def test_what_changes_while_a_session_cannot_hear_is_told_once_when_it_can(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        mine = heads(Mcp_Session_Id=await session(http))

        async def ask(method: str) -> None:
            async with http.post("/mcp", json=message(method, uri="att://projects"), headers=mine) as answer:
                assert "result" in told(await answer.text())

        await ask("resources/subscribe")
        server = there.door._server
        assert server is not None
        (listener,) = server.notifier._listeners.values()
        for number in range(2):  # before its first stream, and between two of them
            await make(there, f"one-{number}")
            await make(there, f"two-{number}")
            await eventually(lambda: {"", "att://projects"} <= set(listener._untold))
            async with http.get("/mcp", headers=mine) as stream:
                await make(there, f"three-{number}")
                found = [await _next(stream) for _ in range(2)]
                assert {"notifications/resources/list_changed", "att://projects"} == set(found)
            await eventually(lambda: not listener.can_hear)
        await ask("resources/unsubscribe")
        assert "att://projects" not in listener._untold
        async with http.delete("/mcp", headers=mine) as answer:
            assert answer.status == 200
        await eventually(lambda: not (server.notifier._listeners or server.notifier._can_hear))
        await eventually(lambda: (there.door.mounted.sessions, there.door.mounted.streams) == (0, 0))
        await eventually(lambda: server.notifier.working == 0)


async def _next(stream: aiohttp.ClientResponse) -> str:
    """The address of the next notice, or its method."""
    while not (line := await stream.content.readline()).startswith(b"data: {"):
        assert line, "the stream ended"
    notice = json.loads(line[6:])
    return str((notice.get("params") or {}).get("uri") or notice["method"])


@on_a_loop
async def test_a_newer_client_hears_on_the_stream_that_it_opened(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.client("2026-07-28") as client:
        async with client.listen(
            resources_list_changed=True, resource_subscriptions=["att://projects", "http://x"]
        ) as stream:
            await make(there, "one")
            found = {repr(await anext(stream)) for _ in range(2)}
            assert found == {"ResourcesListChanged()", "ResourceUpdated(uri='att://projects')"}
        server = there.door._server
        assert server is not None
        await eventually(lambda: server.notifier._listening == 0)
        await eventually(lambda: server.notifier._follower is None or server.notifier._follower.done())


@on_a_loop
async def test_who_may_not_read_hears_nothing(tmp_path: Path) -> None:
    asked = {"resources_list_changed": True, "resource_subscriptions": ["att://projects"]}
    async with (
        house(tmp_path) as there,
        there.client("2026-07-28", WRITER) as writer,
        there.client("2026-07-28", READER) as reader,
        writer.listen(**asked, prompts_list_changed=True) as deaf,
        reader.listen(**asked) as hearing,
    ):
        await make(there, "one")
        assert {repr(await anext(hearing)) for _ in range(2)} >= {"ResourcesListChanged()"}
        server = there.door._server
        assert server is not None
        await server._bus.publish(PromptsListChanged())
        assert await anext(deaf) == PromptsListChanged()  # nothing was before it


@each_mode
def test_ids_of_projects_are_completed(tmp_path: Path, mode: str) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there:
            for name in ("alpha", "alpine", "beta"):
                await make(there, name)
            async with there.client(mode) as client:
                for ref, argument in (
                    (PromptReference(type="ref/prompt", name="diagnose_crash"), "project_id"),
                    (ResourceTemplateReference(type="ref/resource", uri="att://project/{id}/logs"), "id"),
                ):
                    told = await client.complete(ref, {"name": argument, "value": "alp"})
                    assert told.completion.values == ["alpha", "alpine"]
                    nothing = await client.complete(ref, {"name": "other", "value": "a"})
                    assert nothing.completion.values == []

    run()


@each_mode
def test_prompts_give_instructions_with_the_names_of_tools(tmp_path: Path, mode: str) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.client(mode) as client:
            listed = (await client.list_prompts()).prompts
            assert [prompt.name for prompt in listed] == ["diagnose_crash", "add_tool", "review_change"]
            told = await client.get_prompt("diagnose_crash", {"project_id": "demo", "symptom": "it dies"})
            text = told.messages[0].content.text
            assert "`demo`" in text and "it dies" in text
            for name, given in (("diagnose_crash", {}), ("add_tool", {"project_id": "x"}), ("none", {})):
                with pytest.raises(MCPError) as error:
                    await client.get_prompt(name, given)
                assert error.value.error.code == -32602

    run()
