"""What can go wrong between "start it" and a running app, each with its own code. Decides nothing."""

from __future__ import annotations

from att.problems import BadCursor, Conflict, InvalidRequest, NotFound, Problem, Unavailable


class InvalidSettings(Problem):
    """A key of att.toml is unknown or has a bad value; `fields` names it."""

    code, status, title = "invalid_settings", 422, "att.toml is not valid"
    hint = "Mend the key that is named in att.toml; nothing was started."


class SafeMode(Conflict):
    code, title = "safe_mode", "ATT runs in safe mode"
    hint = "What runs goes on and can be stopped. `launcher.ndjson` in the home and `att doctor` tell why ATT came to this."


class NoConfig(Problem):
    code, status, title = "no_config", 422, "The project has no NAT config"
    hint = "Add a config.yml, or name the file with `config = …` under [runtime] in att.toml."


class InvalidYaml(Problem):
    """Raised with `file`, `line` and `column` (both from 1)."""

    code, status, title = "invalid_yaml", 422, "The NAT config cannot be read as YAML"
    hint = "Mend the file at the line that is named; nothing was started."


class UnknownComponent(Problem):
    """A `_type` of the config that no installed component has; `component` and, where known, `known`."""

    code, status, title = "unknown_component", 422, "The config names a component that is not installed"
    hint = "Check the spelling of `_type`, or add the package that brings it and build the environment again."


class InvalidNatConfig(Problem):
    code, status, title = "invalid_nat_config", 422, "NAT refuses the config"
    hint = "Mend the value that NAT names; `nat validate --config_file FILE` checks it by hand."


class PortInUse(Problem):
    """Raised with `port`, and where it can be told `pid`, `process` and `ours`."""

    code, status, title = "port_in_use", 409, "The port is taken"
    hint = "End the process that is named, or set another `port` under [runtime] in att.toml (0: a free one)."


class CommandNotFound(Problem):
    code, status, title = "command_not_found", 422, "The command cannot be found"
    hint = (
        "Check `command` under [runtime] in att.toml, and that the project's environment brings the program."
    )


class EnvironmentNotBuilt(Problem):
    code, status, title = "environment_not_built", 409, "The project's environment is not built"
    hint = "Build it first: `att runtime environment-build PROJECT`, or start with `build` (`att runtime start PROJECT --build`)."


class EnvironmentBroken(Problem):
    code, status, title = "environment_broken", 409, "The project's environment does not work"
    hint = "Build it again: `att runtime environment-build PROJECT --rebuild`."


class EnvironmentBuildFailed(Problem):
    """uv ended with an error; `lines` holds its last words."""

    code, status, title = "environment_build_failed", 422, "The environment could not be built"
    hint = "Read the last lines of the build; most often the project's dependencies contradict each other."


class EnvironmentBuilding(Conflict):
    code, title = "environment_building", "The environment is being built"
    hint = "Wait for the build, or cancel it: DELETE …/runtime/environment."


class NoBuildRunning(Conflict):
    code, title = "no_build_running", "No build is under way"
    hint = "There is nothing to cancel."


class AlreadyRunning(Conflict):
    code, title = "runtime_already_running", "The app runs already"
    hint = "Use restart to have it started anew."


class NotRunning(Conflict):
    code, title = "runtime_not_running", "The app does not run"
    hint = "Start it first."


class SecretMissing(Problem):
    """A reference of `env` that leads nowhere: `reference` names it, its value is never told."""

    code, status, title = "secret_missing", 422, "A secret that the app needs is not there"
    hint = "Set the variable in the environment of the daemon, or make the file readable for it."


class StartFailed(Problem):
    """The app came up and died, or never became ready; `lines` holds its own last words."""

    code, status, title = "start_failed", 422, "The app did not start"
    hint = "The detail is the app's own error; its log tells more: `att runtime logs PROJECT`."


class StartTimeout(Unavailable):
    code, status, title = "start_timeout", 409, "The app is not there yet"
    hint = "It goes on starting; ask for its status, or wait longer with `timeout`."


class CursorOfAnotherProject(BadCursor):
    code, title = "cursor_of_another_project", "The cursor belongs to another project's log"
    hint = "Use a cursor that this project's log gave."


class EvalNotInstalled(Problem):
    code, status, title = "eval_not_installed", 422, "`nat eval` is not installed"
    hint = "Add the extra `nvidia-nat[eval]` to the project's dependencies and build the environment again."


class EvalFailed(Problem):
    """`nat eval` ended with an error; `exit_code` and `lines`."""

    code, status, title = "eval_failed", 422, "The evaluation failed"
    hint = "The detail is NAT's own error; `lines` holds its last words."


class EvalTimeout(Problem):
    code, status, title = "eval_timeout", 422, "The evaluation took too long and was ended"
    hint = "Give it more time with `timeout`, or a smaller dataset."


class BadFilter(InvalidRequest):
    code, title = "bad_filter", "The filter cannot be used"
    hint = "`grep` is a regular expression of at most 1000 characters; a simple one is a quick one."


class LogUnusable(Problem):
    code, status, title = "log_unusable", 503, "The log's folder cannot be used"
    hint = "Check the owner and the permissions of ATT_HOME/logs."


class RunFolderUnusable(Problem):
    code, status, title = "run_folder_unusable", 503, "The folder for an app's temporary files cannot be used"
    hint = "Check the owner, the permissions and the free space of ATT_HOME/run."


class UnknownRun(NotFound):
    code, title = "unknown_run", "There is no such run"
    hint = "`runtime.status` names the runs."
