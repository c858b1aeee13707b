"""Instructions for the common jobs, in the words of our tools. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from att.mcp.names import Spelling, advertised

Name = Callable[[str], str]
_UNKNOWN = "\0"
_STEP = re.compile(r"\n(?=[0-9]\. )")


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    about: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Prompt:
    """One job."""

    name: str
    title: str
    about: str
    arguments: tuple[Argument, ...]
    steps: Callable[[Mapping[str, str], Name], str]


PROJECT = Argument("project_id", "The project's id, as the list of projects tells it.")


def _deployed(tool: Name) -> str:
    """A restart runs what was deployed, not the files that were just changed."""
    return (
        "If a version is deployed (`artefact_id` in the status) a restart runs that one again:\n"
        f"   use `{tool('deploy.run')}` with build=true and wait=60 instead."
    )


def _diagnose(given: Mapping[str, str], tool: Name) -> str:
    project = given["project_id"]
    seen = given.get("symptom")
    return f"""\
Find out why the app of the project `{project}` crashes or does not start, and propose the smallest mend.
{f"What was seen: {seen}" if seen else ""}
1. `{tool("runtime.status")}` with project_id={project}: note `state`,
   `reason`, `exit_code`, `exit_signal`, `restarts` and the probes.
2. `{tool("debug.errors")}`: the tracebacks of the log, newest last. The root cause is the first exception of a chain.
3. `{tool("runtime.logs")}` with limit=200: what was said just before. `level`="error" or `grep` narrow it; go on by `cursor`.
   `lost` in an answer means that lines are missing there.
4. `{tool("event.list_project")}` with type=["runtime.*", "code.changed", "deploy.*"]: what changed before it began to fail.
5. Read the files that the traceback names with `{tool("code.read")}`; the NAT config stands in the resource att://project/{project}/config.
6. Tell the cause in one sentence, with the evidence (cursor of the log line, file and line), before you change anything.
7. Only when a mend is wanted: `{tool("code.write")}`, then `{tool("test.run")}` with wait=60, then
   `{tool("runtime.restart")}` with wait="ready". {_deployed(tool)}
   Check with `{tool("runtime.status")}` that `healthy` is true and stays so.
A refusal carries a `code` and a `hint`: follow the hint rather than trying the same again."""


def _add_tool(given: Mapping[str, str], tool: Name) -> str:
    project = given["project_id"]
    return f"""\
Add a tool to the NAT app of the project `{project}`. What it shall do: {given["purpose"]}
1. `{tool("code.list")}` with project_id={project}, and `{tool("code.read")}` of the config (att://project/{project}/config), of
   `pyproject.toml` and of the module that registers the functions (`register.py`, entry point `nat.components`). Keep to its style.
2. Write the function with `{tool("code.write")}`: a config class, a function decorated for registration, typed input, a docstring
   that tells a model when to use it. Give the etag that reading told, so that nobody's edit is lost; 412 means: read again.
3. Name it in the config below `functions:` and in the workflow's `tool_names`.
4. Write a test beside the others that calls the function, one for its result and one for bad input.
5. `{tool("test.run")}` with wait=60. On failure read `{tool("test.results")}`, mend, and run again.
6. `{tool("runtime.restart")}` with wait="ready"; an unknown component or invalid YAML is refused with the place.
   {_deployed(tool)}
7. `{tool("git.status")}` and `{tool("git.diff")}`: nothing but what was meant. Then `{tool("git.add")}` and
   `{tool("git.commit")}` with one sentence that says what and why.
Steps 2 to 5 and the commit can be one call: `{tool("workflow.change_test")}`, which undoes the change when the tests fail."""


def _review(given: Mapping[str, str], tool: Name) -> str:
    project = given["project_id"]
    against = given.get("base") or "the base branch"
    return f"""\
Review the change in the project `{project}` against {against}. Change nothing yourself.
1. `{tool("git.status")}` and `{tool("git.log")}` with project_id={project}: which commits there are, and what is not committed.
2. `{tool("git.diff")}`: read all of it; by `{tool("code.read")}` and `{tool("code.search")}` see who else uses what it touches.
3. `{tool("test.run")}` with wait=60 (`{tool("test.results")}` when it takes longer): failures, and
   whether the new behaviour is tested at all.
4. `{tool("git.actions")}`: what the checks of the branch say.
5. Look for: wrong results and missed cases first; then secrets in files or config, commands or paths made of foreign text,
   errors that are swallowed, endless waits; then whether config and
   code still fit, and what the app does when it is restarted with this.
6. Report each finding with file, line, what goes wrong for whom, and the mend that you propose; the worst first. Say what you have
   checked and found right, and what you could not check.
7. If it is a pull request and a verdict is wanted, give it with `{tool("git.pr.review.create")}`."""


PROMPTS = (
    Prompt(
        "diagnose_crash",
        "Diagnose a crash",
        "Find out why the app of a project crashes or does not start.",
        (PROJECT, Argument("symptom", "What was seen.", required=False)),
        _diagnose,
    ),
    Prompt(
        "add_tool",
        "Add a tool to the app",
        "Add a function that the NAT app's agent can call, with its test.",
        (PROJECT, Argument("purpose", "What the tool shall do.")),
        _add_tool,
    ),
    Prompt(
        "review_change",
        "Review a change",
        "Review what was changed in a project before it is merged.",
        (PROJECT, Argument("base", "The branch or revision to compare with.", required=False)),
        _review,
    ),
)


def listed() -> list[dict[str, object]]:
    """As `prompts/list` tells them."""
    return [
        {
            "name": prompt.name,
            "title": prompt.title,
            "description": prompt.about,
            "arguments": [
                {"name": a.name, "description": a.about, "required": a.required} for a in prompt.arguments
            ],
        }
        for prompt in PROMPTS
    ]


def find(name: str) -> Prompt | None:
    return next((prompt for prompt in PROMPTS if prompt.name == name), None)


def missing(prompt: Prompt, given: Mapping[str, str]) -> list[str]:
    """The arguments that are needed and not given."""
    return [a.name for a in prompt.arguments if a.required and not given.get(a.name, "").strip()]


def text(prompt: Prompt, given: Mapping[str, str], spelling: Spelling, known: Collection[str]) -> str:
    """The instructions, with the tools under the names that are advertised; without the steps whose tools there are not."""

    def name(operation: str) -> str:
        return advertised(operation, spelling) if operation in known else _UNKNOWN

    steps = _STEP.split(prompt.steps(given, name))
    return "\n".join(step for step in steps if _UNKNOWN not in step)
