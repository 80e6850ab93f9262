#!/bin/sh
# Runs Valkey's (or Redis's) Tcl suite against build/roan.
#
#     TCL_SUITE=PATH make tcl
#
# PATH is either a checkout of valkey or redis (its tests/ folder is what matters), which then runs in external mode
# against one server; or an executable scoring script, called as
#     PATH 'COMMAND WITH {port} AND {dir}' OUTPUT-FOLDER
# TCL_ARGS adds words to the suite's own command line, such as "--single unit/type/string".
set -eu

suite=${1:-}
out=build/tcl
if [ -z "$suite" ]; then
    echo "Set TCL_SUITE to a checkout of valkey-io/valkey, or to a scoring script." >&2
    exit 2
fi
roan=$PWD/build/roan
flags="--save '' --enable-debug-command yes --enable-protected-configs yes"
mkdir -p "$out"
if [ -f "$suite" ]; then
    exec "$suite" "exec $roan server --port {port} --dir {dir} $flags" "$out"
fi

out=$PWD/$out
port=${PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
eval "exec '$roan' server --port $port --dir '$out' $flags" >"$out/server.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
tries=100
until "$roan" cli -p "$port" PING >/dev/null 2>&1; do
    tries=$((tries - 1))
    if [ $tries -eq 0 ] || ! kill -0 $server 2>/dev/null; then
        echo "The server did not start; see $out/server.log" >&2
        exit 1
    fi
    sleep 0.1
done
cd "$suite"
# shellcheck disable=SC2086
tclsh tests/test_helper.tcl --host 127.0.0.1 --port "$port" --ignore-encoding --ignore-digest --no-latency ${TCL_ARGS:-}
