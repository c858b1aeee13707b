"""A NAT worker for a supervised app. Put on the app's PYTHONPATH; imports nothing but NAT and the standard library.

It absorbs three things:

1. NAT adds a new log filter to `uvicorn.access` at each request and "removes" another instance, so filters pile up and every
   request, health polls included, makes all later ones slower. Here the filter is installed once. A NAT that has no such
   fault (told from its own source) is left as it is.
2. When a start fails and dask is not installed, NAT stumbles over its own missing `_dask_client` while it cleans up, and that is
   all it says. Here the real error is logged, and stays the one that NAT ends with.
3. Behind plain uvicorn (`ATT_NAT_SOCKET` set) nobody sets up NAT's logging, so its records would be lost and uvicorn's lines
   would carry no time. Here both get the formats that `nat serve` gives them.

`ATT_NAT_WORKER` may name the project's own worker class ("package.module.Class"), which is then the one extended.
"""

import importlib
import inspect
import logging
import os
import sys

from nat.front_ends.fastapi import fastapi_front_end_plugin_worker as _nat
from nat.front_ends.fastapi.fastapi_front_end_plugin import FastApiFrontEndPlugin
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


class _DaskClient:
    """Stands for the missing `_dask_client`, and only while an error is on its way out; any real one takes its place."""

    def __get__(self, plugin, kind=None):
        error = sys.exc_info()[1]
        if error is None:
            raise AttributeError("'FastApiFrontEndPlugin' object has no attribute '_dask_client'")
        if isinstance(error, Exception):
            logging.getLogger(__name__).error("The app could not be started", exc_info=error)


if not hasattr(FastApiFrontEndPlugin, "_dask_client"):
    FastApiFrontEndPlugin._dask_client = _DaskClient()

if os.environ.get("ATT_NAT_SOCKET"):
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
