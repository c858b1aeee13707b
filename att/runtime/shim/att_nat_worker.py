"""A NAT worker for a supervised app. Put on the app's PYTHONPATH; imports nothing but NAT and the standard library.

It absorbs two things:

1. NAT adds a new log filter to `uvicorn.access` at each request and "removes" another instance, so filters pile up and every
   request, health polls included, makes all later ones slower. Here the filter is installed once. A NAT that has no such
   fault (told from its own source) is left as it is.
2. Behind plain uvicorn (`ATT_NAT_LOGGING` set) nobody sets up NAT's logging, so its records would be lost and uvicorn's lines
   would carry no time. Here both get the formats that `nat serve` gives them.

`ATT_NAT_WORKER` may name the project's own worker class ("package.module.Class"), which is then the one extended.
"""

import importlib
import inspect
import logging
import os

from nat.front_ends.fastapi import fastapi_front_end_plugin_worker as _nat
from nat.utils.log_utils import LogFilter


def _base():
    named = os.environ.get("ATT_NAT_WORKER", "")
    if not named:
        return _nat.FastApiFrontEndPluginWorker
    module, _, name = named.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _leaks(base) -> bool:
    method = getattr(base, "_suppress_authentication_logs", None)
    if method is None:
        return False
    try:
        return "removeFilter(LogFilter(" in inspect.getsource(method)
    except (OSError, TypeError):
        return True


def _set_up_logging() -> None:
    from nat.utils.log_utils import setup_logging

    setup_logging(int(os.environ.get("NAT_FASTAPI_LOG_LEVEL", logging.INFO)))
    for name in ("uvicorn", "uvicorn.access"):
        for handler in logging.getLogger(name).handlers:
            kind = type(handler.formatter)
            layout = getattr(handler.formatter, "_fmt", None)
            if layout and "asctime" not in layout:
                handler.setFormatter(
                    kind("%(asctime)s - " + layout, datefmt="%Y-%m-%d %H:%M:%S", use_colors=False)
                )


if os.environ.get("ATT_NAT_LOGGING"):
    _set_up_logging()

_Base = _base()

if _leaks(_Base):

    class Worker(_Base):
        def __init__(self, config):
            super().__init__(config)
            path = self.front_end_config.oauth2_callback_path
            if path:
                logging.getLogger("uvicorn.access").addFilter(LogFilter([path]))

        async def _suppress_authentication_logs(self, request, call_next):
            return await call_next(request)

else:

    class Worker(_Base):
        pass
