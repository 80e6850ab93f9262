#!/bin/bash
# redis-cli against a server: flow.sh HOST PORT.
#
# Promises that strings, keys, bits, --pipe, --scan, errors and the connection and server commands
# behave as redis-cli expects, once over RESP2 (-2) and once over RESP3 (-3). Prints each step and
# stops with status 1 at the first surprise.
set -u -o pipefail
export LC_ALL=C

HOST=$1 PORT=$2
KEYS=1000
BATCH=500
BIG=$((5 * 1024 * 1024))
WORK=$(mktemp -d) || exit 1
trap 'rm -rf "$WORK"' EXIT
PROTOCOL=2

cli() { redis-cli -h "$HOST" -p "$PORT" "-$PROTOCOL" "$@"; }
die() { echo "$*" >&2; exit 1; }
step() { echo "RESP$PROTOCOL $1"; }

# equal WANTED ARGUMENT...: the whole output of one command, errors included
equal() {
    local wanted=$1 got
    shift
    got=$(cli "$@" 2>&1)
    [ "$got" = "$wanted" ] || die "$*: got '${got:0:200}', want '${wanted:0:200}'"
}

# between LOW HIGH ARGUMENT...: an integer reply
between() {
    local low=$1 high=$2 got
    shift 2
    got=$(cli "$@")
    [[ $got =~ ^-?[0-9]+$ ]] && [ "$got" -ge "$low" ] && [ "$got" -le "$high" ] ||
        die "$*: got '$got', want $low to $high"
}

# has PATTERN ARGUMENT...: the output matches a shell pattern
has() {
    local pattern=$1 got
    shift
    got=$(cli "$@" 2>&1)
    # shellcheck disable=SC2053
    [[ $got == $pattern ]] || die "$*: got '${got:0:200}', want $pattern"
}

# same_bytes KEY FILE: redis-cli ends a raw reply with a line feed of its own
same_bytes() {
    cmp <(cli GET "$1") <(cat "$2"; echo) || die "the value of $1 came back changed"
}

wait_until_gone() {
    for _ in $(seq 250); do
        [ "$(cli EXISTS "$1")" = 0 ] && return
        sleep 0.02
    done
    die "$1 does not expire"
}

strings() {
    equal OK SET s one
    equal one GET s
    equal '"one"' --no-raw GET s
    equal "(nil)" --no-raw GET absent
    equal "(nil)" --no-raw SET s two NX
    equal OK SET s two XX
    equal two SET s three GET
    equal OK SET s four EX 100
    equal OK SET s five KEEPTTL
    between 1 100 TTL s
    equal OK SET s six
    equal -1 TTL s
    equal six GETEX s EX 50
    between 1 50 TTL s
    equal six GETDEL s
    equal 0 EXISTS s
    equal 1 SETNX n v
    equal string TYPE n
}

binary() {
    for byte in $(seq 0 255); do printf "\\x$(printf %x "$byte")"; done >"$WORK/bytes"
    equal OK -x SET bytes <"$WORK/bytes"
    equal 256 STRLEN bytes
    same_bytes bytes "$WORK/bytes"
    equal OK --quoted-input SET '"bin\r\n\x00\xff key"' '"\x00\r\n"'
    equal '"\x00\r\n"' --no-raw --quoted-input GET '"bin\r\n\x00\xff key"'
    equal OK SET empty ''
    equal '""' --no-raw GET empty
}

counters() {
    equal 1 INCR c
    equal 42 INCRBY c 41
    equal 41 DECR c
    equal -9 DECRBY c 50
    equal "(integer) -8" --no-raw INCR c
    equal 1.5 INCRBYFLOAT f 1.5
    equal 1.75 INCRBYFLOAT f 0.25
    equal $'1\n2\n3' -r 3 INCR repeated
}

many_keys() {
    equal OK MSET m1 v1 m2 v2 m3 v3
    equal $'v1\n\nv3' MGET m1 absent m3
    equal $'1) "v1"\n2) (nil)\n3) "v3"' --no-raw MGET m1 absent m3
    equal '"v1",NULL' --csv MGET m1 absent
    equal 0 MSETNX m1 x fresh x
    equal 0 EXISTS fresh
}

expiry() {
    equal OK SET e v
    equal -1 TTL e
    equal -2 TTL absent
    equal 1 EXPIRE e 100
    between 1 100 TTL e
    between 1 100000 PTTL e
    equal 0 EXPIRE absent 100
    equal 1 PERSIST e
    equal -1 TTL e
    equal 1 PEXPIRE e 20
    wait_until_gone e
    equal OK SET e v PX 20
    wait_until_gone e
}

removal() {
    equal OK MSET d1 1 d2 2 d3 3
    equal 3 EXISTS d1 d2 d3 d4
    equal 1 DEL d1 d4
    equal 2 UNLINK d2 d3 d4
    equal 0 EXISTS d1 d2 d3
}

scan() {
    # shellcheck disable=SC2046
    equal OK MSET $(seq -f 'scan:%g v' $KEYS)
    seq -f 'scan:%g' $KEYS | sort >"$WORK/want"
    cli --scan --pattern 'scan:*' | sort -u | cmp - "$WORK/want" || die "--scan --pattern lost keys"
    cli --scan | sort -u >"$WORK/all"
    comm -13 "$WORK/all" "$WORK/want" | grep . && die "--scan lost these keys"
    has "*Sampled * keys in the keyspace*strings with * bytes (100*" --bigkeys
}

# Inline and multibulk commands in bulk; --pipe counts replies and errors.
pipelines() {
    local i
    for i in $(seq $BATCH); do
        printf 'SET p%d %d\r\n*2\r\n$4\r\nINCR\r\n$5\r\ntotal\r\n' "$i" "$i"
    done >"$WORK/pipe"
    has "*errors: 0, replies: $((2 * BATCH))" --pipe <"$WORK/pipe"
    equal $BATCH GET total
    equal $BATCH GET p$BATCH
    printf 'GET p%d\n' $(seq $BATCH) | cli | cmp - <(seq $BATCH) || die "replies out of order"
    printf 'INCR p1\r\nINCR word\r\nINCR p1\r\n' >"$WORK/pipe"
    equal OK SET word abc
    has "*errors: 1, replies: 3" --pipe <"$WORK/pipe"
    equal 3 GET p1
}

errors() {
    equal OK SET word abc
    has "*ERR *not an integer*" INCR word
    has "*ERR unknown command*NOSUCHCOMMAND*" NOSUCHCOMMAND x
    has "*ERR wrong number of arguments*" GET
    has "*ERR syntax error*" SET a b NOSUCHOPTION
    cli -e INCR word >"$WORK/out" 2>&1 && die "-e does not notice the error"
    equal abc GET word
}

bits() {
    equal 0 SETBIT b 7 1
    equal 1 SETBIT b 7 1
    equal 0 SETBIT b 100 1
    equal 1 GETBIT b 7
    equal 0 GETBIT b 8
    equal 0 GETBIT b 5000
    equal 2 BITCOUNT b
    equal 1 BITCOUNT b 0 0
    equal 13 STRLEN b
}

ranges() {
    equal OK SET g "Hello World"
    equal Hello GETRANGE g 0 4
    equal World GETRANGE g -5 -1
    equal "" GETRANGE g 50 60
    equal 11 SETRANGE g 6 Redis
    equal 12 APPEND g '!'
    equal "Hello Redis!" GET g
}

connection() {
    local hello
    hello=$(cli HELLO $PROTOCOL) || die "HELLO"
    for field in server version proto id mode role; do
        grep -q "^$field\b" <<<"$hello" || die "HELLO lacks $field: $hello"
    done
    [ $PROTOCOL = 2 ] || has '*# "proto" => (integer) 3*' --no-raw HELLO 3
    equal PONG PING
    equal hi ECHO hi
    equal $'OK\nflow' <<<$'CLIENT SETNAME flow\nCLIENT GETNAME'
    between 1 1000000000 CLIENT ID
}

server() {
    local info keys
    has $'maxmemory?[0-9]*' CONFIG GET maxmemory
    info=$(cli INFO | tr -d '\r')
    for field in redis_version tcp_port uptime_in_seconds connected_clients used_memory; do
        grep -q "^$field:." <<<"$info" || die "INFO lacks $field"
    done
    grep -q "^tcp_port:$PORT\$" <<<"$info" || die "INFO tcp_port"
    keys=$(cli INFO keyspace | sed -n 's/^db0:keys=\([0-9]*\),.*/\1/p')
    equal "$keys" DBSIZE
}

databases() {
    local before
    before=$(cli DBSIZE)
    [ "$before" -gt $KEYS ] || die "DBSIZE $before"
    equal 0 -n 1 DBSIZE
    equal OK -n 1 SET only here
    equal $'OK\n1' <<<$'SELECT 1\nDBSIZE'
    equal OK -n 1 FLUSHDB
    equal 0 -n 1 DBSIZE
    equal "$before" DBSIZE
    has "*out of range*" SELECT 1000000
}

large() {
    head -c $BIG /dev/urandom >"$WORK/big"
    equal OK -x SET big <"$WORK/big"
    equal $BIG STRLEN big
    same_bytes big "$WORK/big"
    equal 1 UNLINK big
}

for PROTOCOL in 2 3; do
    equal OK FLUSHDB
    for name in strings binary counters many_keys expiry removal scan pipelines errors bits ranges \
        connection server databases large; do
        step $name
        $name
    done
done
