"""What is done before the daemon's libraries are loaded, so that it is ready sooner: its import is the first of `att.daemon`.

Tens of thousands of objects are made while modules load and none of them becomes garbage, so looking for garbage meanwhile is
in vain (a tenth of the time); `loaded` goes back to normal and takes what is there out of all later searches. structlog loads
rich where it finds it, for tracebacks that the daemon never prints (another tenth, and 5 MB); it is not let find it. pydantic
makes a validator and a serializer of each model as it is defined; here each is made when it is first used (3 MB).
"""

from __future__ import annotations

import gc
import sys

gc.disable()

from pydantic import BaseModel  # noqa: E402

BaseModel.model_config["defer_build"] = True

if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # an import of it fails, as if it were not installed
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


def loaded() -> None:
    """Everything is loaded that a start needs."""
    gc.freeze()
    gc.enable()
