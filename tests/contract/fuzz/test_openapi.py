"""What the OpenAPI document says, held against the real daemon by generated requests, good ones and bad ones.

No answer may be a 5xx, have a status or content type that is not in the document, or a body that is not of its schema; a
request that is not valid must not be taken, and a valid one not be called invalid. At least 90 % of the operations must have
been reached with a 2xx, those apart that need a launcher.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from enum import Enum
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from requests import Session
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contract.fuzz.fitting import HEAVY, fit
from tests.contract.fuzz.given import project_of, tame
from tests.contract.fuzz.world import SETTINGS, World
from tests.daemon import RunningDaemon, running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = 10
STREAMS = ("text/event-stream", "application/x-ndjson")


class Way(Enum):
    """How far a generated request is left as it is."""

    FITTING = "valid, about what there is"
    NAMED = "valid, about a project that there is"
    FREE = "valid, as generated"
    WRONG = "not valid"


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("fuzz") / "home", **SETTINGS) as daemon:
        yield daemon
        assert "Traceback" not in daemon.said


@pytest.mark.timeout(600)
def test_every_answer_is_as_the_document_says(daemon: RunningDaemon) -> None:
    Exploration(daemon, 1).whole()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_answer_of_many_is_as_the_document_says(daemon: RunningDaemon) -> None:
    Exploration(daemon, 4).whole()


@dataclass
class Exploration:
    """All operations, each in all ways; what was answered, and what was wrong."""

    daemon: RunningDaemon
    times: int
    reached: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: list[str] = field(default_factory=list)

    def whole(self) -> None:
        self.world = World(self.daemon)
        self.line = Session()
        self.line.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        schema = schemathesis.openapi.from_url(
            f"{self.daemon.url}/api/v1/openapi.json", headers={"Authorization": f"Bearer {self.daemon.token}"}
        )
        operations = [result.ok() for result in schema.get_all_operations()]
        with self.line:
            for operation in operations:
                self._explore(operation)
        self._judge(len(operations))

    def _judge(self, number: int) -> None:
        ok = {name for name, counts in self.reached.items() if any(200 <= status < 300 for status in counts)}
        alone = {
            name
            for name in self.reached
            if name.startswith("release.") and name not in RELEASES_THAT_ARE_READ
        }
        missed = sorted(set(self.reached) - ok)
        total = sum(self.reached.values(), Counter())
        print(f"{len(ok)} of {number} operations reached with a 2xx; missed: {missed}")
        print(f"{sum(total.values())} requests: {dict(sorted(total.items()))}")
        assert not self.wrong, "\n\n".join(self.wrong)
        assert not ok & alone, "a daemon without a launcher changes no release"
        assert len(ok) >= 0.9 * (number - len(alone)), missed

    def _explore(self, operation: Any) -> None:
        """What is valid is generated once, and asked in each way that leaves it valid."""
        name = operation.definition.raw["operationId"]
        number = EXAMPLES * self.times
        few = HEAVY[name] * min(self.times, 2) if name in HEAVY else number
        valid = _generated(operation, GenerationMode.POSITIVE, number)
        if not valid:
            self.wrong.append(f"{name}: nothing could be generated")
        for way, upto in ((Way.FITTING, few), (Way.NAMED, number), (Way.FREE, 4 * self.times)):
            self._ask_all(operation, way, [_copy(case) for case in valid[:upto]])
        # it may take nothing, so nothing of it can be wrong
        self._ask_all(operation, Way.WRONG, _generated(operation, GenerationMode.NEGATIVE, number))

    def _ask_all(self, operation: Any, way: Way, cases: list[Any]) -> None:
        name = operation.definition.raw["operationId"]
        try:
            for case in cases:
                self._ask(case, name, way, operation.definition.raw)
        except (Exception, FailureGroup) as fault:
            self.wrong.append(f"{name}, {way.value}: {fault}")

    def _ask(self, case: Any, name: str, way: Way, told: dict[str, Any]) -> None:
        self._prepare(case, name, way, {one["name"]: one["in"] for one in told.get("parameters", [])})
        if _streams(told) and case.query:
            case.query.pop("format", None)
        response = case.call(
            base_url=self.daemon.url,
            session=self.line,
            headers={"Authorization": f"Bearer {self.daemon.token}"},
            timeout=60,
        )
        self.reached[name][response.status_code] += 1
        if case.method != "GET" and response.status_code < 300:
            self.world.touched(case.path_parameters.get("project_id"))
        too_much = response.status_code == 413  # refused too, before it was looked at
        case.validate_response(response, checks=CHECKS[:-1] if too_much else CHECKS)
        if way is Way.FITTING:
            assert response.status_code != 422, f"it is valid, but: {response.text}"

    def _prepare(self, case: Any, name: str, way: Way, places: dict[str, str]) -> None:
        if way is Way.FITTING:
            given = _flat(case, places)
            fit(self.world, name, given)
            _spread(case, given, places)
        elif way is not Way.FREE and "project_id" in (case.path_parameters or {}):
            meta = case.meta
            if way is Way.NAMED or not (meta and meta.is_negative_at(ParameterLocation.PATH)):
                self.world.need(project_of(name.removesuffix(".also")))
                case.path_parameters["project_id"] = project_of(name.removesuffix(".also"))
        for part in (case.query, case.body):
            if isinstance(part, dict):
                tame(part)


RELEASES_THAT_ARE_READ = ("release.list", "release.status")


def _generated(operation: Any, mode: GenerationMode, number: int) -> list[Any]:
    """The requests of this operation that are generated: the same in each run; none where there can be none."""
    found: list[Any] = []

    @seed(20261121)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def generate(case: Any) -> None:
        found.append(case)

    with suppress(Unsatisfiable):
        generate()
    return found


def _copy(case: Any) -> Any:
    """One that can be changed by itself."""
    body = case.body
    return case.operation.Case(
        media_type=case.media_type,
        path_parameters=deepcopy(case.path_parameters),
        headers=deepcopy(case.headers),
        cookies=deepcopy(case.cookies),
        query=deepcopy(case.query),
        body=deepcopy(body) if isinstance(body, dict | list) else body,
        multipart_content_types=case.multipart_content_types,
        _meta=deepcopy(case.meta),
    )


def _streams(told: dict[str, Any]) -> bool:
    answers = told["responses"].values()
    return any(kind in STREAMS for answer in answers for kind in answer.get("content", {}))


def _flat(case: Any, places: dict[str, str]) -> dict[str, Any]:
    """All that the request says, by name."""
    headers = {name: value for name, value in (case.headers or {}).items() if name in places}
    body = case.body if isinstance(case.body, dict) else {}
    return {**(case.path_parameters or {}), **(case.query or {}), **headers, **body}


def _spread(case: Any, given: dict[str, Any], places: dict[str, str]) -> None:
    """Each thing back to where it belongs: the address, the query, a header, else the body."""
    by_place: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, value in given.items():
        by_place[places.get(name, "body")][name] = value
    case.path_parameters = by_place["path"]
    case.query = {name: value for name, value in by_place["query"].items() if value is not None}
    for header in list(case.headers or ()):
        if header in places and header not in by_place["header"]:
            del case.headers[header]
    if case.operation.body and (by_place["body"] or isinstance(case.body, dict)):
        case.body = by_place["body"]
