"""GitHub's published OpenAPI description: fetched once by npm, cut to what is used, and requests held against it.

`python -m tests.att.git.forge.description` fetches it into .cache (the set-up of the tests does that). Where it is not, the
requests are not validated, and the test that is about that is skipped with the reason.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[4]
PACKAGE, VERSION = "@octokit/openapi", "23.0.2"
INSIDE = "package/generated/api.github.com.json"
CUT = ROOT / ".cache" / "octokit" / f"{VERSION}.json"
_REPO = "/repos/{owner}/{repo}"
_USED = re.compile(
    re.escape(_REPO)
    + r"(|/pulls.*|/actions/runs.*|/check-runs.*|/commits/\{ref\}/check-runs|/git/refs/\{ref\})"
)


def fetch() -> str | None:
    """Have it in .cache; the reason when that is not possible."""
    if CUT.exists():
        return None
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed, so GitHub's description cannot be fetched"
    with tempfile.TemporaryDirectory() as folder:
        words = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", folder]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
        found = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or not found:
            return f"npm could not fetch {PACKAGE} {VERSION}: {done.stderr.strip()[-300:]}"
        with tarfile.open(found[0]) as archive:
            file = archive.extractfile(INSIDE)
            assert file is not None
            cut = _cut(json.load(file))
    CUT.parent.mkdir(parents=True, exist_ok=True)
    draft = CUT.with_suffix(".new")
    draft.write_text(json.dumps(cut))
    draft.replace(CUT)
    return None


def _cut(whole: dict[str, Any]) -> dict[str, Any]:
    """Requests only, of the paths that are used, and the components that those speak of."""
    paths = {
        path: {
            method: {key: told[key] for key in ("parameters", "requestBody") if key in told}
            for method, told in entry.items()
        }
        for path, entry in whole["paths"].items()
        if _USED.fullmatch(path)
    }
    components: dict[str, dict[str, Any]] = {}
    waiting = list(_references(paths))
    while waiting:
        kind, name = waiting.pop().split("/")[2:]
        if name not in components.setdefault(kind, {}):
            found = components[kind][name] = whole["components"][kind][name]
            waiting += _references(found)
    return {"paths": paths, "components": components}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _references(each)


def _modern(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema says it."""
    if isinstance(node, list):
        return [_modern(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: _modern(value) for key, value in node.items() if key not in ("example", "examples")}
    if found.pop("nullable", False) and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


@dataclass(frozen=True)
class Description:
    told: dict[str, Any]

    @staticmethod
    def load() -> Description | None:
        return Description(_modern(json.loads(CUT.read_text()))) if CUT.exists() else None

    def faults(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> list[str]:
        """What GitHub's description says against a request."""
        for template, entry in self.told["paths"].items():
            names = re.findall(r"{(\w+)}", template)
            pattern = re.sub(
                r"\\{(\w+)\\}", lambda m: "(.+)" if m[1] == "ref" else "([^/]+)", re.escape(template)
            )
            found = re.fullmatch(pattern, path)
            if found is not None and method.lower() in entry:
                given = dict(zip(names, found.groups(), strict=True))
                return list(self._against(entry[method.lower()], given, query, body))
        return [f"there is no {method} {path}"]

    def _against(
        self, told: dict[str, Any], path: Mapping[str, str], query: Mapping[str, str], body: bytes
    ) -> Iterator[str]:
        parameters = [self._resolved(each) for each in told.get("parameters", [])]
        known = {(each["in"], each["name"]): each for each in parameters}
        for place, given in (("path", path), ("query", query)):
            for name, text in given.items():
                parameter = known.get((place, name))
                if parameter is None:
                    yield f"no parameter {name} in the {place}"
                    continue
                schema = self._resolved(parameter["schema"])
                value = int(text) if schema.get("type") == "integer" and text.isdigit() else text
                yield from self._invalid(schema, value, name)
        yield from (
            f"{name} is missing"
            for (place, name), each in known.items()
            if each.get("required") and place in ("path", "query") and name not in {**path, **query}
        )
        yield from self._body(told.get("requestBody"), body)

    def _body(self, told: dict[str, Any] | None, body: bytes) -> Iterator[str]:
        if told is None or not body:
            if body or (told or {}).get("required"):
                yield "a body is not taken here" if body else "the body is missing"
            return
        schema = self._resolved(told["content"]["application/json"]["schema"])
        value = json.loads(body)
        yield from self._invalid(schema, value, "body")
        unknown = value.keys() - schema.get("properties", {}).keys()
        if unknown:
            yield f"the body has the unknown {sorted(unknown)}"

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in node:
            return node
        kind, name = node["$ref"].split("/")[2:]
        found: dict[str, Any] = self.told["components"][kind][name]
        return found

    def _invalid(self, schema: dict[str, Any], value: Any, name: str) -> Iterator[str]:
        whole = {**schema, "components": self.told["components"]}
        for error in Draft202012Validator(whole).iter_errors(value):
            yield f"{name}: {error.message}"


if __name__ == "__main__":
    problem = fetch()
    if problem:
        print(problem, file=sys.stderr)
