"""`att doctor`: what `att.cli.doctor` finds, shown; ends with 1 when something must be mended."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from att.cli.commands import Done

_MARKS = {"ok": ("✓", "32"), "warn": ("!", "33"), "fail": ("✗", "31")}


def command() -> click.Command:
    return click.Command(
        "doctor",
        params=[
            click.Option(["--json", "as_json"], is_flag=True, help="Print the findings as JSON."),
            click.Option(["--home"], metavar="DIR", help="Folder of all state (ATT_HOME)."),
        ],
        callback=_doctor,
        help="Check what may be wrong with this machine, the home and the projects, and say the remedy.",
    )


@click.pass_context
def _doctor(ctx: click.Context, /, as_json: bool, home: str | None) -> None:
    from att.cli.doctor import diagnose, failed

    above: dict[str, Any] = ctx.find_root().params
    findings = diagnose({"home": home or above.get("home")})
    if as_json or above.get("as_json"):
        click.echo(json.dumps([asdict(finding) for finding in findings], default=str))
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.standing.value]
            mark = f"\x1b[{colour}m{mark}\x1b[0m" if sys.stdout.isatty() else mark
            click.echo(f"{mark} {finding.name}: {finding.what}", color=True)
            if finding.remedy:
                click.echo(f"    → {finding.remedy}")
    if failed(findings):
        raise Done(1)
