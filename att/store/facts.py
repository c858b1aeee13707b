"""Small facts by name, kept as JSON in the table `meta`."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from att.store.tables import meta


def fact(connection: Connection, key: str) -> Any:
    """What was last set under `key`; None when nothing was."""
    text = connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
    return None if text is None else json.loads(text)


def set_fact(connection: Connection, key: str, value: Any) -> None:
    """Keep `value`; None forgets it."""
    if value is None:
        connection.execute(delete(meta).where(meta.c.key == key))
        return
    text = json.dumps(value)
    if connection.execute(update(meta).where(meta.c.key == key).values(value=text)).rowcount == 0:
        connection.execute(insert(meta).values(key=key, value=text))
