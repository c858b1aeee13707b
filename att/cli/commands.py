"""One command for each operation of a room: what it takes, what it asks, how it shows the answer.

The same for all; only three things are known beyond that. An operation with an NDJSON stream can be followed (`-f`). One
that answers 202 has begun something, whose progress is followed until it is done. One that destroys asks first, on a
terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from att.catalogue import Effect, Operation
from att.cli import options
from att.cli.client import API, Client, Refused, find, path_for, query_for
from att.cli.follow import Following
from att.cli.render import Screen
from att.problems import Problem

NDJSON = "application/x-ndjson"


class Done(Exception):
    """Leave with this exit code; all has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def connection_options() -> list[click.Option]:
    """The options that every command takes."""
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="Print the API's JSON unchanged."),
        click.Option(["--url"], metavar="URL", help="Address of the daemon (ATT_URL)."),
        click.Option(["--token"], metavar="TOKEN", help="Token (ATT_TOKEN); else that of ATT_HOME."),
        click.Option(["--home"], metavar="DIR", help="Folder of all state (ATT_HOME)."),
    ]


def connect(ctx: click.Context, given: dict[str, Any]) -> tuple[Client, bool]:
    """The client for these options, where those of the command win over those before it."""
    above: dict[str, Any] = ctx.find_root().params
    picked = {name: given.pop(name, None) or above.get(name) for name in ("url", "token", "home", "as_json")}
    as_json = bool(picked["as_json"])
    ctx.find_root().params["as_json"] = as_json
    return Client(find(picked["url"], picked["token"], picked["home"])), as_json


def verb(operation_name: str) -> str:
    """`runtime.logs.delete` is `logs-delete` in its room."""
    return "-".join(operation_name.split(".")[1:] or [operation_name]).replace("_", "-")


class Room(click.Group):
    """The commands of a room. `logs delete` is taken for `logs-delete`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        for count in range(min(len(args), 4), 1, -1):
            name = "-".join(args[:count])
            if name in self.commands:
                return name, self.commands[name], args[count:]
        if args[0] not in self.commands and (more := self._that_begin_with(args[0])):
            ctx.fail(f"{args[0]!r} needs another word: {', '.join(more)}.")
        return super().resolve_command(ctx, args)

    def _that_begin_with(self, word: str) -> list[str]:
        found = [
            name for name, each in self.commands.items() if name.startswith(f"{word}-") and not each.hidden
        ]
        return sorted(name.replace("-", " ") for name in found)


def room_group(name: str, about: str, operations: Iterable[Operation]) -> click.Command:
    """The group of a room; a room whose only operation has the room's name is that command itself."""
    all_of_it = list(operations)
    if [operation.name for operation in all_of_it] == [name]:
        return command(all_of_it[0], all_of_it)
    group = Room(name, help=about)
    for operation in all_of_it:
        group.add_command(command(operation, all_of_it))
        for alias in operation.aliases:
            group.add_command(command(operation, all_of_it, name=verb(alias), hidden=True))
    return group


def command(
    operation: Operation, siblings: Iterable[Operation], *, name: str | None = None, hidden: bool = False
) -> click.Command:
    """The command of one operation."""
    streams = operation.method == "GET" and any(stream.media_type == NDJSON for stream in operation.streams)
    progress = _progress_of(operation, siblings)
    own: list[click.Option] = []
    if streams:
        own.append(
            click.Option(["-f", "--follow"], is_flag=True, help="Go on with what comes, until Ctrl-C.")
        )
    if progress and not _answers_run(operation):
        own.append(
            click.Option(["--wait/--no-wait"], default=None, help="Show the progress until it is done.")
        )
    if any(stream.suffix for stream in operation.streams):
        own.append(
            click.Option(
                ["-o", "--output"], type=click.Path(dir_okay=False), help="File to write; - is stdout."
            )
        )
    if operation.effect is Effect.DESTRUCTIVE:
        own.append(click.Option(["-y", "--yes"], is_flag=True, help="Do not ask."))
    flags = {flag for option in own for flag in option.opts}
    parameters = options.parameters(operation, flags)
    used = {flag for parameter in parameters for flag in parameter.opts}
    shared = [option for option in connection_options() if not used & set(option.opts)]
    return click.Command(
        name or verb(operation.name),
        params=[*parameters, *own, *shared],
        callback=_callback(operation, progress),
        help="\n\n".join(part for part in (operation.summary, operation.description) if part),
        short_help=operation.summary,
        hidden=hidden,
    )


def _progress_of(operation: Operation, siblings: Iterable[Operation]) -> Operation | None:
    """The operation whose stream tells how what this one began goes on; of its own room, or of the one that is named."""
    if operation.status != 202:
        return None
    named = operation.progress.split(".")[0]
    if named not in ("", operation.room):
        from att.rooms import room

        siblings = room(named).operations
    return next((each for each in siblings if _tells_progress(each, operation)), None)


def _answers_run(operation: Operation) -> bool:
    """Whether it begins long work. Its `wait` says for how long to wait; without it, all is followed to its end."""
    return operation.status == 202 and "wait" in operation.input.model_fields


def _tells_progress(candidate: Operation, of: Operation) -> bool:
    return (
        (candidate.name == of.progress or (not of.progress and candidate.path == of.path))
        and candidate.method == "GET"
        and any(stream.media_type == NDJSON for stream in candidate.streams)
    )


def _callback(operation: Operation, progress: Operation | None) -> Callable[..., None]:
    @click.pass_context
    def run(ctx: click.Context, /, **given: Any) -> None:
        client, as_json = connect(ctx, given)
        sent = options.typed(operation, given)
        asked = given.get("yes") is False and not as_json and sys.stdin.isatty() and sys.stdout.isatty()
        if asked and not click.confirm(f"{operation.summary} Really?"):
            raise Done(1)
        target, body = request_of(operation, sent)
        if given.get("follow"):
            _follow(Following(client, target, _tell), operation, as_json)
            return
        if "output" in given and not as_json:
            _save(client, target, given["output"])
            return
        raw = _ask(client, operation, target, body, as_json)
        if _answers_run(operation) and given.get("wait") is not None:
            _tell_failure(raw, as_json)
        elif progress is not None and _to_the_end(operation, given, as_json):
            begun = json.loads(raw) if operation.progress else {}
            path = whose_progress(progress, begun, sent)
            raw = _watch(client, path_for(progress.template, path), as_json)
        show(raw, as_json)

    return run


def _to_the_end(operation: Operation, given: dict[str, Any], as_json: bool) -> bool:
    """Whether what was begun is followed until it is done."""
    if _answers_run(operation):
        return True
    return bool(given.get("wait")) or (given.get("wait") is None and not as_json)


def whose_progress(progress: Operation, begun: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in the path of the operation that tells the progress.

    What was begun names itself, since a name that was typed (`staged`) may mean another one, or none, before the end."""
    return {name: begun.get(name) or begun.get("id") or sent[name] for name in progress.path_fields}


def _tell_failure(raw: bytes, as_json: bool) -> None:
    """`Done` with 1 when a run has ended badly within the time that was waited for."""
    run = json.loads(raw)
    if run.get("state") in ("failed", "cancelled", "interrupted") or run.get("error"):
        if not as_json:
            _tell(f"Error: {(run.get('problem') or {}).get('detail') or run.get('error') or run['state']}")
        show(raw, as_json)
        raise Done(1)


def request_of(operation: Operation, sent: dict[str, Any]) -> tuple[str, Any]:
    """The address with its query, and the body."""
    from att.fields import wire_name

    operation = operation.at_also()  # where any value can be told
    fields = operation.input.model_fields
    query = [wire_name(name, fields[name]) for name in operation.query_fields]
    bodied = [wire_name(name, fields[name]) for name in operation.body_fields]
    target = path_for(operation.template, {name: sent[name] for name in operation.path_fields})
    target += query_for({name: sent[name] for name in query if name in sent})
    return target, {name: sent[name] for name in bodied if name in sent} if bodied else None


def _save(client: Client, target: str, output: str | None) -> None:
    """Write the file that is answered; half a file is not left."""
    if output is None and sys.stdout.isatty():
        raise click.UsageError("Name a file with --output, or - for stdout.")
    if output in (None, "-"):
        client.save(target, sys.stdout.buffer)
        return
    beside = Path(f"{output}.part")
    try:
        with beside.open("wb") as file:
            client.save(target, file)
        beside.replace(str(output))
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _ask(client: Client, operation: Operation, target: str, body: Any, as_json: bool) -> bytes:
    if operation.effect is Effect.READ or as_json or not sys.stderr.isatty():
        plain = {"Accept": "application/json"} if any(each.suffix for each in operation.streams) else {}
        return client.ask(operation.method, target, body, headers=plain)
    from rich.console import Console

    with Console(stderr=True).status(f"{verb(operation.name).replace('-', ' ')} …"):
        return client.ask(operation.method, target, body)


def show(raw: bytes, as_json: bool) -> None:
    """The answer, unchanged or for people."""
    if not raw:
        return
    if as_json:
        sys.stdout.write(raw.decode() + "\n")
    else:
        Screen().show(json.loads(raw))


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _follow(following: Following, operation: Operation, as_json: bool) -> None:
    screen = Screen()
    fields = operation.output.model_fields.keys() if operation.output is not None else set()
    if {"next_cursor", "last_id"} & fields and "text" not in fields:  # a text comes as it is from its begin
        _, page = following.page()
        items = next((value for value in page.values() if isinstance(value, list)), [])
        if as_json and page.get("lost"):
            screen.print(json.dumps({"lost": page["lost"]}))
        elif not as_json:
            screen.lost(page.get("lost"))
        for item in items:
            if as_json:
                screen.print(json.dumps(item, ensure_ascii=False))
            else:
                screen.event(item)
    screen.out.flush()
    for raw, told in following:
        if as_json:
            screen.print(raw.decode())
            screen.out.flush()
        else:
            screen.event(told)


def _watch(client: Client, target: str, as_json: bool) -> bytes:
    """Follow the progress of what was begun; the state after it. `Done` with 1 when it failed."""
    following = Following(client, target, _tell)
    done: dict[str, Any] = {}
    if as_json or not sys.stderr.isatty():
        for _, told in following:
            if told.get("type") == "progress" and not as_json:
                _tell(str(told.get("line") or told.get("message") or ""))
            done = told
    else:
        done = _bar(following)
    raw = client.ask("GET", target)
    if done.get("error"):
        if not as_json:
            _tell(f"Error: {done['error']}")
        show(raw, as_json)
        raise Done(1)
    return raw


def _bar(following: Following) -> dict[str, Any]:
    """The progress as a bar, with the lines above it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    last: dict[str, Any] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("…", total=1.0)
        for _, told in following:
            last = told
            if told.get("line"):
                bar.console.print(escape(str(told["line"])), style="dim", highlight=False)
            done = 1.0 if told.get("type") == "done" and not told.get("error") else told.get("progress")
            bar.update(task, description=str(told.get("phase") or ""), completed=done)
    return last


def report(problem: Problem, as_json: bool) -> None:
    """A problem as a sentence and a hint; or, for programs, as its document."""
    if as_json:
        if isinstance(problem, Refused) and problem.told:
            sys.stdout.write(problem.body.decode() + "\n")
        else:
            sys.stdout.write(json.dumps(problem.document()) + "\n")
        return
    mark, hint = (
        ("\x1b[31;1mError:\x1b[0m", "\x1b[1mHint:\x1b[0m") if sys.stderr.isatty() else ("Error:", "Hint:")
    )
    sys.stderr.write(f"{mark} {problem.detail}\n")
    told = problem.told if isinstance(problem, Refused) else {}
    for fault in told.get("fields", [])[1:]:
        sys.stderr.write(f"       {fault.get('field')}: {fault.get('message')}\n")
    sys.stderr.write(f"{hint} {problem.advice}\n")
    if told.get("code") == "internal_error":
        sys.stderr.write(f"Request id: {told.get('request_id')}\n")


__all__ = ["API", "Done", "command", "connect", "connection_options", "report", "room_group", "show", "verb"]
