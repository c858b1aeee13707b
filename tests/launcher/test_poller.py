"""One wait for descriptors, timers and signals, in the right order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from launcher.notify import inherited_socket, watchdog_period, without_private
from launcher.poller import READ, Poller


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


def test_signals_are_taken_in_the_order_in_which_they_came(poller: Poller) -> None:
    heard: list[int] = []
    poller.on_signals([signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP], heard.append)
    for number in (signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    poller.once()
    assert heard == [signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR1]


def test_a_signal_that_was_blocked_is_heard(poller: Poller) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    # To this thread: one that another test has left does not block it, and would die of it with the whole process.
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    heard: list[int] = []
    poller.on_signals([signal.SIGUSR1], heard.append)
    poller.once()
    assert heard == [signal.SIGUSR1]


def test_what_is_ready_comes_before_what_is_due(poller: Poller) -> None:
    """After the launcher itself was stopped, an answer that is there must not be taken for one that is late."""
    read, write = os.pipe()
    happened: list[str] = []
    poller.watch(read, READ, lambda _mask: happened.append(os.read(read, 10).decode()))
    poller.at(poller.clock() - 100, lambda: happened.append("due"))
    os.write(write, b"ready")
    poller.once()
    assert happened == ["ready", "due"]
    poller.forget(read)
    os.close(read)
    os.close(write)


def test_timers_come_in_order_and_cancelled_ones_do_not(poller: Poller) -> None:
    now, happened = poller.clock(), list[int]()
    timers = [poller.at(now + n / 1000, lambda n=n: happened.append(n)) for n in (3, 1, 2)]
    timers[2].cancel()
    while len(happened) < 2:
        poller.once()
    assert happened == [1, 3]
    assert poller.clock() >= now + 0.003, "never too early"


def test_a_descriptor_that_was_forgotten_in_between_is_not_called(poller: Poller) -> None:
    pipes = [os.pipe(), os.pipe()]
    called: list[int] = []

    def call(mine: int) -> None:
        called.append(mine)
        for read, _ in pipes:
            poller.forget(read)

    for read, write in pipes:
        os.write(write, b"x")
        poller.watch(read, READ, lambda _mask, read=read: call(read))
    poller.once()
    assert len(called) == 1
    for ends in pipes:
        for fd in ends:
            os.close(fd)


def test_children_get_nothing_of_the_service_manager() -> None:
    env = {
        "LISTEN_FDS": "1",
        "LISTEN_PID": "2",
        "NOTIFY_SOCKET": "x",
        "WATCHDOG_USEC": "1",
        "LISTEN_FDNAMES": "",
        "PATH": "p",
    }
    assert without_private(env) == {"PATH": "p"}


def test_the_watchdog_is_fed_three_times_in_its_time_and_only_by_whom_it_asks() -> None:
    assert watchdog_period({"WATCHDOG_USEC": "3000000"}, 7) == 1.0
    assert watchdog_period({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, 7) is None
    assert watchdog_period({"WATCHDOG_USEC": "x"}, 7) is None
    assert watchdog_period({}, 7) is None


def test_sockets_for_somebody_else_are_left_alone() -> None:
    assert inherited_socket({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, 7) is None
    assert inherited_socket({"LISTEN_PID": "7", "LISTEN_FDS": "many"}, 7) is None
    assert inherited_socket({}, 7) is None
