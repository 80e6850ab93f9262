# Roan. `make` builds build/roan; `make help` lists what else there is.
#
# Meson and ninja do the work; this file only names the usual tasks. Missing Debian packages are installed first
# (tools/deps.sh: as root, or through sudo when it asks for no password; otherwise it prints the command).

PREFIX ?= /usr/local
PORT ?= 6379
ARGS ?=
FUZZ_SECONDS ?= 60
SIM_SECONDS ?= 60
SOAK_SECONDS ?= 600
SOAK_RATE ?= 10000
PYTHON ?= python3
# How build/ is optimised; the test builds have their own settings.
OPTIMIZATION ?= 2
LTO ?= true
WERROR ?= false

.DEFAULT_GOAL := all
.PHONY: all help run test test-quick test-interop bench asan tsan fuzz sim soak format install clean tcl

## all: build the program, build/roan (the default)
all: build/build.ninja
	@ninja -C build roan

## run: install what is missing, build, and start a server (PORT=6379, ARGS="--threads 2")
run: all
	@echo
	@echo "Roan listens on port $(PORT); stop it with Ctrl-C. Try in another terminal:"
	@echo
	@echo "    build/roan cli$(if $(filter-out 6379,$(PORT)), -p $(PORT)) SET greeting hello"
	@echo
	@build/roan server --port $(PORT) $(ARGS)

## test: run all test suites on a checked build; the last line sums them up
test: all build-checked/build.ninja
	@ninja -C build-checked roan
	@$(PYTHON) -B tools/run_tests.py build-checked

## test-quick: only the unit tests and the checks of the tree itself
test-quick: build-checked/build.ninja
	@$(PYTHON) -B tools/run_tests.py build-checked --only unit,check

## test-interop: drive the server with client libraries of other languages, where they are installed
test-interop: all
	@tools/deps.sh interop
	@$(PYTHON) -B tests/interop/run.py

## bench: measure speed and memory against other servers on this machine
bench: all
	@$(PYTHON) -B bench/bench.py
	@$(PYTHON) -B bench/bench_types.py
	@$(PYTHON) -B bench/bench_scripts.py
	@$(PYTHON) -B bench/latency.py

## asan: run the suites (or ONLY=unit,wire) under AddressSanitizer and UBSan
asan: build-asan/build.ninja
	@ninja -C build-asan roan
	@$(SANITIZER_ENV) $(PYTHON) -B tools/run_tests.py build-asan $(SUITES)

## tsan: run the suites (or ONLY=...) under ThreadSanitizer
tsan: build-tsan/build.ninja
	@ninja -C build-tsan roan
	@$(SANITIZER_ENV) $(PYTHON) -B tools/run_tests.py build-tsan $(SUITES)

## fuzz: run every libFuzzer target for FUZZ_SECONDS (60); new inputs go to build-fuzz/corpus
fuzz: build-fuzz/build.ninja
	@ninja -C build-fuzz $(patsubst %.c,%,$(wildcard tests/fuzz/fuzz_*.c))
	@tools/fuzz.sh build-fuzz $(FUZZ_SECONDS)

## sim: interleave lanes by new seeds for SIM_SECONDS (60); a failure names its seed
sim: build-checked/build.ninja
	@ninja -C build-checked tests/sim/sim_engine
	@build-checked/tests/sim/sim_engine for $(SIM_SECONDS)

## soak: keep a client busy for SOAK_SECONDS (600) at SOAK_RATE (10000) operations a second; its memory must not grow
soak: all
	@ninja -C build tests/client/client-soak
	@build/tests/client/client-soak $(SOAK_SECONDS) $(SOAK_RATE) build/roan server --port {port} --save ''

## format: lay out all C files with clang-format
format:
	@tools/deps.sh format
	@git ls-files --cached --others --exclude-standard '*.c' '*.h' | xargs clang-format -i

## install: install the program and libroan below PREFIX (/usr/local; DESTDIR is honoured)
install: all
	@meson configure build -Dprefix=$(abspath $(PREFIX))
	@ninja -C build
	@meson install -C build --no-rebuild

## clean: remove all build folders
clean:
	rm -rf build build-checked build-asan build-tsan build-fuzz

## tcl: score the server with Valkey's Tcl suite; TCL_SUITE is a checkout of it or a scoring script
tcl: all
	@tools/deps.sh tcl
	@tools/tcl.sh "$(TCL_SUITE)"

## help: list the targets
help:
	@sed -n 's/^## \([a-z-]*\): \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	    awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

# --- build folders: configured once; ninja notices changed meson files by itself -----------------------------------

SANITIZER_ENV = ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:quarantine_size_mb=16 \
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

SUITES = $(if $(ONLY),--only $(ONLY),--skip check)

SANITIZED = -Doptimization=1 -Dverify=true -Dallocator=libc -Db_lto=false

build/build.ninja:
	@tools/deps.sh build
	@meson setup build -Doptimization=$(OPTIMIZATION) -Ddebug=true -Db_lto=$(LTO) -Dwerror=$(WERROR)

build-checked/build.ninja:
	@tools/deps.sh build test
	@meson setup build-checked -Dverify=true -Dwerror=$(WERROR)

build-asan/build.ninja:
	@tools/deps.sh build test
	@meson setup build-asan $(SANITIZED) -Db_sanitize=address,undefined

build-tsan/build.ninja:
	@tools/deps.sh build test
	@meson setup build-tsan $(SANITIZED) -Db_sanitize=thread

build-fuzz/build.ninja:
	@tools/deps.sh build fuzz
	@CC=clang meson setup build-fuzz $(SANITIZED) -Db_sanitize=address,undefined -Dfuzzing=true
