"""What [deploy] of att.toml says, as a value.

    [deploy]
    watch = 60           # seconds for which a new version is under watch; 0: not at all
    watch_crashes = 1    # how often it may die within them

A minute, since the probe of a NAT app needs half of one to find it ill.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from att.runtime.errors import InvalidSettings
from att.runtime.preflight import settings_text


class DeploySettings(BaseModel):
    """Without any key: a minute, in which it may die once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    watch: float = Field(default=60.0, ge=0, le=86_400)
    watch_crashes: int = Field(default=1, ge=0, le=1000)


def parse(text: str, where: str = "att.toml") -> DeploySettings:
    """The table [deploy]; `InvalidSettings` names the key. Other tables are left to their rooms."""
    try:
        table = tomllib.loads(text).get("deploy", {})
    except tomllib.TOMLDecodeError as fault:
        raise InvalidSettings(f"{where} is not valid TOML: {fault}", file=where, fields=[]) from None
    try:
        return DeploySettings.model_validate(table)
    except ValidationError as fault:
        fields = [
            {"field": ".".join(["deploy", *map(str, error["loc"])]), "message": error["msg"]}
            for error in fault.errors()
        ]
        said = "; ".join(f"{field['field']}: {field['message']}" for field in fields)
        raise InvalidSettings(f"{where}: {said}", file=where, fields=fields) from None


def read(folder: Path) -> DeploySettings:
    """What stands in the folder's att.toml; the defaults when there is none."""
    return parse(settings_text(folder))
