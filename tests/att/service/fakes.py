"""A `systemctl` and a `launchctl` that write down what they were asked, and remember what follows from it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PYTHON = sys.executable  # a test may put another one in its place

HEAD = """#!{python} -IS
import json, pathlib, sys
here = pathlib.Path(__file__).parent
calls, kept = here / "calls", here / "state.json"
words = sys.argv[1:]
with calls.open("a") as out:
    out.write(" ".join([pathlib.Path(__file__).name, *words]) + "\\n")
state = json.loads(kept.read_text())
def end(code=0, said=""):
    kept.write_text(json.dumps(state))
    (sys.stderr if code else sys.stdout).write(said)
    sys.exit(code)
"""

SYSTEMCTL = """
words = [word for word in words if not word.startswith("--")]
verb, names = words[0], words[1:]
if state.get("refuse") == verb:
    end(1, f"Failed to {verb}: Access denied\\n")
if verb == "show" and not names:
    end(state.get("silent", 0), "252\\n" if not state.get("silent") else "Failed to connect to bus: No medium found\\n")
if verb == "show":
    end(0, "".join(f"{key}={value}\\n" for key, value in state["facts"].items()))
facts = state["facts"]
if verb in ("enable", "disable"):
    facts["UnitFileState"] = verb + "d"
if verb == "start":
    facts.update(state["started"])
if verb == "stop":
    facts.update(ActiveState="inactive", MainPID=0)
if verb == "reset-failed":
    end(1, "Failed to reset failed state: Unit att.service not loaded.\\n")
end()
"""

LAUNCHCTL = """
verb, rest = words[0], words[1:]
label = "io.github.agent-toolkit-toolkit"
if verb == "print" and not rest[0].endswith(label):
    end(state.get("silent", 0), "Could not find domain\\n")
if verb == "print":
    if not state["loaded"]:
        end(113, "Could not find service\\n")
    running = state["pid"] is not None
    lines = [f"{rest[0]} = {{", f"\\tstate = {'running' if running else 'not running'}"]
    lines += [f"\\tpid = {state['pid']}"] if running else []
    lines += ["\\tlast exit code = " + state["code"], "\\tendpoints = {", "\\t\\tstate = other", "\\t}", "}"]
    end(0, "\\n".join(lines) + "\\n")
if verb == "print-disabled":
    word = "disabled" if state["disabled"] else "enabled"
    end(0, f'disabled services = {{\\n\\t"{label}" => {word}\\n}}\\n')
if verb == "enable":
    state["disabled"] = False
if verb == "bootstrap":
    if state["loaded"]:
        end(5, "Bootstrap failed: 5: Input/output error\\n")
    state.update(loaded=True, pid=4711)
if verb == "bootout":
    state.update(loaded=False, pid=None)
end()
"""


class Program:
    """One of the two, in a folder that goes onto PATH."""

    def __init__(self, folder: Path, name: str, text: str, state: dict[str, Any]) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        (folder / name).write_text(HEAD.format(python=PYTHON) + text)
        (folder / name).chmod(0o755)
        (folder / "calls").touch()
        self.set(state)

    def set(self, state: dict[str, Any]) -> None:
        (self._folder / "state.json").write_text(json.dumps(state))

    def change(self, **more: Any) -> None:
        state = json.loads((self._folder / "state.json").read_text())
        for key, value in more.items():
            state[key] = {**state[key], **value} if isinstance(state.get(key), dict) else value
        self.set(state)

    @property
    def calls(self) -> list[str]:
        """What was asked since the last time, but for questions."""
        told = (self._folder / "calls").read_text().splitlines()
        (self._folder / "calls").write_text("")
        return [line for line in told if " show " not in f"{line} " and " print" not in line]


def systemctl(folder: Path) -> Program:
    facts = {
        "UnitFileState": "",
        "ActiveState": "inactive",
        "MainPID": 0,
        "ExecMainStatus": 0,
        "NRestarts": 0,
    }
    started = {"ActiveState": "active", "MainPID": 4711, "StatusText": "healthy: installed"}
    return Program(folder, "systemctl", SYSTEMCTL, {"facts": facts, "started": started})


def launchctl(folder: Path) -> Program:
    state = {"loaded": False, "pid": None, "code": "(never exited)", "disabled": True}
    return Program(folder, "launchctl", LAUNCHCTL, state)


def python(folder: Path, code: int = 0) -> Path:
    """An interpreter for which ATT is installed, or is not."""
    file = folder / f"python-{code}"
    file.write_text(f"#!/bin/sh\nexit {code}\n")
    file.chmod(0o755)
    return file
