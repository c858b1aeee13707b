"""What launcher and daemon say to each other, and what a daemon finds when it is started by a launcher.
Both sides import this file.

**The environment of a daemon.** It is started as `PYTHON -m att.daemon ARGS`, in a session of its own, with
a clean signal mask and default signal actions, stdin from /dev/null, stdout and stderr into a pipe of the
launcher (shown on its own stderr and kept in `ATT_HOME/lives/BOOT_ID.log`), and with these variables; none
of `LISTEN_*`, `NOTIFY_SOCKET`, `WATCHDOG_*`.

    ATT_HOME           the home folder; the launcher holds its lock (`launcher.protocol.lock`)
    ATT_LAUNCHER_FD    the control channel: a connected AF_UNIX SOCK_SEQPACKET socket (a stream with lengths
                       where there is none: `launcher.protocol.channel` knows). Its end of file means that
                       the launcher is gone: stop the app and leave
    ATT_LISTEN_FD      the listening TCP socket of the API, shared with other lives: never shut it down,
                       only close it
    ATT_LISTEN         the address that it is bound to, HOST:PORT
    ATT_BOOT_ID        name of this life
    ATT_RELEASE        name of the release, "installed" when it is none of releases/
    ATT_HEALTH_SOCKET  path at which this life serves `GET /health` on a unix socket of its own: 200 and
                       {"status": "ok", "release": ATT_RELEASE, "boot_id": ATT_BOOT_ID} once it serves and
                       while it is well; anything but 200 before (a standby: once it could take over)
    ATT_SAFE_MODE      "1" in safe mode: no supervision, no self-update, no MCP client
    ATT_STANDBY        "1" for a standby: it serves health, opens no store, accepts nothing and writes
                       nothing until `activate`; when its channel ends before that, it leaves

A daemon makes the descriptors that it got by number close-on-exec, and takes these variables out of what it
gives to its own children, all but ATT_BOOT_ID: by that what a dead life left behind is found.

**Exit codes**: 0 asked to stop; 75 restart me, into the staged release if there is one; 78 my configuration
is wrong; anything else is a crash. SIGTERM asks it to stop within the grace (30 s): stop the app, leave
with 0.

**Messages** are JSON objects with a `type`, one a packet, at most `LIMIT` bytes, with at most `FD_LIMIT`
descriptors. Unknown types and fields are ignored, so either side may be newer (an unknown type with a number `n` is
answered with the error `unknown_request`). The daemon speaks first.

    daemon → launcher
      hello    {protocol: [lowest, highest]}       answered by welcome; health is asked at once
      stage    {release}                           it lies complete in releases/: remember it as the staged one
      switch   {release}                           start it as a standby and hand over when it is healthy
      replace  {path}                              go on with the launcher code at this absolute path (a zip or a package's
                                                   folder), in the same process and with all that is kept: answered by
                                                   replaced, or refused when it is not fit. SIGUSR2 to the launcher does the
                                                   same with ATT_HOME/launcher.pyz, or with its own code read again
    daemon → launcher, for the managed app; each with a number `n`, answered by one `reply` with the same `n`; only the
    active life is served. Wrong ones are answered with `error: {kind, text, …}` and change nothing
      log      {log, base, ring_bytes, slots, log_wait}   the ring of a log (`launcher.protocol.ring`), made at offset
                                                   `base` when there is none yet → {fresh} and the descriptors
                                                   [ring, acks, bell to wait on, room to ring when bytes were taken]
      close_log {log}                              its last run is cleared and all its bytes are taken
      spawn    + one descriptor                    a memory file with JSON {run_id, number, keeper, command, cwd, env,
                                                   log, socket}: `number` names the run in the ring → {pid}
      signal   {run_id, number}                    to the first process → {sent}
      members  {run_id}                            → {pids}, the first process first
      clear    {run_id, grace}                     end all that belongs to it → {ended, killed, pids}, when it is done
      acknowledge {run_id}                         its exit is noted: forget it
      release  {run_id}                            let go of its pipes once what they hold is taken
      runs     {}                                  → {runs: [{run_id, pid, log, exit: {code, signal, at} or null}],
                                                   logs: [those with a ring]}
      sweep    {keeper}                            end what other launchers' lives left → {ended, killed, pids}
      listen   {name, host, port}                  hold a listening socket → {port}
      close_socket {name}
    launcher → daemon
      reply    {n, …}
      exited   {run_id, pid, log, exit}            repeated by `runs` until it is acknowledged
      welcome  {protocol, boot_id, launcher, record}  the version that both speak; the boot record
      journal  {entry}                             an entry that was just written to launcher.ndjson
      drain    {}                                  accept no more, finish what is short, leave with 75
      activate {}                                  to a standby: you are the active one now
      replaced {launcher}                          the launcher runs other code, of this version
      reload   {}                                  SIGHUP came: read the configuration again
      refused  {of, reason}                        a message that could not be served
"""

from __future__ import annotations

from launcher.protocol import notation
from launcher.protocol.words import Any

VERSION = 1
LOWEST = 1
LIMIT = 1 << 16
FD_LIMIT = 8
ORDER_LIMIT = 4 << 20

LAUNCHER_FD = "ATT_LAUNCHER_FD"
LISTEN_FD = "ATT_LISTEN_FD"
BOOT_ID = "ATT_BOOT_ID"
RELEASE = "ATT_RELEASE"
HEALTH_SOCKET = "ATT_HEALTH_SOCKET"
SAFE_MODE = "ATT_SAFE_MODE"
STANDBY = "ATT_STANDBY"
HOME = "ATT_HOME"
LISTEN = "ATT_LISTEN"
PRIVATE = frozenset({LAUNCHER_FD, LISTEN_FD, BOOT_ID, RELEASE, HEALTH_SOCKET, SAFE_MODE, STANDBY})

RESTART_CODE = 75
CONFIG_CODE = 78

Message = dict[str, Any]


class BadMessageError(Exception):
    """What came is not a message."""


def encode(message: Message) -> bytes:
    """`message` as one packet; BadMessageError when it is too long to be sent."""
    data = notation.dumps(message).encode()
    if len(data) > LIMIT:
        raise BadMessageError(f"{message.get('type')} has {len(data)} bytes, more than {LIMIT}")
    return data


def decode(data: bytes) -> Message:
    try:
        message = notation.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadMessageError(f"not JSON: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise BadMessageError("not an object with a type")
    return message


def common_version(theirs: object) -> int | None:
    """The newest version that both sides speak; None when there is none or the offer is no offer."""
    match theirs:
        case [int(lowest), int(highest)] if lowest <= VERSION and highest >= LOWEST:
            return min(highest, VERSION)
        case _:
            return None
