#!/bin/bash
# redis-benchmark against a server: flow.sh HOST PORT.
#
# Promises that redis-benchmark gets through its string tests from many connections, with and
# without pipelining, RESP3 and threads, without an error reply, and that the server then holds
# exactly what was written: no request is lost and none is done twice. Speed is not judged.
set -u
export LC_ALL=C

HOST=$1 PORT=$2
REQUESTS=4000

die() { echo "$*" >&2; exit 1; }
cli() { redis-cli -h "$HOST" -p "$PORT" "$@"; }

# bench ARGUMENT...: one run; a status, an error reply or a missing result is a failure
bench() {
    local output
    echo "redis-benchmark $*"
    output=$(redis-benchmark -h "$HOST" -p "$PORT" -n $REQUESTS --csv "$@" 2>&1) ||
        die "status $?: $output"
    ! grep -q "Error\|ERR\|WARN" <<<"$output" || die "$output"
    grep -q '^"[^"]*","[0-9.]*"' <<<"$output" || die "no result: $output"
}

# total WANTED KEY: what is left in a counter
total() {
    local got
    got=$(cli GET "$2")
    [ "$got" = "$1" ] || die "$2 is '$got', want $1"
}

[ "$(cli FLUSHDB)" = OK ] || die "FLUSHDB"
bench -c 20 -t ping_inline,ping_mbulk,set,get,incr,mset
bench -c 20 -P 16 -t ping_mbulk,set,get,incr,mset
bench -c 20 -P 16 -3 -t ping_mbulk,set,get
bench -c 20 -P 16 --threads 2 -r 1000 -t set,get,incr
bench -c 4 -d 100000 -P 4 -t set,get

bench -c 1 INCR once
total $REQUESTS once
bench -c 50 INCR shared
total $REQUESTS shared
bench -c 50 -P 10 INCR shared
total $((2 * REQUESTS)) shared

[ "$(cli FLUSHDB)" = OK ] || die "FLUSHDB"
bench -c 1 -r 1000000000 SET key:__rand_int__ v
count=$(cli DBSIZE)
# drawn from 10^9 names: more than a handful of equal draws is not chance
[ "$count" -le $REQUESTS ] && [ "$count" -gt $((REQUESTS - 10)) ] || die "DBSIZE $count"
bench -c 10 -P 16 SETRANGE page 1000 text
bench -c 10 -P 16 GETRANGE page 0 100
bench -c 10 -P 16 SETBIT flags 100 1
bench -c 10 -P 16 BITCOUNT flags
