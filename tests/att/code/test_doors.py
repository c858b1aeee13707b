"""Files over HTTP and on the command line: names with slashes, any name, and etags as headers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from att.cli.main import main
from tests.daemon import RunningDaemon, running


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("code") / "home", ATT_LOG_LEVEL="warning") as daemon:
        daemon.project("app", ["true"])
        yield daemon
        assert "Traceback" not in daemon.said


FILES = "/projects/app/files"


@pytest.mark.parametrize(
    "name", ["a.py", "src/deep/a.py", "a b", "ü/🎉", "100%", "a?b#c", "x/diff", "search", "+"]
)
def test_any_name_is_written_and_read_at_either_address(daemon: RunningDaemon, name: str) -> None:
    for address in (
        f"{FILES}/{quote(name)}",
        f"{FILES}/{quote(name, safe='')}",
        f"{FILES}/content?path={quote(name)}",
    ):
        written = daemon.ask("PUT", address, {"content": address})
        assert written.status == 200, written.text
        assert written.json["path"] == name
        for other in (f"{FILES}/{quote(name)}", f"{FILES}/content?path={quote(name, safe='')}"):
            read = daemon.ask("GET", other)
            assert read.json["content"] == address
            assert read.headers["etag"] == f'"{read.json["etag"]}"' == written.headers["etag"]
    assert (daemon.home / "projects/app" / name).exists()


@pytest.mark.parametrize("name", ["diff", "content", "move", "search"])
def test_a_name_that_is_taken_by_an_address_is_read_as_content(daemon: RunningDaemon, name: str) -> None:
    assert daemon.ask("PUT", f"{FILES}/content?path={name}", {"content": "x"}).status == 200
    assert daemon.ask("GET", f"{FILES}/content?path={name}").json["content"] == "x"
    assert daemon.ask("DELETE", f"{FILES}/content?path={name}").status == 200


@pytest.mark.parametrize(
    "name", ["..%2f..%2fatt.toml", "%2e%2e/x", "%2Fetc/passwd", "a/..%2f../x", "/etc/passwd"]
)
def test_a_name_that_leads_out_is_refused_however_it_is_written(daemon: RunningDaemon, name: str) -> None:
    answer = daemon.ask("GET", f"{FILES}/{name}")
    assert (answer.status, answer.json["code"]) == (403, "path_outside_project")


def test_dots_in_the_address_are_not_taken_away_on_the_way(daemon: RunningDaemon) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port)
    connection.putrequest("GET", f"/api/v1{FILES}/../../../../etc/passwd")
    connection.putheader("Authorization", f"Bearer {daemon.token}")
    connection.endheaders()
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status in (403, 404) and told["code"] in ("path_outside_project", "route_not_found")


def test_the_header_and_the_field_hold_a_lost_update_back_alike(daemon: RunningDaemon) -> None:
    etag = daemon.ask("PUT", f"{FILES}/held", {"content": "1"}, **{"If-None-Match": "*"}).headers["etag"]
    put = {"content": "2"}
    refused = daemon.ask("PUT", f"{FILES}/held", put, **{"If-None-Match": "*"})
    assert (refused.status, refused.json["code"]) == (412, "file_changed")
    for body, head in (({**put, "if_match": '"old"'}, {}), (put, {"If-Match": '"old"'})):
        refused = daemon.ask("PUT", f"{FILES}/held", body, **head)
        assert (refused.status, refused.json["etag"]) == (412, etag.strip('"'))
    both = daemon.ask("PUT", f"{FILES}/held", {**put, "if_match": "other"}, **{"If-Match": etag})
    assert (both.status, both.json["code"]) == (422, "invalid_request")
    again = daemon.ask("PUT", f"{FILES}/held", put, **{"If-Match": etag})
    assert again.status == 200
    refused = daemon.ask("DELETE", f"{FILES}/held", **{"If-Match": etag})
    assert refused.status == 412
    assert daemon.ask("DELETE", f"{FILES}/held?if_match={again.json['etag']}").status == 200


def test_the_document_tells_of_both_addresses_and_of_the_headers(daemon: RunningDaemon) -> None:
    paths = daemon.ask("GET", "/openapi.json").json["paths"]
    one, other = (
        paths[f"/api/v1/projects/{{project_id}}/files/{end}"]["put"] for end in ("{path}", "content")
    )
    assert one["operationId"] == "code.write" != other["operationId"]
    assert {(p["in"], p["name"]) for p in one["parameters"]} == {
        *(("path", "project_id"), ("path", "path"), ("header", "If-Match"), ("header", "If-None-Match"))
    }
    assert ("query", "path") in {(p["in"], p["name"]) for p in other["parameters"]}
    assert "ETag" in one["responses"]["200"]["headers"]


def test_the_command_line_takes_any_name(
    daemon: RunningDaemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATT_HOME", str(daemon.home))
    monkeypatch.setenv("ATT_LISTEN", f"127.0.0.1:{daemon.port}")
    for name in ("src/cli.py", "diff", "a b%"):
        assert main(["code", "write", "app", name, "--content", "x = 1\n", "--json"]) == 0
        etag = json.loads(capsys.readouterr().out)["etag"]
        assert main(["code", "read", "app", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["content"] == "x = 1\n"
        assert main(["code", "write", "app", name, "--content", "", "--if-match", "old", "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["code"] == "file_changed"
        assert main(["code", "delete", "app", name, "--if-match", etag, "--yes", "--json"]) == 0
        capsys.readouterr()


def test_a_gigabyte_is_read_in_part_while_others_are_answered(daemon: RunningDaemon) -> None:
    path = Path(daemon.home, "projects/app/large")
    with path.open("wb") as opened:
        opened.truncate(1 << 30)
    before = resident(daemon)
    answer = daemon.ask("GET", f"{FILES}/large?limit=1000000")
    assert answer.json["length"] == 1_000_000 and answer.json["next_offset"] == 1_000_000
    assert daemon.ask("POST", f"{FILES}/search", {"query": "nowhere"}).json["complete"]
    assert resident(daemon) - before < 64 << 20
    path.unlink()


def resident(daemon: RunningDaemon) -> int:
    import psutil

    return int(psutil.Process(daemon.process.pid).memory_info().rss)
