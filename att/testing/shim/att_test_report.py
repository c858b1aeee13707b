"""A pytest plugin that tells each thing as it happens, as one line of JSON on a descriptor.

Put on the PYTHONPATH of the project's own pytest (7 or newer) and named by `-p`; it imports the standard library only and
changes nothing of how the tests run. `ATT_TEST_REPORT` holds the number of the descriptor and is taken out of the environment
at once, as is this file's folder from PYTHONPATH, so that what the tests start inherits neither. In a worker of xdist
it is silent: the controller hears everything. When nobody reads any more, it goes on silently.
"""

# mypy: ignore-errors

import json
import os
import sys
import time
import traceback
from pathlib import Path

import pytest

_MESSAGE = 4000
_TRACE = 20000
_CAPTURED = 10000


def _opened():
    number = os.environ.pop("ATT_TEST_REPORT", "")
    here = str(Path(__file__).parent)
    kept = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != here]
    if kept:
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)
    else:
        os.environ.pop("PYTHONPATH", None)
    if not number.isdigit():
        return None
    os.set_inheritable(int(number), False)
    return int(number)


_descriptor = _opened()
_owner = os.getpid()
_raised = {}


def _tell(event, **told):
    global _descriptor
    if _descriptor is None or os.getpid() != _owner:
        return
    told["event"] = event
    data = (json.dumps(told, default=str) + "\n").encode("ascii", "replace")
    try:
        while data:
            data = data[os.write(_descriptor, data) :]
    except OSError:
        _descriptor = None


def _cut(text, most):
    text = str(text)
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _captured(report, name):
    return _cut("".join(text for title, text in report.sections if title.startswith(name)), _CAPTURED)


def _details(report):
    """What a report that did not pass says: message, file, line, traceback."""
    found = {"trace": _cut(getattr(report, "longreprtext", "") or "", _TRACE)}
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        found["message"] = _cut(crash.message, _MESSAGE)
        found["file"], found["line"] = crash.path, crash.lineno
    elif isinstance(report.longrepr, tuple) and len(report.longrepr) == 3:
        found["file"], found["line"], found["message"] = report.longrepr
    else:
        lines = [line for line in found["trace"].splitlines() if line.strip()]
        errors = [line[1:].strip() for line in lines if line.startswith("E ")]
        found["message"] = _cut((errors or lines[-1:] or [""])[0], _MESSAGE)
    return found


def pytest_exception_interact(node, call, report):
    """Where a file that cannot be collected is wrong: known only here, not in its report."""
    fault = getattr(call.excinfo, "value", None)
    while fault is not None and type(fault).__name__ == "CollectError" and fault.__cause__ is not None:
        fault = fault.__cause__
    if fault is None or getattr(report, "when", "collect") not in ("collect", None):
        return
    where = {"message": _cut(f"{type(fault).__name__}: {fault}", _MESSAGE)}
    if isinstance(fault, SyntaxError):
        where["file"], where["line"] = fault.filename, fault.lineno
        where["message"] = _cut(f"{type(fault).__name__}: {fault.msg}", _MESSAGE)
    else:
        frames = [f for f in traceback.extract_tb(fault.__traceback__) if not _foreign(f.filename)]
        if frames:
            where["file"], where["line"] = frames[-1].filename, frames[-1].lineno
    _raised[report.nodeid] = where


def _foreign(name):
    return name.startswith("<") or "site-packages" in name or "/importlib/" in name


def pytest_collectreport(report):
    if report.outcome != "failed":
        return
    told = _details(report)
    told.update(_raised.pop(report.nodeid, {}))
    _tell("broken", id=report.nodeid or "(collection)", **told)


def pytest_sessionstart(session):
    global _descriptor
    if hasattr(session.config, "workerinput"):
        _descriptor = None
    _tell("start", version=pytest.__version__, python=sys.version.split()[0])


def pytest_collection_finish(session):
    _tell("collected", count=len(session.items))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids):
    _tell("collected", count=len(ids))


def pytest_runtest_logstart(nodeid, location):
    _tell("begin", id=nodeid, file=location[0], line=location[1])


def pytest_runtest_logreport(report):
    told = {
        "id": report.nodeid,
        "when": report.when,
        "outcome": report.outcome,
        "duration": getattr(report, "duration", 0.0),
    }
    if report.location and report.location[1] is not None:
        told["file"], told["line"] = report.location[0], report.location[1] + 1
    if hasattr(report, "wasxfail"):
        told["wasxfail"] = _cut(report.wasxfail, _MESSAGE)
    if report.longrepr is not None:
        told.update(_details(report))
    if report.outcome == "failed":
        told["out"] = _captured(report, "Captured stdout")
        told["err"] = _captured(report, "Captured stderr")
        told["log"] = _captured(report, "Captured log")
    _tell("report", **told)


def pytest_internalerror(excrepr, excinfo):
    _tell("internal", message=_cut(excinfo.exconly(), _MESSAGE), trace=_cut(excrepr, _TRACE))


def pytest_sessionfinish(session, exitstatus):
    _tell("finish", exit=int(exitstatus), at=time.time())
