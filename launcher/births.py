"""How a life of the daemon comes about: its program, its name, its health socket, its log."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping

from launcher import output
from launcher.home import Home, MissingReleaseError, Program
from launcher.life import Birth, Life, Pace
from launcher.poller import Poller
from launcher.protocol.messages import Message
from launcher.protocol.sockets import Socket
from launcher.protocol.words import Any, NamedTuple
from launcher.settings import Settings
from launcher.system import address_text
from launcher.verdict import Kind

# what the system had too little of for a process; no word about the release
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EIO})


class NotBorn(NamedTuple):
    """Why there is no life, as if it had died at once."""

    kind: Kind
    why: str


OnHealth = Callable[[Life, bool, str], None]
OnMessage = Callable[[Life, Message, list[int]], None]


class Births:
    """`count` numbers the lives, over all of the launcher's own changes of code."""

    def __init__(
        self,
        poller: Poller,
        home: Home,
        settings: Settings,
        default: Program,
        listener: Socket,
        env: Mapping[str, str],
        on_health: OnHealth,
        on_message: OnMessage,
    ) -> None:
        self._poller, self._home, self._settings, self._default = poller, home, settings, default
        self._listener, self._env = listener, env
        self._on_health, self._on_message = on_health, on_message
        self._pace = Pace.for_hang(settings.hang)
        self.count = 0

    def born(self, release: str, safe: bool, standby: bool) -> Life | NotBorn:
        self.count += 1
        boot_id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(4).hex()}"
        try:
            program = self._home.program(release, self._default)
            birth = Birth(
                release=release,
                boot_id=boot_id,
                program=program,
                arguments=self._settings.arguments,
                safe=safe,
                standby=standby,
                home=self._home.path,
                health_socket=os.path.join(self._home.run_path, f"health-{self.count:08d}.sock"),
                log=os.path.join(self._home.lives_path, f"{boot_id}.log"),
            )
            life = self._life(birth)
            life.start(self._listener.fileno(), address_text(self._listener), self._env, show=2)
        except MissingReleaseError as error:
            return NotBorn(Kind.MISSING, str(error))
        except OSError as error:
            ours = error.errno in SHORTAGES
            return NotBorn(Kind.KILLED if ours else Kind.MISSING, str(error))
        output.prune(self._home.lives_path, spare=birth.log)
        return life

    def resumed(self, state: Mapping[str, Any] | None) -> Life | None:
        """A life that was born under other code of the launcher."""
        if state is None:
            return None
        life = self._life(Birth.from_state(state["birth"]))
        life.resume(state)
        return life

    def _life(self, birth: Birth) -> Life:
        return Life(self._poller, self._home.disk, birth, self._pace, self._on_health, self._on_message)
