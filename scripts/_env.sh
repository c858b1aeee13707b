# Sourced by the other scripts: finds a Python, makes .venv with it, and keeps .venv equal to the lock.
#
#   att_env run     what running ATT needs             (requirements.lock)
#   att_env dev     the same and what working on it needs (requirements-dev.lock)
#
# Nothing is done when nothing changed: a stamp in .venv remembers what it was made from. PYTHON=python3.12 names the
# interpreter to use; without it the .venv that is there is kept, and else the newest of 3.13, 3.12 and 3.11 is taken.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
BIN=$VENV/bin
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV

say() { printf '· %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 1
}

_fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }
_version() { "$1" -c 'import platform; print(platform.python_version())'; }

_find_python() {
  local name
  if [ -n "${PYTHON:-}" ]; then
    _fits "$PYTHON" && command -v "$PYTHON" && return
    fail "PYTHON=$PYTHON is not a Python between 3.11 and 3.13." "Name one that is, or leave PYTHON unset."
  fi
  for name in python3.13 python3.12 python3.11 python3 python; do
    _fits "$name" && command -v "$name" && return
  done
  fail "no Python between 3.11 and 3.13 was found on PATH." \
    "Install one (Debian and Ubuntu: sudo apt install python3 python3-venv), or name it: PYTHON=/path/to/python3.11 $0"
}

_venv_is_good() {
  [ -x "$BIN/python" ] && _fits "$BIN/python" || return 1
  [ -z "${PYTHON:-}" ] || [ "$(_version "$BIN/python")" = "$(_version "$PYTHON")" ]
}

_make_venv() {
  local python
  python=$(_find_python) || exit 1
  say "making .venv with Python $(_version "$python")"
  rm -rf "$VENV"
  "$python" -m venv "$VENV" >/dev/null 2>&1 && return
  rm -rf "$VENV" # ensurepip is missing, as on a Debian without python3-venv: other ways to the same
  command -v uv >/dev/null && uv venv --quiet --python "$python" "$VENV" && return
  if "$python" -m venv --without-pip "$VENV" >/dev/null 2>&1 \
    && "$python" -m pip --python "$BIN/python" install --quiet "$(_pin uv)" >/dev/null 2>&1; then
    return
  fi
  rm -rf "$VENV"
  fail "$python cannot make a virtual environment: its venv or ensurepip module is missing." \
    "Debian and Ubuntu: sudo apt install python3-venv. Elsewhere: install uv (https://docs.astral.sh/uv/) and try again."
}

_pin() { grep -E "^$1==" "$ROOT/requirements.lock" | cut -d' ' -f1; }

_uv() { # the uv of .venv, which the lock pins; else the one on PATH
  if [ ! -x "$BIN/uv" ] && "$BIN/python" -c 'import pip' 2>/dev/null; then
    "$BIN/python" -m pip install --quiet --disable-pip-version-check "$(_pin uv)" >&2 || return 1
  fi
  if [ -x "$BIN/uv" ]; then echo "$BIN/uv"; else command -v uv; fi
}

_install() { # _install LOCK: by uv, and by pip where uv does not get through (it does not read pip's settings)
  local log uv
  log=$(mktemp)
  if uv=$(_uv 2>>"$log") && {
    "$uv" pip install --quiet --python "$BIN/python" --compile-bytecode -r "$1" &&
      "$uv" pip install --quiet --python "$BIN/python" --no-deps --editable "$ROOT"
  } >>"$log" 2>&1; then
    rm -f "$log"
  elif {
    "$BIN/python" -m pip install --quiet --disable-pip-version-check -r "$1" &&
      "$BIN/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable "$ROOT"
  } >>"$log" 2>&1; then
    rm -f "$log"
  else
    cat "$log" >&2
    rm -f "$log"
    fail "the packages of $(basename "$1") could not be installed; what was tried stands above." \
      "Check the network and the package index (pip config list), then run the same command again."
  fi
}

_state() { cksum "$ROOT/pyproject.toml" "$1" | cut -d' ' -f1,2 | tr '\n' ' '; }

_ensure() {
  local kind=$1 lock=$ROOT/requirements.lock stamp=$VENV/.att-installed began
  [ "$kind" = dev ] && lock=$ROOT/requirements-dev.lock
  _venv_is_good || _make_venv
  if [ "$(cat "$stamp.$kind" 2>/dev/null)" = "$(_state "$lock")" ]; then return; fi
  began=$SECONDS
  say "installing $(grep -c == "$lock") packages into .venv"
  rm -f "$stamp".*
  _install "$lock"
  _state "$lock" > "$stamp.$kind"
  # Whoever works on it can also run it: dev holds everything that run holds.
  [ "$kind" = run ] || _state "$ROOT/requirements.lock" > "$stamp.run"
  say "done in $((SECONDS - began)) s"
}

att_env() {
  mkdir -p "$ROOT/.cache"
  ( # one at a time; the lock goes with the subshell, so that nothing started later inherits it
    if command -v flock >/dev/null; then exec 9>"$ROOT/.cache/setup.lock" && flock 9; fi
    _ensure "$1"
  ) || exit 1
  export PATH=$BIN:$PATH
}
