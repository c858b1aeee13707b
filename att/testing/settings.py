"""What [test] of att.toml says, as a value. Pure: text in, settings out.

[test]
timeout = 600
env = { API_KEY = "${env:API_KEY}" }          # secrets by reference
kinds = { unit = ["tests/unit"], e2e = ["tests/e2e"] }
coverage_source = ["src"]
# command = ["npx", "vitest", "--reporter=junit", "--outputFile={report}"]   # another runner than pytest
# report = "junit.xml"; format = "junit"
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from att.testing.errors import InvalidTestSettings

KINDS = ("unit", "integration", "e2e")


class TestSettings(BaseModel):
    """Without any key: pytest, in the project's folder."""

    __test__ = False
    model_config = ConfigDict(extra="forbid", frozen=True)

    command: tuple[str, ...] = ()
    report: str = ""
    format: Literal["", "junit", "json"] = ""
    timeout: float = Field(default=600.0, gt=0, le=86_400)
    env: dict[str, str] = {}
    args: tuple[str, ...] = ()
    kinds: dict[Literal["unit", "integration", "e2e"], Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    coverage_source: tuple[str, ...] = ()
    coverage_threshold: float | None = Field(default=None, ge=0, le=100)

    @property
    def report_format(self) -> Literal["junit", "json"]:
        return self.format or ("json" if self.report.endswith(".json") else "junit")


def parse(text: str, where: str = "att.toml") -> TestSettings:
    """The table [test]; `InvalidTestSettings` names the key. Other tables are left to their rooms."""
    try:
        table = tomllib.loads(text).get("test", {})
    except tomllib.TOMLDecodeError as fault:
        raise InvalidTestSettings(f"{where} is not valid TOML: {fault}", file=where, fields=[]) from None
    try:
        return TestSettings.model_validate(table)
    except ValidationError as fault:
        fields = [
            {"field": ".".join(["test", *map(str, error["loc"])]), "message": error["msg"]}
            for error in fault.errors()
        ]
        said = "; ".join(f"{field['field']}: {field['message']}" for field in fields)
        raise InvalidTestSettings(f"{where}: {said}", file=where, fields=fields) from None
