"""What the OpenAPI document says, held against the real daemon by generated requests, good ones and bad ones.

No answer may be a 5xx, have a status or content type that is not in the document, or a body that is not of its schema; a
request that is not valid must not be taken, and a valid one not be called invalid. At least 90 % of the operations must have
been reached with a 2xx.
"""

from __future__ import annotations

import sys
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.daemon import RunningDaemon, running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
APP = [sys.executable, "-c", "import signal; print('here I am', flush=True); signal.pause()"]
EXAMPLES = 25


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("fuzz") / "home", ATT_LOG_LEVEL="warning") as daemon:
        yield daemon


def known(daemon: RunningDaemon) -> None:
    """The project that valid requests are about; made anew when one of them has deleted it."""
    if daemon.ask("GET", "/projects/demo").status == 404:
        folder = daemon.home / "projects" / "demo"
        if folder.exists():
            made = daemon.ask("POST", "/projects", {"name": "demo", "path": str(folder)})
            assert made.status == 201, made.text
        else:
            daemon.project("demo", APP, "[[runtime.probe]]\nkind = 'process'\n")
            (folder / "pyproject.toml").write_text(
                "[project]\nname = 'demo'\nversion = '1'\ndependencies = []\n"
            )


def fitting(case: Any, daemon: RunningDaemon) -> None:
    """Point a generated request at what exists, and keep it from waiting or streaming for ever."""
    known(daemon)
    if case.path_parameters and "project_id" in case.path_parameters:
        case.path_parameters["project_id"] = "demo"
    if case.path_parameters and "release_id" in case.path_parameters:
        case.path_parameters["release_id"] = "installed"
    label = case.operation.label
    query = case.query or {}
    query.pop("format", None)
    if "wait" in query and not isinstance(query["wait"], str):
        query["wait"] = 0
    if "cursor" in query:
        query.pop("cursor")
    if label == "POST /api/v1/projects":
        case.body = {"name": f"made-{uuid.uuid4().hex[:12]}", "template": "echo"}
    if label.endswith("DELETE /api/v1/projects/{project_id}/runtime/environment"):
        daemon.ask("POST", "/projects/demo/runtime/stop")
        daemon.ask("POST", "/projects/demo/runtime/environment", {"rebuild": True})
    if label.endswith("POST /api/v1/projects/{project_id}/runtime/environment"):
        daemon.ask("POST", "/projects/demo/runtime/stop")
    if label.endswith(("/runtime/stop", "DELETE /api/v1/projects/{project_id}/runtime/logs")):
        daemon.ask("POST", "/projects/demo/runtime/start?wait=running")
    elif label.endswith("/runtime/start"):
        daemon.ask("POST", "/projects/demo/runtime/stop")


@pytest.mark.timeout(240)
def test_every_answer_is_as_the_document_says(daemon: RunningDaemon) -> None:
    schema = schemathesis.openapi.from_url(
        f"{daemon.url}/api/v1/openapi.json", headers={"Authorization": f"Bearer {daemon.token}"}
    )
    operations = [result.ok() for result in schema.get_all_operations()]
    reached: dict[str, Counter[int]] = defaultdict(Counter)
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for fit in (True, False) if mode is GenerationMode.POSITIVE else (False,):
                _explore(operation, mode, fit, daemon, reached[operation.label])
    ok = [label for label, counts in reached.items() if any(200 <= status < 300 for status in counts)]
    alone = [label for label in reached if "/releases" in label and not label.startswith("GET ")]
    assert not set(ok) & set(alone), "a daemon without a launcher changes no release"
    missed = sorted(set(reached) - set(ok))
    print(f"{len(ok)} of {len(operations)} operations reached with a 2xx; missed: {missed}")
    total = sum((counts for counts in reached.values()), Counter())
    print(f"{sum(total.values())} requests: {dict(sorted(total.items()))}")
    assert len(ok) >= 0.9 * (len(operations) - len(alone)), missed


def _explore(
    operation: Any, mode: GenerationMode, fit: bool, daemon: RunningDaemon, seen: Counter[int]
) -> None:
    strategy = operation.as_strategy(generation_mode=mode)

    @seed(20261121)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def explore(case: Any) -> None:
        if fit:
            fitting(case, daemon)
        elif (case.query or {}).get("format") or (case.query or {}).get("wait"):
            case.query.pop("format", None)
            case.query.pop("wait", None)
        response = case.call(
            base_url=daemon.url, headers={"Authorization": f"Bearer {daemon.token}"}, timeout=20
        )
        seen[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    try:
        explore()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # it takes nothing, so nothing of it can be wrong
