# Sourced by the set-up scripts: every line to stderr with the time since the start; long commands show that they live.

started=${BOOTSTRAP_STARTED:-$(date +%s)}
export BOOTSTRAP_STARTED=$started

say() { printf 'set-up [%3ds] %s\n' "$(($(date +%s) - started))" "$*" >&2; }

# stop STATUS MESSAGE…: the last words.
stop() {
  local status=$1
  shift
  say "$@"
  exit "$status"
}

# slowly WHAT COMMAND…: runs it with its output in a file, says every 15 s that it goes on, shows the end of the output
# when it fails, and returns its status. Ends the command when the script is ended.
slowly() {
  local what=$1 log status=0 pid began
  shift
  log=$(mktemp "${TMPDIR:-/tmp}/failover-setup.XXXXXX")
  began=$(date +%s)
  set -m # a process group of its own, so that all of it can be ended
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  set +m
  trap 'kill -TERM -- -'"$pid"' 2>/dev/null; rm -f "'"$log"'"; stop 130 "interrupted; run it again to go on"' INT TERM HUP
  while kill -0 "$pid" 2>/dev/null; do
    for _ in {1..75}; do
      kill -0 "$pid" 2>/dev/null || break 2
      sleep 0.2
    done
    say "… $what, $(($(date +%s) - began)) s so far"
  done
  wait "$pid" || status=$?
  trap - INT TERM HUP
  if ((status)); then
    say "$what failed with status $status:"
    tail -n 25 "$log" >&2
  fi
  rm -f "$log"
  return "$status"
}
