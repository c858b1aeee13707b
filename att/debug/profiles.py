"""The files of NAT's profiler as figures. Pure.

`standardized_data_all.csv` has a row for each beginning and end of a step (the two share a UUID), with the tokens of each call of
a model; `inference_optimization.json` has the spread over all requests. Both are the same in NAT 1.4 and 1.9. Steps of tools and
models are only there when the framework's part of NAT's profiler is installed.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from att.debug.errors import MalformedProfile
from att.debug.models import RequestMetrics, Spread, StepMetrics, Tokens

STEPS = "standardized_data_all.csv"
INFERENCE = "inference_optimization.json"
FILES = (STEPS, INFERENCE, "all_requests_profiler_traces.json", "workflow_profiling_metrics.json",
         "workflow_profiling_report.txt", "workflow_output.json", "gantt_chart.png")  # fmt: skip
MOST_ROWS = 1_000_000
_KINDS = {"WORKFLOW": "workflow", "FUNCTION": "function", "LLM": "llm", "TOOL": "tool", "TASK": "task"}
_NAMES = {"llm": "llm_name", "tool": "tool_name"}


@dataclass(slots=True)
class _Calls:
    seconds: list[float] = field(default_factory=list)
    begun: int = 0
    tokens: Tokens = field(default_factory=Tokens)


@dataclass(slots=True)
class _Request:
    first: float = math.inf
    last: float = -math.inf
    steps: int = 0
    tokens: Tokens = field(default_factory=Tokens)


def read(steps: str | None, inference: str | None, limit: int) -> dict[str, Any]:
    """The figures of a profile, by the names that they have in the answer."""
    found: dict[str, Any] = {"requests": 0, "tokens": Tokens()}
    if inference is not None:
        found |= _inference(inference)
    if steps is not None:
        found |= _steps(steps, limit)
    return found


def _inference(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedProfile(f"{INFERENCE} is no JSON.", file=INFERENCE) from None
    spreads = document.get("confidence_intervals") if isinstance(document, dict) else None
    if not isinstance(spreads, dict):
        return {}
    throughput = _spread(spreads.get("throughput_estimate_confidence_interval"))
    workflow = _spread(spreads.get("workflow_run_time_confidence_intervals"))
    return {
        "requests": workflow.n if workflow else 0,
        "workflow_seconds": workflow,
        "llm_seconds": _spread(spreads.get("llm_latency_confidence_intervals")),
        "requests_per_second": throughput.mean if throughput else None,
    }


def _spread(value: object) -> Spread | None:
    if not isinstance(value, Mapping) or not _number(value.get("n")):
        return None
    return Spread(
        n=int(_number(value["n"])), **{k: _number(value.get(k)) for k in ("mean", "p90", "p95", "p99")}
    )


def _steps(text: str, limit: int) -> dict[str, Any]:
    rows = csv.DictReader(StringIO(text))
    try:
        columns = set(rows.fieldnames or ())
        if not {"event_type", "event_timestamp", "UUID"} <= columns:
            raise MalformedProfile(f"{STEPS} lacks the columns of NAT's profiler.", file=STEPS)
        return _figures(rows, limit)
    except csv.Error as fault:
        raise MalformedProfile(f"{STEPS}, line {rows.line_num}: {fault}.", file=STEPS) from None


def _figures(rows: csv.DictReader[str], limit: int) -> dict[str, Any]:
    begun: dict[str, float] = {}
    calls: defaultdict[tuple[str, str], _Calls] = defaultdict(_Calls)
    requests: defaultdict[int, _Request] = defaultdict(_Request)
    for number, row in enumerate(rows):
        if number >= MOST_ROWS:
            break
        word, _, edge = (row.get("event_type") or "").partition("_")
        kind, at = _KINDS.get(word), _number(row.get("event_timestamp"))
        if kind is None or edge not in ("START", "END"):
            continue
        request = requests[int(_number(row.get("example_number")))]
        request.first, request.last = min(request.first, at), max(request.last, at)
        one = calls[kind, _name(kind, row)]
        identity = f"{kind} {row.get('UUID')}"
        if edge == "START":
            begun[identity], one.begun, request.steps = at, one.begun + 1, request.steps + 1
            continue
        one.seconds.append(max(0.0, at - begun.pop(identity, at)))
        used = Tokens(
            prompt=int(_number(row.get("prompt_tokens"))),
            completion=int(_number(row.get("completion_tokens"))),
            total=int(_number(row.get("total_tokens"))),
        )
        one.tokens, request.tokens = _sum(one.tokens, used), _sum(request.tokens, used)
    total = Tokens()
    for each in requests.values():
        total = _sum(total, each.tokens)
    steps = [_step(kind, name, one) for (kind, name), one in calls.items()]
    slowest = [
        RequestMetrics(
            number=number, seconds=round(one.last - one.first, 6), steps=one.steps, tokens=one.tokens
        )
        for number, one in requests.items()
    ]
    return {
        "requests": len(requests),
        "tokens": total,
        "steps": sorted(steps, key=lambda step: (-step.total_seconds, step.kind, step.name))[:limit],
        "slowest": sorted(slowest, key=lambda request: (-request.seconds, request.number))[:limit],
    }


def _name(kind: str, row: Mapping[str, str | None]) -> str:
    named = row.get(_NAMES.get(kind, "function_name")) or row.get("function_name") or "?"
    return named[:200]


def _step(kind: str, name: str, calls: _Calls) -> StepMetrics:
    seconds = sorted(calls.seconds)
    total = sum(seconds)
    return StepMetrics(
        kind=kind,
        name=name,
        calls=max(calls.begun, len(seconds)),
        unfinished=max(0, calls.begun - len(seconds)),
        total_seconds=round(total, 6),
        mean_seconds=round(total / len(seconds), 6) if seconds else 0.0,
        p95_seconds=round(percentile(seconds, 0.95), 6),
        max_seconds=round(seconds[-1], 6) if seconds else 0.0,
        tokens=calls.tokens,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least value that this share of all does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def _sum(one: Tokens, other: Tokens) -> Tokens:
    return Tokens(
        prompt=one.prompt + other.prompt,
        completion=one.completion + other.completion,
        total=one.total + other.total,
    )


def _number(value: object) -> float:
    """A number that can be counted with; 0 for all else."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
    return found if math.isfinite(found) and abs(found) < 1e15 else 0.0
