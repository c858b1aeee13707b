"""What `scripts/run` does once the environment is there: ATT up, the sample app built, started and healthy, and all down again.

ATT runs as a process of its own (`att up`) in a session of its own, so that Ctrl-C reaches only this script, which then
stops the app and ATT one after the other. Everything else is asked over the HTTP API, as any client would.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from _api import Api, Bar, Failed, say

from att.config import Address, parse_address

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "demo"
APP_PORT = 8000


class Stopped(Exception):
    """The user has had enough."""


# ---- ATT itself


def check_port(address: Address, home: Path) -> None:
    """Refuse before anything is started when the address is taken, and say by whom."""
    from att.runtime import ports
    from att.runtime.errors import PortInUse

    try:
        ports.check(*address)
        return
    except PortInUse as taken:
        what = taken.detail
    if _is_ours(Api(f"http://{address}", home)):
        raise Failed(f"ATT runs already: {what}.", "Use that one, or stop it first.")
    raise Failed(f"{what}.", f"End that program, or take another port: scripts/run --port {address.port + 1}")


def _is_ours(api: Api) -> bool:
    try:
        api("GET", "/projects", timeout=3)
    except (Failed, OSError, ValueError):
        return False
    return True


def start(home: Path, listen: str) -> subprocess.Popen[bytes]:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if name not in ("ATT_RUN", "ATT_KEEPER")}
    log = (home / "att.log").open("ab")
    with log:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("att")), "up"],
            env={**inherited, "ATT_HOME": str(home), "ATT_LISTEN": listen},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def await_health(api: Api, att: subprocess.Popen[bytes], home: Path, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(Failed, OSError, ValueError):
            if api("GET", "/health", timeout=2, ready="true")["status"] == "ok":
                return
        if att.poll() is not None:
            raise Failed(
                f"ATT left with {att.returncode}.\n{tail(home / 'att.log')}",
                "`att doctor` looks for the cause.",
            )
        if time.monotonic() > deadline:
            raise Failed(
                f"ATT is not well after {timeout:.0f} s.\n{tail(home / 'att.log')}",
                "`att doctor` looks for the cause.",
            )
        time.sleep(0.05)


def tail(file: Path, lines: int = 12) -> str:
    try:
        return "\n".join(f"    {line}" for line in file.read_text("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""


# ---- the sample app


def make_project(api: Api) -> None:
    """The sample project, unless it is there. Its usual port being taken, it gets a free one at each start."""
    known = [project["id"] for project in api("GET", "/projects", limit=1000)["projects"]]
    if PROJECT in known:
        say(f"the project `{PROJECT}` is there")
        return
    made = api("POST", "/projects", {"name": PROJECT, "template": "echo"}, timeout=120)
    say(f"made the project `{PROJECT}` in {made['path']}")
    from att.runtime import ports

    pid, name, _ = ports.owner(APP_PORT)
    if pid is not None:
        say(f"port {APP_PORT} is taken by {name} (pid {pid}): the app gets a free one")
        settings = Path(made["path"]) / "att.toml"
        settings.write_text(settings.read_text().replace(f"port = {APP_PORT}", "port = 0   ", 1))


def build(api: Api) -> None:
    """The project's environment, with its progress shown."""
    place = f"/projects/{PROJECT}/runtime/environment"
    now = api("GET", place)
    if now["state"] == "ready":
        return
    say("building the app's environment, the first time from the network")
    began = time.monotonic()
    if now["state"] != "building":
        now = api("POST", place)
    bar = Bar()
    try:
        while now["state"] == "building":
            bar.show(now.get("progress") or 0.0, now.get("phase") or "")
            time.sleep(0.3)
            now = api("GET", place)
    finally:
        bar.end()
    if now["state"] != "ready":
        last = "\n".join(f"    {line}" for line in now.get("lines", [])[-12:])
        raise Failed(
            f"The environment is {now['state']}: {now.get('reason', '')}\n{last}",
            "Check the network, then run this again.",
        )
    say(
        f"built in {time.monotonic() - began:.0f} s: NAT {now.get('nat_version')}, Python {now.get('python_version')}"
    )


def start_app(api: Api) -> dict[str, Any]:
    """The app, healthy. A daemon that comes back starts it by itself; then it is only waited for."""
    place = f"/projects/{PROJECT}/runtime"
    began = time.monotonic()
    say("starting the app with `nat serve`")
    try:
        status = api("POST", f"{place}/start", body=None, timeout=200, wait="ready")
    except Failed as failed:
        if failed.code != "runtime_already_running":
            raise
        status = api("GET", f"{place}/status")
    while status["state"] in ("starting", "backoff") or (
        status["state"] == "running" and not status["healthy"]
    ):
        if time.monotonic() - began > 180:
            raise Failed(
                f"The app is not healthy after 180 s: {status['health_reason'] or status['reason']}",
                "att runtime logs demo",
            )
        time.sleep(0.2)
        status = api("GET", f"{place}/status")
    if status["state"] != "running":
        raise Failed(f"The app is {status['state']}: {status['reason']}", f"att runtime logs {PROJECT}")
    say(f"healthy after {time.monotonic() - began:.1f} s: pid {status['pid']}, {status['url']}")
    return dict(status)


def try_out(api: Api, status: dict[str, Any]) -> None:
    """One request to the app, and its line in the log."""
    logs = f"/projects/{PROJECT}/runtime/logs"
    cursor = api("GET", logs, cursor="newest", limit=1)["next_cursor"]
    request = urllib.request.Request(
        f"{status['url']}/generate",
        data=json.dumps({"text": "hello from scripts/run"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        said = json.loads(answer.read())
    if said != {"value": "echo: hello from scripts/run"}:
        raise Failed(f"The app answered {said!r}.")
    say(f"the app answered {json.dumps(said)}")
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 15
    while not found and time.monotonic() < deadline:
        page = api("GET", logs, cursor=cursor, grep="echoing 22 characters", wait=5, limit=100)
        found, cursor = page["lines"], page["next_cursor"]
    if not found:
        raise Failed("The request does not stand in the app's log.")
    say(f"its log says: {found[0]['text']}")


def explain(api: Api, home: Path, status: dict[str, Any]) -> None:
    att = ".venv/bin/att" if Path.cwd() == ROOT else str(ROOT / ".venv/bin/att")
    before = "" if home == Path("~/.local/share/att").expanduser() else f"export ATT_HOME={home}\n  "
    print(
        f"""
  Page     {api.url}/          sign in with the token
  API      {api.url}/api/v1/   described in {api.url}/api/v1/openapi.json
  Token    {home / "token"}
  App      {status["url"]}        pid {status["pid"]}

Type next, in another terminal:

  {before}{att} status
  {att} runtime logs -f {PROJECT}
  curl -X POST {status["url"]}/generate -H 'content-type: application/json' -d '{{"text": "hello"}}'
  kill -9 {status["pid"]}             # and see it come back

Ctrl-C stops the app and ATT.""",
        flush=True,
    )


# ---- up and down


@contextlib.contextmanager
def running(api: Api, home: Path, listen: str) -> Iterator[subprocess.Popen[bytes]]:
    """ATT, for as long as the block lasts."""
    say(f"starting ATT at {api.url}, its state in {home}")
    att = start(home, listen)
    try:
        await_health(api, att, home)
        yield att
    finally:
        stop(api, att)


def stop(api: Api, att: subprocess.Popen[bytes]) -> None:
    """First the app, then ATT; a second Ctrl-C does not leave half of it behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if att.poll() is None:
        with contextlib.suppress(Failed, OSError, ValueError):
            if api("GET", f"/projects/{PROJECT}/runtime/status", timeout=5)["state"] not in (
                "stopped",
                "failed",
            ):
                say("stopping the app")
                api("POST", f"/projects/{PROJECT}/runtime/stop", timeout=60, wait="stopped")
        say("stopping ATT")
        att.terminate()
    try:
        att.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(att.pid, signal.SIGKILL)
        att.wait()
        raise Failed("ATT did not stop within 60 s and was killed.") from None
    say("stopped")


def _interrupt(number: int, frame: object) -> NoReturn:
    raise Stopped


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/run", description="Run ATT with the sample app.")
    parser.add_argument("--port", type=int, help="port of the page and the API (8484)")
    parser.add_argument("--home", type=Path, help="folder of all state (ATT_HOME, else .run)")
    parser.add_argument(
        "--once", action="store_true", help="try everything once, in a home of its own, and stop"
    )
    return parser.parse_args()


def place(asked: argparse.Namespace) -> tuple[Path, Address]:
    """Home and address: what is asked for, else the variables, else this clone's own. One try gets both to itself."""
    from att.runtime import ports

    address = parse_address(os.environ.get("ATT_LISTEN") or "127.0.0.1:8484")
    if asked.port is not None or asked.once:
        address = Address(address.host, asked.port or ports.free(address.host))
    if asked.once and not asked.home:
        return Path(tempfile.mkdtemp(prefix="once-", dir=ROOT / ".cache")), address
    home = asked.home or Path(os.environ.get("ATT_HOME") or ROOT / ".run")
    return home.expanduser().absolute(), address


def work(api: Api, home: Path, address: Address, once: bool) -> None:
    check_port(address, home)
    with running(api, home, str(address)) as att:
        make_project(api)
        build(api)
        status = start_app(api)
        if once:
            try_out(api, status)
            return
        explain(api, home, status)
        code = att.wait()
        last = tail(home / "att.log")
        raise Failed(f"ATT left by itself with {code}.\n{last}", "`att doctor` looks for the cause.")


def main() -> int:
    asked = parse()
    home, address = place(asked)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        work(Api(f"http://{address}", home), home, address, asked.once)
    except Stopped:
        return 130 if asked.once else 0
    except Failed as failed:
        remedy = [f"       {failed.remedy}"] if failed.remedy else []
        print(f"error: {failed}", *remedy, sep="\n", file=sys.stderr)
        return 1
    finally:
        if asked.once and not asked.home:
            shutil.rmtree(home, ignore_errors=True)
    if asked.once:
        say("all of it works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
