"""What may be described as a service, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from att.config import Address
from att.service.description import EXAMPLES, START, STOP, WATCHDOG, WRONG, Kind, Scope
from att.service.errors import UnfitService
from launcher import clearing, loop
from launcher.__main__ import USAGE_CODE
from launcher.notify import watchdog_period
from launcher.settings import read
from launcher.verdict import CONFIG_CODE, Limits

SYSTEM = EXAMPLES[Kind.SYSTEMD]
USER = replace(SYSTEM, scope=Scope.USER, account=None, account_home=None)


def test_the_launcher_has_stopped_everything_before_it_would_be_killed() -> None:
    assert Limits().grace + clearing.LEFTOVERS_LIMIT + loop.APP_GRACE < STOP


def test_the_launcher_has_answered_before_its_start_counts_as_failed() -> None:
    limits = Limits()
    one_rung = limits.deaths * (limits.start_timeout + clearing.LEFTOVERS_LIMIT) + sum(
        limits.delays[: limits.deaths]
    )
    assert 2 * one_rung < START


def test_the_watchdog_is_told_often_enough_and_waits_longer_than_a_hang_may_last() -> None:
    env = {"WATCHDOG_USEC": str(WATCHDOG * 1_000_000), "WATCHDOG_PID": "7"}
    period = watchdog_period(env, 7)
    assert period is not None
    assert period <= WATCHDOG / 3
    assert read([], {}).hang < WATCHDOG - period


def test_the_codes_that_are_not_tried_again_are_those_of_the_launcher() -> None:
    assert set(WRONG) == {USAGE_CODE, CONFIG_CODE}


def test_the_launcher_understands_its_command() -> None:
    described = replace(USER, home=PurePosixPath("/x/my home"), listen=Address("::1", 9))
    python, *words = described.command
    assert (python, words[:3]) == (str(USER.python), ["-I", "-m", "launcher"])
    settings = read(words[3:], {})
    assert (settings.home, settings.host, settings.port) == ("/x/my home", "::1", 9)


@pytest.mark.parametrize(
    "path", ['/a"b', "/a'b", "/a\\b", "/a\nb", "/a\tb", "relative", "/a/../b", "/a ", "/a\ud800"]
)
def test_a_path_that_a_unit_cannot_hold_is_refused(path: str) -> None:
    with pytest.raises(UnfitService):
        replace(USER, home=PurePosixPath(path))


def test_a_colon_in_a_folder_of_path_is_refused() -> None:
    with pytest.raises(UnfitService):
        replace(USER, path=(PurePosixPath("/a:b"),))


def test_an_interpreter_with_a_dollar_in_its_path_is_refused() -> None:
    with pytest.raises(UnfitService):
        replace(USER, python=PurePosixPath("/opt/$x/python"))


@pytest.mark.parametrize("variable", [("A-B", "x"), ("", "x"), ("A", "x\ny"), ("A", 'x"y'), ("1A", "x")])
def test_a_variable_that_a_unit_cannot_hold_is_refused_without_its_value(variable: tuple[str, str]) -> None:
    with pytest.raises(UnfitService) as told:
        replace(USER, variables=(variable,))
    assert variable[1] not in told.value.detail.replace("unit", "").split()


@pytest.mark.parametrize("account", ["a b", "-a", "a%b", ""])
def test_a_bad_name_of_an_account_is_refused(account: str) -> None:
    with pytest.raises(UnfitService):
        replace(SYSTEM, account=account)


def test_scope_and_account_go_together() -> None:
    with pytest.raises(UnfitService):
        replace(SYSTEM, account=None)
    with pytest.raises(UnfitService):
        replace(USER, account="att")


@pytest.mark.parametrize("listen", [Address("localhost", 8484), Address("127.0.0.1", 0)])
def test_a_socket_unit_needs_a_number_and_a_port(listen: Address) -> None:
    with pytest.raises(UnfitService):
        replace(USER, socket=True, listen=listen)


def test_home_account_and_roots_can_be_written_and_nothing_twice() -> None:
    roots = (PurePosixPath("/srv/code"), PurePosixPath("/var/lib/att"))
    assert replace(SYSTEM, roots=roots).writable == (
        PurePosixPath("/var/lib/att"),
        PurePosixPath("/srv/code"),
    )


def test_an_account_at_home_in_the_root_may_not_write_all() -> None:
    assert replace(SYSTEM, account_home=PurePosixPath("/")).writable == (SYSTEM.home,)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", False), ("::", False), ("10.0.0.5", True)],
)
def test_only_an_address_of_its_own_waits_for_the_network(host: str, own: bool) -> None:
    assert replace(SYSTEM, listen=Address(host, 1)).own_address is own
