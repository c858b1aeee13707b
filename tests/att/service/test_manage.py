"""Installing, removing and looking, with a real file system and programs that stand in for systemctl and launchctl."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pytest

from att.service import manage
from att.service.description import EXAMPLES, LABEL, Kind, Scope, Service
from att.service.errors import (
    CommandFailed,
    EditedFile,
    ForeignFile,
    NoServiceManager,
    NoSuchAccount,
    NotAllowed,
    NotInstalled,
    UnfitService,
)
from att.service.managers import Manager, manager
from att.service.marking import Standing
from att.service.plan import Places, files, places
from att.service.run import Runner
from tests.att.service import fakes

EXAMPLE = EXAMPLES[Kind.SYSTEMD]


@dataclass
class House:
    """A place to install to, the service to install, and the program that is asked."""

    where: Places
    service: Service
    program: fakes.Program
    run: Runner
    manager: Manager

    def install(self, service: Service | None = None, **given: bool) -> manage.Installed:
        wanted = {"start": True, "force": False} | given
        return manage.install(service or self.service, self.where, self.manager, self.run, **wanted)

    def remove(self, force: bool = False) -> list[Path]:
        return manage.remove(self.where, self.manager, force=force)

    @property
    def file(self) -> Path:
        return self.where.paths[0]


def house(tmp_path: Path, kind: Kind) -> House:
    make = fakes.systemctl if kind is Kind.SYSTEMD else fakes.launchctl
    program = make(tmp_path / "bin")
    run = Runner({"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
    where = Places(kind, Scope.USER, tmp_path / "units")
    (tmp_path / "booted").mkdir()
    service = replace(
        EXAMPLE,
        scope=Scope.USER,
        account=None,
        account_home=None,
        python=PurePosixPath(fakes.python(tmp_path)),
        home=PurePosixPath(tmp_path / "home"),
    )
    return House(where, service, program, run, manager(where, run, tmp_path / "booted"))


@pytest.fixture
def systemd(tmp_path: Path) -> House:
    return house(tmp_path, Kind.SYSTEMD)


@pytest.fixture
def launchd(tmp_path: Path) -> House:
    return house(tmp_path, Kind.LAUNCHD)


# -- systemd


def test_an_install_writes_enables_and_starts(systemd: House) -> None:
    done = systemd.install()
    assert (done.written, done.up, done.restart) == ([systemd.file], True, False)
    assert systemd.file.read_text() == files(systemd.service, systemd.where)[0].text
    assert systemd.file.stat().st_mode & 0o777 == 0o644
    assert Path(systemd.service.home).stat().st_mode & 0o777 == 0o700
    assert systemd.program.calls == [
        "systemctl --user daemon-reload",
        "systemctl --user enable att.service",
        "systemctl --user start --no-block att.service",
    ]
    assert os.listdir(systemd.file.parent) == ["att.service"]


def test_a_second_install_changes_nothing(systemd: House) -> None:
    systemd.install()
    before = systemd.file.stat().st_mtime_ns
    assert systemd.program.calls
    done = systemd.install()
    assert (done.written, done.kept, done.restart, done.up) == ([], [systemd.file], False, True)
    assert systemd.file.stat().st_mtime_ns == before
    assert systemd.program.calls == ["systemctl --user enable att.service"]


def test_a_running_service_is_never_restarted_but_the_need_is_told(systemd: House) -> None:
    systemd.install()
    assert systemd.program.calls
    done = systemd.install(replace(systemd.service, variables=(("A", "b"),)))
    assert (done.written, done.restart) == ([systemd.file], True)
    assert systemd.program.calls == ["systemctl --user daemon-reload", "systemctl --user enable att.service"]


def test_an_install_without_a_start(systemd: House) -> None:
    assert systemd.install(start=False).up is None
    assert not any("start" in call for call in systemd.program.calls)


def test_a_service_that_does_not_come_up_is_told(systemd: House) -> None:
    systemd.program.change(started={"ActiveState": "failed", "MainPID": 0, "ExecMainStatus": 78})
    assert systemd.install().up is False
    state = systemd.manager.state()
    assert (state.active, state.exit_code, state.pid) == ("failed", 78, None)


def test_a_service_that_is_between_two_tries_is_not_waited_for(systemd: House) -> None:
    systemd.program.change(started={"ActiveState": "activating", "MainPID": 0, "ExecMainStatus": 69})
    assert systemd.install().up is False


def test_the_socket_comes_and_goes_with_the_wish_for_it(systemd: House) -> None:
    socket = systemd.where.paths[1]
    systemd.install(replace(systemd.service, socket=True))
    assert socket.exists()
    assert systemd.program.calls[1:] == [
        "systemctl --user enable att.service att.socket",
        "systemctl --user start --no-block att.socket att.service",
    ]
    done = systemd.install()
    assert (done.removed, socket.exists()) == ([socket], False)
    assert systemd.program.calls[:2] == [
        "systemctl --user stop att.socket",
        "systemctl --user disable att.socket",
    ]


def test_a_foreign_socket_is_left_where_it_is(systemd: House) -> None:
    socket = systemd.where.paths[1]
    socket.parent.mkdir()
    socket.write_text("[Socket]\n")
    assert systemd.install().removed == []
    assert socket.read_text() == "[Socket]\n"


def test_a_foreign_file_is_neither_replaced_nor_removed(systemd: House) -> None:
    systemd.file.parent.mkdir()
    systemd.file.write_text("[Service]\nExecStart=/bin/true\n")
    for force in (False, True):
        with pytest.raises(ForeignFile):
            systemd.install(force=force)
        with pytest.raises(ForeignFile):
            systemd.remove(force=force)
    assert systemd.file.read_text() == "[Service]\nExecStart=/bin/true\n"
    assert systemd.program.calls == []


def test_a_masked_unit_is_foreign(systemd: House) -> None:
    systemd.file.parent.mkdir()
    systemd.file.symlink_to("/dev/null")
    with pytest.raises(ForeignFile):
        systemd.install(force=True)
    assert systemd.file.is_symlink()


def test_a_file_changed_by_hand_is_replaced_and_removed_only_by_force(systemd: House) -> None:
    systemd.install()
    text = systemd.file.read_text()
    systemd.file.write_text(text.replace("WatchdogSec=60", "WatchdogSec=600"))
    with pytest.raises(EditedFile):
        systemd.install()
    with pytest.raises(EditedFile):
        systemd.remove()
    assert systemd.install(force=True).written == [systemd.file]
    assert systemd.file.read_text() == text


def test_a_remove_stops_disables_and_takes_away_what_install_made(systemd: House) -> None:
    systemd.install(replace(systemd.service, socket=True))
    (systemd.file.parent / "other.service").touch()
    assert systemd.program.calls
    assert systemd.remove() == list(systemd.where.paths)
    assert systemd.program.calls == [
        "systemctl --user daemon-reload",
        "systemctl --user stop att.socket att.service",
        "systemctl --user disable att.service att.socket",
        "systemctl --user reset-failed att.service att.socket",
        "systemctl --user daemon-reload",
    ]
    assert os.listdir(systemd.file.parent) == ["other.service"]
    assert Path(systemd.service.home).is_dir()
    assert systemd.remove() == []
    assert systemd.program.calls == []


def test_a_stop_that_is_refused_leaves_the_files(systemd: House) -> None:
    systemd.install()
    systemd.program.change(refuse="stop")
    with pytest.raises(CommandFailed) as told:
        systemd.remove()
    assert "Access denied" in told.value.detail
    assert systemd.file.exists()


def test_without_systemd_nothing_is_written(systemd: House, tmp_path: Path) -> None:
    (tmp_path / "booted").rmdir()
    with pytest.raises(NoServiceManager):
        systemd.install()
    assert not systemd.file.exists()
    assert not Path(systemd.service.home).exists()
    report = manage.status(systemd.where, systemd.manager)
    assert (report.files, report.state, "systemd does not run" in report.why) == ({}, None, True)


def test_a_user_without_a_systemd_of_its_own_is_told_how_to_get_one(systemd: House) -> None:
    systemd.program.change(silent=1)
    with pytest.raises(NoServiceManager) as told:
        systemd.install()
    assert "enable-linger" in told.value.advice
    assert "No medium found" in told.value.detail


def test_files_alone_need_no_systemd(systemd: House) -> None:
    done = manage.install(systemd.service, systemd.where, None, systemd.run, start=True, force=False)
    assert (done.written, done.up) == ([systemd.file], None)
    assert manage.remove(systemd.where, None, force=False) == [systemd.file]
    assert systemd.program.calls == []


def test_an_interpreter_without_att_is_refused_before_anything_is_written(
    systemd: House, tmp_path: Path
) -> None:
    bare = replace(systemd.service, python=PurePosixPath(fakes.python(tmp_path, 1)))
    with pytest.raises(NotInstalled):
        systemd.install(bare)
    with pytest.raises(NotInstalled):
        systemd.install(replace(systemd.service, python=PurePosixPath("/nowhere/python")))
    assert not systemd.file.exists()


def test_an_account_that_is_not_there_is_refused(systemd: House) -> None:
    wanted = replace(systemd.service, scope=Scope.SYSTEM, account="no-such-account")
    with pytest.raises(NoSuchAccount):
        systemd.install(wanted)
    assert not systemd.file.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_the_interpreter_must_be_readable_for_the_account(systemd: House, tmp_path: Path) -> None:
    wanted = replace(systemd.service, scope=Scope.SYSTEM, account="nobody")
    tmp_path.chmod(0o700)
    with pytest.raises(NotInstalled):
        systemd.install(wanted)
    assert not systemd.file.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told(systemd: House) -> None:
    systemd.file.parent.mkdir(mode=0o500)
    with pytest.raises(NotAllowed):
        systemd.install()


def test_a_file_in_the_way_of_the_folder_is_told(systemd: House) -> None:
    systemd.file.parent.write_text("")
    with pytest.raises(NotAllowed):
        systemd.install()


def test_the_status_tells_what_is_there(systemd: House) -> None:
    systemd.install()
    report = manage.status(systemd.where, systemd.manager)
    assert report.files == {systemd.file: Standing.OURS}
    assert report.facts == {"home": str(systemd.service.home), "listen": "127.0.0.1:8484"}
    state = report.state
    assert state is not None
    assert (state.enabled, state.active, state.pid, state.said) == (
        True,
        "active",
        4711,
        "healthy: installed",
    )


def test_a_command_that_takes_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as told:
        Runner({"PATH": "/usr/bin:/bin"}).ask("sleep", "60", limit=0.05)
    assert "has not ended" in told.value.detail


# -- launchd


def test_launchd_loads_the_service(launchd: House) -> None:
    done = launchd.install()
    target = f"gui/{os.getuid()}/{LABEL}"
    assert (done.written, done.up) == ([launchd.file], True)
    assert launchd.file.name == f"{LABEL}.plist"
    assert launchd.program.calls == [
        f"launchctl enable {target}",
        f"launchctl bootstrap gui/{os.getuid()} {launchd.file}",
    ]
    state = launchd.manager.state()
    assert (state.enabled, state.active, state.pid, state.exit_code) == (True, "active", 4711, None)


def test_launchd_does_not_restart_what_runs(launchd: House) -> None:
    launchd.install()
    assert launchd.program.calls
    done = launchd.install(replace(launchd.service, variables=(("A", "b"),)))
    assert (done.restart, done.up) == (True, True)
    assert len(launchd.program.calls) == 1


def test_launchd_loads_anew_what_does_not_run(launchd: House) -> None:
    launchd.install()
    launchd.program.change(pid=None, code="78: EX_CONFIG")
    state = launchd.manager.state()
    assert (state.active, state.exit_code) == ("inactive", 78)
    assert launchd.program.calls
    assert launchd.install().up is True
    assert [call.split()[1] for call in launchd.program.calls] == ["enable", "bootout", "bootstrap"]


def test_launchd_unloads_what_is_removed(launchd: House) -> None:
    launchd.install()
    assert launchd.program.calls
    assert launchd.remove() == [launchd.file]
    assert launchd.program.calls == [f"launchctl bootout gui/{os.getuid()}/{LABEL}"]
    assert manage.status(launchd.where, launchd.manager).state is not None
    assert not launchd.file.exists()


def test_launchd_without_a_login_at_the_screen_is_told(launchd: House) -> None:
    launchd.program.change(silent=125)
    with pytest.raises(NoServiceManager):
        launchd.install()
    assert not launchd.file.exists()


def test_launchd_gets_no_socket(launchd: House) -> None:
    with pytest.raises(UnfitService):
        launchd.install(replace(launchd.service, socket=True))


# -- places


def test_each_manager_and_scope_has_its_folder() -> None:
    me = Path("/u/me")
    found = {(kind, scope): str(places(kind, scope, me).folder) for kind in Kind for scope in Scope}
    assert found == {
        (Kind.SYSTEMD, Scope.USER): "/u/me/.config/systemd/user",
        (Kind.SYSTEMD, Scope.SYSTEM): "/etc/systemd/system",
        (Kind.LAUNCHD, Scope.USER): "/u/me/Library/LaunchAgents",
        (Kind.LAUNCHD, Scope.SYSTEM): "/Library/LaunchDaemons",
    }
    chosen = places(Kind.SYSTEMD, Scope.USER, me, Path("/c")).folder
    assert str(chosen) == "/c/systemd/user"
