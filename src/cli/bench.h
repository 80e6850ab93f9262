/* cli/bench.h: the program `roan bench`, a load generator with the options and output of
 * redis-benchmark. */
#pragma once

/* Runs the program; argv[0] is the name it was called by ("bench"), options follow. Returns the
 * exit status: 0 when every request was answered without an error reply. */
int roan_bench_main(int argc, char **argv);
