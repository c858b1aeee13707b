"""A project's whole story, told by an agent over MCP alone: from the template to a version that fails and is taken back.

`python -m tests.e2e.story` plays it and prints what was asked and answered.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.agent import Agent, Json, Say, agent, brief

NAME = "parrot"
TEST = '''"""What is said loudly is answered loudly."""

from test_echo import ask


def test_a_shout_is_answered_with_a_shout():
    assert ask("hello!") == "echo: HELLO!"


def test_a_quiet_word_stays_quiet():
    assert ask("hello") == "echo: hello"
'''
QUIET = "    return text\n"
WRONG = '    return text.upper() if text.startswith("!") else text\n'
LOUD = '    return text.upper() if text.endswith("!") else text\n'
NEEDS_A_KEY = '    key = os.environ["PARROT_KEY"]\n    logger.info("a key of %d letters", len(key))\n\n    async def words('
REGISTER = "src/parrot/register.py"


class Story:
    """The chapters, in order. `say` hears what is asked and answered."""

    def __init__(self, one: Agent, say: Say) -> None:
        self.agent, self.say = one, say
        self.began = time.monotonic()
        self.heard: set[str] = set()

    def chapter(self, title: str) -> None:
        self.say(f"\n{title}  [{time.monotonic() - self.began:.1f} s]")

    async def ask(self, operation: str, **given: Any) -> Json:
        return await self.agent.ask(operation, project_id=NAME, **given)

    async def run(self, operation: str, state: str = "succeeded", **given: Any) -> Json:
        answer = await self.agent.run(operation, project_id=NAME, **given)
        assert answer["state"] == state, answer
        return answer

    async def edit(self, path: str, old: str, new: str) -> Json:
        """Read, change a place that there is once, and write over exactly what was read."""
        read = await self.ask("code.read", path=path)
        assert read["content"].count(old) == 1, f"{old!r} in {path}"
        changed = read["content"].replace(old, new)
        return await self.ask("code.write", path=path, content=changed, if_match=read["etag"])

    async def tell(self) -> None:
        uris = [f"att://project/{NAME}/{place}" for place in ("files", "tests", "ci", "logs")]
        async with self.agent.client.listen(
            resource_subscriptions=["att://projects", *uris], resources_list_changed=True
        ) as changes:
            listening = asyncio.create_task(self._listen(changes))
            try:
                for chapter in (
                    *(self.begin, self.write, self.fail, self.mend, self.propose, self.merge),
                    *(self.deploy, self.break_it, self.diagnose, self.look_back),
                ):
                    await chapter()
            finally:
                listening.cancel()
        self.say(f"\nchanges that were told meanwhile: {', '.join(sorted(self.heard))}")
        assert {"att://projects", *uris} <= self.heard

    async def _listen(self, changes: Any) -> None:
        async for change in changes:
            self.heard.add(str(getattr(change, "uri", "the list of resources")))

    async def begin(self) -> None:
        self.chapter("A project from a template")
        made = await self.agent.ask("project.create", name=NAME, template="echo")
        assert made["id"] == NAME
        config = await self.agent.read(f"att://project/{NAME}/config")
        assert "_type: echo" in config
        await self.edit("att.toml", "port = 8000 ", 'port = 0\nserve = "socket"\n# port = 8000 ')
        await self.ask("git.init")
        await self.ask("git.add", all=True)
        await self.ask("git.commit", message="Begin with the echo template")

    async def write(self) -> None:
        self.chapter("Its environment, and a change on a branch")
        await self.ask("runtime.environment.build")
        await self.until("runtime.environment.get", lambda found: found["state"] != "building")
        await self.ask("git.branch", name="shout", switch=True)
        await self.ask("code.write", path="tests/test_shout.py", content=TEST)
        written = await self.edit(REGISTER, QUIET, WRONG)
        stale = await self.agent.refused(
            "code.write", "file_changed", project_id=NAME, path=REGISTER, content="", if_match='"stale"'
        )
        assert stale["status"] == 412
        assert written["created"] is False

    async def fail(self) -> None:
        self.chapter("A test fails")
        await self.run("test.run", "failed", install=True)
        results = await self.ask("test.results", failed=True)
        (failure,) = results["failures"]
        assert (results["counts"]["failed"], results["counts"]["passed"]) == (1, 6)
        assert "HELLO!" in failure["message"] + failure["traceback"]
        tests = json.loads(await self.agent.read(f"att://project/{NAME}/tests"))
        assert tests["status"] == "failed"

    async def mend(self) -> None:
        self.chapter("It is mended")
        await self.edit(REGISTER, WRONG, LOUD)
        await self.run("test.run")
        status = await self.ask("git.status")
        assert status["untracked"] == ["tests/test_shout.py"]
        await self.ask("git.diff")
        await self.ask("git.add", all=True)
        await self.ask("git.commit", message="Answer a shout with a shout")

    async def propose(self) -> None:
        self.chapter("A pull request, its checks, and one change more")
        pull = await self.ask("git.pr.create", title="Answer a shout with a shout", base="main")
        assert (pull["head"], pull["base"], pull["state"]) == ("shout", "main", "open")
        await self.checked(pull["number"])
        readme = await self.ask("code.read", path="README.md")
        change = {
            "path": "README.md",
            "content": readme["content"] + "\nWhat ends in `!` is echoed in capitals.\n",
        }
        await self.run("workflow.change_test", message="Tell of the shout", changes=[change])
        pushed = await self.ask("git.push")
        assert pushed["result"] == "updated"
        await self.checked(pull["number"])
        checks = json.loads(await self.agent.read(f"att://project/{NAME}/ci"))
        assert {one["conclusion"] for one in checks["checks"]} == {"success"}
        assert len(checks["checks"]) == 2

    async def checked(self, number: int) -> None:
        """The newest commit's check, followed by its log to its end."""
        found = await self.ask("git.actions", number=number)
        run, cursor, complete = found["checks"][0]["id"], None, False
        while not complete:
            given = {"cursor": cursor} if cursor else {}
            piece = await self.ask("git.actions.logs", run=run, wait=30, **given)
            cursor, complete = piece["next_cursor"], piece["complete"]
        assert piece["conclusion"] == "success", piece

    async def merge(self) -> None:
        self.chapter("It is merged")
        pull = await self.ask("git.pr.get", number=1)
        assert pull["mergeable"] == "clean"
        await self.ask("git.pr.merge", number=1, sha=pull["head_sha"], delete_branch=True)
        await self.ask("git.branch", name="main", action="switch")
        pulled = await self.ask("git.pull", branch="main")
        assert pulled["result"] == "fast_forward"
        await self.ask("git.log", limit=5)

    async def deploy(self) -> None:
        self.chapter("Built, and brought out")
        built = await self.run("deploy.build", revision="main")
        self.good = built["result"]["artefact"]["artefact_id"]
        await self.run("deploy.run", artefact_id=self.good)
        status = await self.ask("runtime.status")
        assert (status["healthy"], status["artefact_id"]) == (True, self.good)
        self.port = status["port"]
        assert await self.says("good morning!") == "echo: GOOD MORNING!"

    async def break_it(self) -> None:
        self.chapter("A version that cannot start is brought out, and taken back by itself")
        await self.edit(REGISTER, "\n    async def words(", f"\n{NEEDS_A_KEY}")
        answers: list[str] = []
        asking = asyncio.create_task(self._keep_asking(answers))
        failed = await self.run("deploy.run", "failed", build=True, health_timeout=25)
        assert failed["problem"]["code"] == "deploy_failed", failed
        asking.cancel()
        await asyncio.wait([asking])
        self.say(f"  (meanwhile the app was asked {len(answers)} times and answered each time)")
        assert set(answers) == {"echo: AND NOW!"}
        status = await self.ask("runtime.status")
        assert (status["healthy"], status["artefact_id"]) == (True, self.good)
        assert await self.says("still here!") == "echo: STILL HERE!"
        history = await self.ask("deploy.history")
        assert [one["state"] for one in history["deploys"]] == ["rolled_back", "succeeded"]

    async def diagnose(self) -> None:
        self.chapter("Why it did not start")
        text = await self.agent.prompt("diagnose_crash", project_id=NAME, symptom="the deploy went back")
        assert "att_debug_errors" in text
        errors = await self.ask("debug.errors")
        raised = [one for one in errors["errors"] if one["type"] == "KeyError"]
        frames = [frame for one in raised for frame in one["frames"] if frame["in_project"]]
        self.say(
            f"    the project's own frames: {[(one['file'][-30:], one['line'], one['code']) for one in frames[-1:]]}"
        )
        assert any("PARROT_KEY" in str(frame["code"]) for frame in frames), raised
        log = json.loads(await self.agent.read(f"att://project/{NAME}/logs?limit=3"))
        assert log["lines"]
        await self.ask("git.diff", stat_only=True)

    async def look_back(self) -> None:
        self.chapter("What happened")
        events: list[Json] = []
        cursor = None
        while True:
            given = {"cursor": cursor} if cursor else {}
            page = await self.ask("event.list_project", order="oldest", limit=500, **given)
            events += page["events"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        for event in events:
            self.say(
                f"    {event['id']:>4} {event['event_type']:<20} {event['outcome']:<6} {brief(event['payload'], 150)}"
            )
        in_order(
            [event["event_type"] for event in events],
            *("project.created", "code.changed", "git.commit", "build.completed", "git.branch", "test.run"),
            *(
                "test.failed",
                "code.changed",
                "test.passed",
                "git.commit",
                "git.pr.created",
                "git.check.completed",
            ),
            *("workflow.succeeded", "git.push", "git.check.completed", "git.pr.merged", "git.pull"),
            *("build.completed", "deploy.started", "runtime.ready", "deploy.completed"),
            *("code.changed", "build.completed", "deploy.started", "deploy.rolled_back"),
        )
        assert all(event["actor"] for event in events)
        (back,) = [event for event in events if event["event_type"] == "deploy.rolled_back"]
        assert self.good in json.dumps(back["payload"]), back

    async def until(self, operation: str, enough: Callable[[Json], bool]) -> Json:
        """The answer that is enough, asked for again and again; only that one is told."""
        name = f"att_{operation.replace('.', '_')}"
        while True:
            found = await self.agent.client.call_tool(name, {"project_id": NAME})
            if enough(found.structured_content or {}):
                return await self.ask(operation)
            await asyncio.sleep(0.1)

    async def says(self, text: str) -> str:
        """The app's answer."""
        address = f"http://127.0.0.1:{self.port}/generate"
        async with aiohttp.ClientSession() as web, web.post(address, json={"text": text}) as answer:
            return str((await answer.json())["value"])

    async def _keep_asking(self, answers: list[str]) -> None:
        while True:
            answers.append(await self.says("and now!"))
            await asyncio.sleep(0.1)


def in_order(found: list[str], *wanted: str) -> None:
    """The wanted ones come in this order, whatever is between them."""
    rest = iter(found)
    for one in wanted:
        assert one in rest, f"{one} is not where it belongs: {found}"


async def tell(url: str, token: str, say: Say) -> Agent:
    """The whole story at a daemon; the agent afterwards."""
    async with agent(url, token, say) as one:
        story = Story(one, say)
        await story.tell()
        say(f"{one.calls} calls of tools in {time.monotonic() - story.began:.1f} s")
        return one


def main() -> None:
    from tests.daemon import running

    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "home") as daemon:
        asyncio.run(tell(daemon.url, daemon.token, lambda text: print(text, flush=True)))


if __name__ == "__main__":
    main()
