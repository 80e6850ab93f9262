#!/bin/sh
# Runs every libFuzzer target of a build folder for some seconds each.
#
#     tools/fuzz.sh BUILD SECONDS
#
# Seeds come from tests/fuzz/corpus/<target>; what is new goes to BUILD/corpus/<target>, crashes to BUILD/crashes. A
# crash fails the run, after all targets have had their turn. To keep what was found, merge it by hand:
#     BUILD/tests/fuzz/<target> -merge=1 tests/fuzz/corpus/<target> BUILD/corpus/<target>
set -eu

build=$1
seconds=$2
failed=
passed=0
mkdir -p "$build/crashes"
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    target=$build/tests/fuzz/$name
    if [ ! -x "$target" ]; then
        echo "fuzz: $target was not built" >&2
        failed="$failed $name"
        continue
    fi
    mkdir -p "$build/corpus/$name"
    seeds=
    if [ -d "tests/fuzz/corpus/$name" ]; then
        seeds=tests/fuzz/corpus/$name
    fi
    echo "--- $name"
    # shellcheck disable=SC2086
    if "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 -verbosity=1 \
        -dict="$build/src/engine/command.dict" -artifact_prefix="$build/crashes/$name-" "$build/corpus/$name" $seeds \
        >"$build/crashes/$name.log" 2>&1; then
        grep -E 'stat::number_of_executed_units|DONE' "$build/crashes/$name.log" || true
        passed=$((passed + 1))
    else
        tail -n 40 "$build/crashes/$name.log"
        failed="$failed $name"
    fi
done
set -- $failed
echo "$passed passed, $# failed, 0 skipped"
[ $# -eq 0 ]
