"""The document says exactly what the routes do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from att.catalogue import Catalogue
from att.http.openapi import build
from tests.att.http.house import ROOMS, Served


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build(list(Catalogue(ROOMS)), "1.2.3")


def test_it_is_served_once_made_and_asked_again_by_its_etag(shared: Served) -> None:
    first = shared.ask("GET", "/openapi.json")
    assert first.json["openapi"] == "3.1.0"
    again = shared.ask("GET", "/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert shared.ask("GET", "/openapi.json", token=None).status == 401


def test_every_operation_stands_in_it_with_its_errors(document: dict[str, Any]) -> None:
    for operation in Catalogue(ROOMS):
        entry = document["paths"]["/api/v1" + operation.path][operation.method.lower()]
        assert entry["operationId"] == operation.name
        assert entry["summary"] == operation.summary
        for error in operation.errors:
            told = entry["responses"][str(error.status)]["content"]["application/problem+json"]
            assert told["examples"][error.code]["value"]["code"] == error.code
        assert {"400", "401", "403", "421", "422", "500", "503"} <= entry["responses"].keys()


def test_every_reference_leads_somewhere_and_nothing_is_left_over(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in document["components"]["schemas"]


def test_parameters_say_what_travels_as_text(document: dict[str, Any]) -> None:
    told = {p["name"]: p for p in document["paths"]["/api/v1/things"]["get"]["parameters"]}
    assert told["limit"]["schema"] == {
        "type": "integer",
        "format": "int64",
        "minimum": 1,
        "maximum": 100,
        "default": 50,
    }
    assert told["colour"]["schema"] == {"$ref": "#/components/schemas/Colour"}
    assert (told["tag"]["style"], told["tag"]["explode"]) == ("form", True)
    assert told["heavier"]["schema"] == {"type": "number"}
    path = document["paths"]["/api/v1/things/{thing_id}"]["get"]["parameters"][0]
    assert (path["in"], path["required"], path["schema"]["minLength"]) == ("path", True, 1)


def test_bodies_are_closed_and_hold_only_what_travels_there(document: dict[str, Any]) -> None:
    entry = document["paths"]["/api/v1/things"]["post"]
    assert [p["name"] for p in entry["parameters"]] == ["dry_run"]
    body = entry["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert body["required"] is True
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
    assert "dry_run" not in schema["properties"]
    assert {"413", "415"} <= entry["responses"].keys()
    assert "requestBody" not in document["paths"]["/api/v1/things/{thing_id}/crash"]["post"]


def test_streams_stand_beside_the_json(document: dict[str, Any]) -> None:
    entry = document["paths"]["/api/v1/things/{thing_id}/lines"]["get"]
    assert list(entry["responses"]["200"]["content"]) == [
        "application/json",
        "text/event-stream",
        "application/x-ndjson",
        "text/plain",
    ]
    told = {p["name"]: p["schema"] for p in entry["parameters"]}
    assert told["format"]["enum"] == ["json", "sse", "ndjson", "text"]
    feed = document["paths"]["/api/v1/things/{thing_id}/feed"]["get"]
    assert list(feed["responses"]["200"]["content"]) == ["application/x-ndjson"]


def test_only_health_and_the_session_need_no_token(document: dict[str, Any]) -> None:
    open_ones = {
        (path, method)
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
        if isinstance(entry, dict) and {} in entry.get("security", [])
    }
    assert open_ones == {
        ("/api/v1/health", "get"),
        ("/api/v1/session", "post"),
        ("/api/v1/session", "delete"),
    }


def test_an_answer_has_the_members_that_the_document_names(document: dict[str, Any], shared: Served) -> None:
    ref = document["paths"]["/api/v1/things/{thing_id}"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]["schema"]
    schema = document["components"]["schemas"][ref["$ref"].rsplit("/", 1)[1]]
    answer = shared.ask("GET", "/things/lamp").json
    assert set(schema["properties"]) == set(answer)
    assert set(schema["required"]) <= set(answer)
