# Sourced by the other scripts after _env.sh: puts the programs that judge our MCP server into .cache/node, with a Node.js that is
# new enough for them. Pinned, installed once, and nothing of them is run while they are installed.
#
# Where there is no npm, or it cannot get them, that is said, and the tests that need them are skipped with that reason.

NODE=22.23.3
JUDGES=(@modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0)

att_node() {
  local home=$ROOT/.cache/node kind log
  local wanted="node $NODE ${JUDGES[*]}"
  [ "$(cat "$home/installed" 2>/dev/null)" = "$wanted" ] && return
  rm -rf "$home" && mkdir -p "$home"
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) kind=linux-x64 ;;
    Linux-aarch64) kind=linux-arm64 ;;
    Darwin-arm64) kind=darwin-arm64 ;;
    Darwin-x86_64) kind=darwin-x64 ;;
    *) echo "there is no Node.js from npm for $(uname -sm)" > "$home/missing"; say "$(cat "$home/missing")"; return 0 ;;
  esac
  if ! command -v npm >/dev/null; then
    echo 'npm is not installed' > "$home/missing"
    say 'npm is not installed: the tests with the official programs for MCP are skipped'
    return 0
  fi
  say "installing Node.js $NODE and the programs that judge MCP servers into .cache/node"
  log=$home/npm.log
  echo '{"private": true}' > "$home/package.json"
  if npm install --prefix "$home" --ignore-scripts --no-audit --no-fund --save-exact "node-$kind@$NODE" "${JUDGES[@]}" > "$log" 2>&1; then
    ln -sf "node_modules/node-$kind/bin/node" "$home/node"
    echo "$wanted" > "$home/installed"
  else
    echo "npm could not install them: $(grep -m1 -i 'error' "$log")" > "$home/missing"
    say "$(cat "$home/missing")"
  fi
}
